"""The command line: ``skneg`` and ``python -m skneg``."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from . import __version__

# Modules of the commands, imported for the one that runs: the quick ones need little.
_HOMES = {
    "fit": "_fit",
    "calibrate": "_fit",
    "predict": "_predict",
    "explain": "_predict",
    "report": "_report",
    "info": "_info",
    "models": "_lists",
    "detectors": "_lists",
}
_SOURCE = "a folder of class folders, or a CSV file with columns path and label (and group)"
_IMAGES = "image files, folders of them, or - for paths on standard input, one a line"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="skneg",
        description="Out-of-distribution detection with CLIP: which class is an image, or is it of none?",
        epilog="Exit status: 0, 1 for an error, 2 for wrong usage.",
    )
    parser.add_argument("--version", action="version", version=f"skneg {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, what: str, example: str) -> Any:
        added = commands.add_parser(
            name,
            help=what,
            description=what[0].upper() + what[1:] + ".",
            epilog=f"Example: {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.add_argument("--debug", action="store_true", help="show where an error comes from")
        return added.add_argument

    def model(add: Any) -> None:
        add("--model", help="an open_clip model, local-dir:FOLDER, timm:MODEL, or MODEL+timm:MODEL")
        add("--pretrained", help="its weights: a tag of open_clip, or a file")
        add("--device", help="such as cpu or cuda:0")

    def bad_files(add: Any) -> None:
        add(
            "--on-error", choices=("raise", "skip"), default="raise", help="what to do with unreadable images"
        )

    add = command("fit", "learn from images of the known classes", "skneg fit animals/ -o animals.skneg")
    add("source", help=_SOURCE)
    add("-o", "--out", required=True, type=Path, help="file for the detector")
    add("--detector", default="NegPromptDetector", help="see skneg detectors")
    add("--contamination", type=float, help="share of known images that may be rejected (default: 0.05)")
    add("--seed", type=int, default=0)
    add("--set", nargs="+", action="extend", default=[], metavar="PARAMETER=VALUE")
    model(add)
    bad_files(add)

    for name, what in (("predict", "classes of images, or unknown"), ("explain", "what lies behind answers")):
        add = command(name, what, f"skneg {name} animals.skneg new/ --csv answers.csv")
        add("file", type=Path, help="file of a detector")
        add("images", nargs="+", metavar="IMAGES", help=_IMAGES)
        add("--csv", type=Path, help="file for the answers (default: CSV on standard output)")
        add("--json", type=Path, help="file for the answers, one JSON object a line")
        add("--batch-size", type=int, default=64, help="images in memory at a time (default: 64)")
        add("--only-unknown", action="store_true", help="rows of rejected images only")
        model(add)
        bad_files(add)

    add = command(
        "calibrate",
        "set the threshold by other images of the known classes, without training",
        "skneg calibrate animals.skneg site/ -o site.skneg\n"
        "         skneg calibrate animals.skneg site/ --unknown other/ --accepted 0.1 -o site.skneg",
    )
    add("file", type=Path, help="file of a detector")
    add("source", help=_SOURCE)
    add("-o", "--out", required=True, type=Path, help="file for the detector")
    add("--contamination", type=float, help="share of known images that may be rejected")
    add("--no-labels", action="store_true", help="SOURCE is any folder of images of known classes")
    add("--unknown", metavar="FOLDER", help="images known to be unknown, for one of:")
    add("--accepted", type=float, help="share of new unknown images that may be accepted")
    add("--cost", type=float, help="what an accepted unknown image costs, in rejected known ones")
    model(add)
    bad_files(add)

    add = command(
        "report",
        "one HTML page on what a detector says of images",
        "skneg report animals.skneg test/ --ood unknown=other/ -o report.html",
    )
    add("file", type=Path, help="file of a detector")
    add("source", help=f"{_SOURCE}; images of a class folder called unknown are OOD images")
    add(
        "-o", "--out", type=Path, default=Path("report.html"), help="file for the page (default: report.html)"
    )
    add(
        "--ood",
        action="append",
        default=[],
        metavar="[NAME=]FOLDER",
        help="a set of OOD images; again for more",
    )
    add(
        "--no-labels",
        action="store_true",
        help="SOURCE is any folder of images: say nothing of right and wrong",
    )
    add("--no-names", action="store_true", help="suggest no names for rejected images")
    add("--images", type=int, default=12, help="images in each list (default: 12)")
    model(add)
    bad_files(add)

    add = command("info", "what a file says of its detector", "skneg info animals.skneg")
    add("file", type=Path)
    add("--json", action="store_true", help="all of it, as JSON")

    add = command("models", "models of open_clip and timm, and their weights", "skneg models ViT-B")
    add("pattern", nargs="?", default="", help="part of a name")
    command("detectors", "the detectors, and what each needs", "skneg detectors")
    commands.add_parser("benchmark", help="run a protocol; see skneg benchmark --help", add_help=False)
    return parser


def _show(message: Warning | str, *_: Any) -> None:
    """A warning as a line for whoever runs a command, who wants no place in the code."""
    print(f"skneg: {message}", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["benchmark"]:  # has a parser of its own
        from .benchmarks.__main__ import main as benchmark

        return benchmark(arguments[1:]) or 0
    options = _parser().parse_args(arguments)
    show, warnings.showwarning = warnings.showwarning, _show  # type: ignore[assignment]
    try:
        module = import_module(f"skneg._commands.{_HOMES[options.command]}")
        getattr(module, options.command)(options)
        if sys.stdout is not None:  # closed by the shell
            sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read has enough; what Python would still flush at its end goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        from .errors import SknegError

        if options.debug or not isinstance(error, SknegError | OSError):
            raise
        print(f"skneg: {error}", file=sys.stderr)
        return 1
    finally:
        warnings.showwarning = show
    return 0


if __name__ == "__main__":
    sys.exit(main())

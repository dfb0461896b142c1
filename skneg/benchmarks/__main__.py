"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from ..datasets._image_classes import NAME_FILES
from ..datasets._image_sets import SETS
from ..errors import SknegError
from ._detectors import parse_settings
from ._protocols import PROTOCOLS
from ._run import run_benchmark


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m skneg.benchmarks",
        description="Run a protocol with every detector and write its tables. An interrupted run goes on.",
    )
    add = parser.add_argument
    add("protocol", nargs="?", help=", ".join(PROTOCOLS))
    add("--list", action="store_true", help="the protocols and the data they need")
    add("--data", type=Path, help="folder of the images; docs/benchmarks.md says how it looks")
    add("--out", type=Path, help="folder for the results (default: benchmark-PROTOCOL)")
    add("--detectors", nargs="+", metavar="NAME", help="such as MCMDetector or NegPromptDetector.paper")
    add("--seeds", type=int, default=3)
    add("--shots", type=int, help="training images per class (default: 16; real-features: 4)")
    add("--model", help="an open_clip model, or local-dir:FOLDER (default: ViT-B-16)")
    add("--pretrained", help="its weights: a tag of open_clip, or a file")
    add("--device", default="auto")
    add("--precision", default="auto")
    add("--batch-size", type=int, default=64)
    add("--cache", type=Path, help="folder for embeddings, shared between runs (default: OUT/cache)")
    add("--only", nargs="+", metavar="EXPERIMENT", help="some experiments of the protocol")
    add("--set", nargs="+", action="extend", default=[], metavar="DETECTOR.PARAMETER=VALUE")
    add("--backbones", nargs="+", metavar="MODEL:TAG", help="for ablation, the reference last")
    add("--no-figures", action="store_true")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = _parser()
    args = parser.parse_args(argv)
    if args.list:
        sys.stdout.write(listing())
        return 0
    if args.protocol is None:
        parser.error("which protocol? --list shows them")
    try:
        given = {k: v for k, v in vars(args).items() if k not in ("protocol", "list", "no_figures", "set")}
        given["out"] = args.out or Path(f"benchmark-{args.protocol}")
        given["backbones"] = args.backbones and [_backbone(text) for text in args.backbones]
        result = run_benchmark(
            args.protocol,
            **given,
            settings=parse_settings(args.set),
            figures=not args.no_figures,
            command=f"python -m skneg.benchmarks {shlex.join(argv)}",
            verbose=True,
        )
    except SknegError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(result.tables.read_text(encoding="utf-8"))
    sys.stdout.write(f"\nWritten to {result.tables} and {result.results}\n")
    return 0


def _backbone(text: str) -> tuple[str, str | None]:
    # "local-dir:FOLDER" and "hf-hub:ID" are models with a colon and without a tag.
    if text.startswith(("local-dir:", "hf-hub:")):
        return text, None
    model, _, tag = text.partition(":")
    return model, tag or None


def listing() -> str:
    """The protocols, their experiments and the data they need."""
    lines = []
    for protocol in PROTOCOLS.values():
        models = " ".join(f"{model}:{tag}" for model, tag in protocol.backbones) or protocol.model
        keys = dict.fromkeys(k for e in protocol.experiments for k in e.needs if k in SETS)
        needs = [f"{SETS[key].title} ({(*SETS[key].folders, *SETS[key].lists)[0]})" for key in keys]
        lines += [
            f"{protocol.name}: {protocol.title}",
            f"    {protocol.shots} shots, {models}",
            f"    experiments: {', '.join(e.name for e in protocol.experiments)}",
            f"    needs: {', '.join([*needs, *protocol.needed_files()]) or 'nothing'}",
        ]
    lines.append(f"Class names other than ImageNet's: {' or '.join(NAME_FILES)} in the data folder.")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())

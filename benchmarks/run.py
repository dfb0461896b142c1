"""Run the benchmarks, keep their figures, and write docs/performance.md from them: `make benchmark`.

    python benchmarks/run.py [NAME ...] [--page]

Each script runs in a process of its own, on one thread unless it says otherwise. Its lines of JSON go to
benchmarks/results.json, with the machine; what is not run keeps its figures. `--page` only writes the page,
from benchmarks/performance.md.j2.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

HERE = Path(__file__).parent
RESULTS, PAGE, TEMPLATE = HERE / "results.json", HERE.parent / "docs/performance.md", "performance.md.j2"

# Script and arguments. The last three take ten minutes each, the others a few at most.
SCRIPTS: dict[str, list[str]] = {
    **{
        name: [name]
        for name in (
            "scoring", "evidence_cost", "metrics", "costs", "searches", "decoding", "encoding", "names",
            "words", "streams", "text_encoding", "training",
        )
    },
    "fit": ["training", "--fit"],
}  # fmt: skip


def machine(device: str = "cpu") -> str:
    """What the figures were measured on, in words."""
    name = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).exists():
        found = [line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        name = found[0] if found else name
    if device == "cuda":
        import torch

        name = f"{torch.cuda.get_device_name()}, {name}"
    return f"{name}, {os.cpu_count()} cores"


def run(script: str, *arguments: str, device: str = "cpu") -> dict[str, Any]:
    """The figures that a script prints, which are also shown."""
    command = [sys.executable, str(HERE / f"{script}.py"), *arguments]
    env = {"OMP_NUM_THREADS": "1", **os.environ} if device == "cpu" else dict(os.environ)
    figures = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        for line in process.stdout or ():
            sys.stdout.write(line)
            sys.stdout.flush()
            if line.startswith("{"):
                figures.append(json.loads(line))
    if process.returncode:
        raise SystemExit(
            f"{script}.py ended with status {process.returncode}; its figures stay as they were."
        )
    return {
        "command": " ".join([f"python benchmarks/{script}.py", *arguments]),
        "machine": machine(device),
        "date": date.today().isoformat(),
        "figures": figures,
    }


def keep(name: str, result: Mapping[str, Any]) -> None:
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results[name] = result
    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")


def page() -> str:
    """docs/performance.md, from the figures that are kept."""
    results = json.loads(RESULTS.read_text())
    environment = Environment(
        loader=FileSystemLoader(HERE), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip
    environment.globals["number"] = lambda value: f"{value:.3g}" if value < 100 else f"{value:,.0f}"
    on_gpu = [name for name in results if name.endswith("on a GPU")]
    on_cpu = [name for name in results if name not in on_gpu]
    return environment.get_template(TEMPLATE).render(results=results, on_gpu=on_gpu, on_cpu=on_cpu)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(SCRIPTS)}")
    parser.add_argument("--page", action="store_true", help="only write docs/performance.md")
    options = parser.parse_args()
    if strange := set(options.names) - set(SCRIPTS):
        parser.error(f"no benchmark is called {strange.pop()!r}: they are {', '.join(SCRIPTS)}.")
    if not options.page:
        for name in options.names or SCRIPTS:
            keep(name, run(*SCRIPTS[name]))
    PAGE.write_text(page())


if __name__ == "__main__":
    main()

"""Small changes of the code that decides, each of which a test must notice: ``make mutants``.

mutmut makes the mutants. They are run here, one by one in a copy of the repository, by processes that are
forked off one which has loaded everything but skneg: mutmut's own way, all mutants of a file behind wrappers,
breaks tests that start a process, and those of whom a warning names.

Left out are the text of errors and warnings, and what mutmut never changes: types, docstrings, decorators
and what `len` and `isinstance` are called with. A mutant that no test notices must stand in
tests/mutants.toml, with the reason.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import astuple, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import libcst as cst
import pytest
from libcst.metadata import MetadataWrapper
from mutmut.mutation.file_mutation import Mutation, MutationVisitor, deep_replace
from mutmut.mutation.mutators import mutation_operators
from mutmut.mutation.pragma_handling import IgnoredCode

ROOT = Path(__file__).parents[1]
LISTED = ROOT / "tests" / "mutants.toml"
KILLED_AT_LEAST = 0.95
LONGEST = 4.0  # seconds; longer tests, of sizes and of whole processes, are left out

# Which files of skneg/ are changed, and which of tests/ must notice.
TESTS = {
    "scores.py": ["test_scores.py"],
    "threshold.py": ["test_threshold.py"],
    "evidence/*.py": ["evidence", "test_more_images.py"],
    "prompts/losses.py": ["prompts/test_losses.py", "prompts/test_objective.py"],
    "prompts/objective.py": ["prompts/test_objective.py", "prompts/test_training.py"],
    "prompts/training.py": ["prompts/test_training.py"],
    "persistence/*.py": ["persistence"],
}


@dataclass(frozen=True)
class Mutant:
    """What tells a mutant from others, whatever else changes in its file: the lines that differ."""

    file: str
    function: str
    before: str
    after: str


class Visitor(MutationVisitor):
    """mutmut's, in decorated functions too, but not in the text of errors and warnings."""

    text_of_warning = None

    def _skip_node_and_children(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.Call) and isinstance(node.func, cst.Name) and node.func.value == "warn":
            self.text_of_warning = node.args[0]
        if isinstance(node, cst.Raise) or node is self.text_of_warning:
            return True
        return not isinstance(node, cst.FunctionDef) and super()._skip_node_and_children(node)


def mutations() -> Iterator[tuple[Path, list[str], cst.Module, Mutation]]:
    """Every mutation of every file, with the tests that must notice it."""
    for pattern, tests in TESTS.items():
        for path in sorted((ROOT / "skneg").glob(pattern)):
            visitor = Visitor(mutation_operators, IgnoredCode(set(), set(), set()))
            module = MetadataWrapper(cst.parse_module(path.read_text())).visit(visitor)
            for mutation in visitor.mutations:
                yield path.relative_to(ROOT), [f"tests/{test}" for test in tests], module, mutation


def applied(path: Path, module: cst.Module, mutation: Mutation) -> tuple[Mutant, str]:
    """The mutant and the code of its file."""
    code = deep_replace(module, mutation.original_node, mutation.mutated_node).code
    lines = list(difflib.ndiff(module.code.splitlines(), code.splitlines()))
    before, after = ("\n".join(line[2:].strip() for line in lines if line[0] == sign) for sign in "-+")
    function = getattr(mutation.contained_by_top_level_function, "name", None)
    return Mutant(str(path), function.value if function else "", before, after), code


def sample(every: list[Any], n: int, seed: int) -> list[Any]:
    """Some of all mutations, by file; a change elsewhere in the code takes few of them away, or adds few."""
    seen: Counter[str] = Counter()
    drawn = []
    for number, (path, _, module, mutation) in enumerate(every):
        function = getattr(mutation.contained_by_top_level_function, "name", None)
        nodes = (mutation.original_node, mutation.mutated_node)
        codes = [module.code_for_node(node) for node in nodes if isinstance(node, cst.CSTNode)]
        name = repr([seed, str(path), function and function.value, *codes])
        seen[name] += 1  # the same change may be made in several places
        drawn.append((hashlib.sha256(f"{name} {seen[name]}".encode()).digest(), number))
    return [every[number] for number in sorted(number for _, number in sorted(drawn)[:n])]


class Watch:
    """A plugin of pytest: quick tests first, the longest not at all; each has a limit of time."""

    def __init__(self, durations: dict[str, float]) -> None:
        self.durations, self.measured = durations, {}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Leave out and sort."""
        seconds = {item: self.durations.get(item.nodeid, 0) for item in items}
        items[:] = sorted((item for item in items if seconds[item] <= LONGEST), key=seconds.__getitem__)

    def pytest_runtest_setup(self, item: Any) -> None:
        """End the process where a test takes far longer than it did, and than fixtures may take."""
        signal.alarm(40 + int(20 * self.durations.get(item.nodeid, 10)))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: Any) -> Any:
        """Keep what it takes by itself."""
        start = time.perf_counter()
        try:
            return (yield)
        finally:
            self.measured[item.nodeid] = time.perf_counter() - start


def run(copy: Path, tests: list[str], durations: dict[str, float], says: Path | None = None) -> str:
    """What becomes of a mutant in the copy: "killed", "timed out" or "survived"."""
    child = os.fork()
    if not child:
        status = pytest.ExitCode.INTERNAL_ERROR
        try:
            status = in_child(copy, tests, Watch(durations), says)
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with suppress(ProcessLookupError):  # what the tests may have left
        os.killpg(child, signal.SIGKILL)
    return {0: "survived", -signal.SIGALRM: "timed out"}.get(status, "killed")


def in_child(copy: Path, tests: list[str], watch: Watch, says: Path | None) -> int:
    os.setsid()
    os.chdir(copy)
    sys.path.insert(0, str(copy))
    os.environ["PYTHONPATH"] = str(copy)
    if says is None:
        sys.dont_write_bytecode, os.environ["PYTHONDONTWRITEBYTECODE"] = True, "1"  # of a mutant
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
    signal.alarm(300)
    options = ["-x", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    status = pytest.main([*options, *tests], [watch])
    if says is not None:
        loaded = [name for name in sys.modules if name.partition(".")[0] not in ("skneg", "tests")]
        says.write_text(json.dumps([watch.measured, loaded]))
    return status


def try_all(mutants: list[tuple[Mutant, str, list[str]]]) -> list[tuple[Mutant, str]]:
    """What has become of each."""
    os.environ["OMP_NUM_THREADS"] = "1"  # a fork copies no threads
    results = []
    with tempfile.TemporaryDirectory() as folder:
        copy, said = Path(folder) / "copy", Path(folder) / "said"
        for name in ("skneg", "tests"):
            shutil.copytree(ROOT / name, copy / name)
        shutil.copy(ROOT / "pyproject.toml", copy)
        for _ in range(2):  # the second time with all loaded, as each mutant will find it
            if run(copy, sorted({test for *_, tests in mutants for test in tests}), {}, said) != "survived":
                raise SystemExit("the tests fail without a mutant")
            durations, loaded = json.loads(said.read_text())
            for name in loaded:
                with suppress(Exception):
                    import_module(name)
        for number, (mutant, code, tests) in enumerate(mutants):
            start = time.perf_counter()
            (copy / mutant.file).write_text(code)
            results.append((mutant, run(copy, tests, durations)))
            shutil.copy2(ROOT / mutant.file, copy / mutant.file)
            took = f"{time.perf_counter() - start:.1f} s"
            print(f"{number + 1}/{len(mutants)}", results[-1][1], took, *astuple(mutant)[:2], flush=True)
    return results


def report(results: list[tuple[Mutant, str]], made: Counter[str]) -> None:
    """Print figures by file, and what the list lacks or has too much; fail where that must not be."""
    listed = {
        Mutant(one["file"], one["function"], one["before"], one["after"]): one["reason"]
        for one in tomllib.loads(LISTED.read_text()).get("mutant", [])
    }
    survivors = [mutant for mutant, result in results if result == "survived"]
    unlisted = [mutant for mutant in survivors if not listed.get(mutant)]
    for mutant, result in results:
        if mutant in listed and result != "survived":
            print("listed, but now noticed:", mutant)
    for mutant in listed:
        lines = (line.strip() for line in (ROOT / mutant.file).read_text().splitlines())
        if mutant.before not in "\n".join(lines):
            print("listed, but no longer there:", mutant)
    for mutant in unlisted:
        print(
            "\n[[mutant]]",
            *(f"{name} = {json.dumps(value)}" for name, value in vars(mutant).items()),
            sep="\n",
        )
    print(f"\n{'':32}{'made':>7}{'tried':>7}{'killed':>8}{'timed out':>11}{'survived':>10}")
    for file, n in [*made.items(), ("", made.total())]:
        found = Counter(result for mutant, result in results if mutant.file == (file or mutant.file))
        row = f"{found['killed']:>8}{found['timed out']:>11}{found['survived']:>10}"
        print(f"{file or 'all':32}{n:>7}{found.total():>7}{row}")
    share = 1 - len(survivors) / len(results)
    print(f"{share:.1%} noticed")
    if share < KILLED_AT_LEAST or unlisted:
        raise SystemExit(f"fewer than {KILLED_AT_LEAST:.0%} are noticed, or one that is not is not listed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sample", type=int, default=300)
    arguments = parser.parse_args()
    every = list(mutations())
    mutants = []
    for path, tests, module, mutation in sample(every, arguments.sample, arguments.seed):
        mutants.append((*applied(path, module, mutation), tests))
    start = time.perf_counter()
    results = try_all(mutants)
    print(f"\n{time.perf_counter() - start:.0f} seconds")
    report(results, Counter(str(path) for path, *_ in every))


if __name__ == "__main__":
    main()

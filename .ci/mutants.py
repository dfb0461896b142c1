"""Small changes of the code that decides, each of which a test must notice: ``make mutants``.

mutmut makes the mutants. They are run here, in copies of the repository, by processes that are forked off one
which has loaded everything but skneg: mutmut's own wrappers break tests that start a process, or that look
at whom a warning names. Left out is the text of errors and warnings, and what mutmut never changes: types,
docstrings, and what `len` and `isinstance` are called with.

A mutant that no test notices must stand in tests/mutants.toml, with the reason.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
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

# The tests of each module's own name, and of what stands on it in the same folder.
TESTS = {
    "scores.py": ["test_scores.py"],
    "threshold.py": ["test_threshold.py"],
    "evidence/*.py": ["evidence"],
    "prompts/losses.py": ["prompts/test_losses.py", "prompts/test_objective.py"],
    "prompts/objective.py": ["prompts/test_objective.py", "prompts/test_training.py"],
    "prompts/training.py": ["prompts/test_training.py"],
    "persistence/*.py": ["persistence"],
}


@dataclass(frozen=True)
class Mutant:
    """A file with one change; `before` and `after` are the lines that differ."""

    file: str
    function: str
    before: str
    after: str
    code: str
    tests: tuple[str, ...]

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it from others, whatever else changes in its file."""
        return self.file, self.function, self.before, self.after


class Visitor(MutationVisitor):
    """mutmut's, in decorated functions too, but not in the text of errors and warnings."""

    def _skip_node_and_children(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.Call) and isinstance(node.func, cst.Name) and node.func.value == "warn":
            self._text = node.args[0]
        if isinstance(node, cst.Raise) or node is getattr(self, "_text", None):
            return True
        return not isinstance(node, cst.FunctionDef) and super()._skip_node_and_children(node)


def mutations(path: Path) -> tuple[cst.Module, list[Mutation]]:
    wrapper = MetadataWrapper(cst.parse_module(path.read_text()))
    visitor = Visitor(mutation_operators, IgnoredCode(set(), set(), set()))
    return wrapper.visit(visitor), visitor.mutations


def mutant(path: Path, module: cst.Module, mutation: Mutation, tests: list[str]) -> Mutant:
    changed = deep_replace(module, mutation.original_node, mutation.mutated_node)
    lines = list(difflib.ndiff(module.code.splitlines(), changed.code.splitlines()))
    before, after = ("\n".join(line[2:].strip() for line in lines if line[0] == sign) for sign in "-+")
    function = getattr(getattr(mutation.contained_by_top_level_function, "name", None), "value", "")
    return Mutant(str(path.relative_to(ROOT)), function, before, after, changed.code, tuple(tests))


class Watch:
    """A plugin of pytest: quick tests first, each with a limit of time; writes down what they took."""

    def __init__(self, durations: dict[str, float]) -> None:
        self.durations, self.measured = durations, {}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items.sort(key=lambda item: self.durations.get(item.nodeid, 0))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Any:
        signal.alarm(int(10 + 20 * self.durations.get(item.nodeid, 10)))
        start = time.perf_counter()
        result = yield
        self.measured[item.nodeid] = time.perf_counter() - start
        return result


def work(copy: Path, tests: list[str], watch: Watch, says: Path | None) -> int:
    """What pytest returns, in a process of its own."""
    os.setsid()
    os.chdir(copy)
    sys.path.insert(0, str(copy))
    os.environ["PYTHONPATH"] = str(copy)
    if not says:
        # Else the mutant's own code may be found where it has been compiled from another one's.
        sys.dont_write_bytecode, os.environ["PYTHONDONTWRITEBYTECODE"] = True, "1"
        if not os.environ.get("DEBUGMUT"):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(1, 2)
    signal.alarm(300)
    paths = [f"tests/{test}" for test in tests]
    quiet = ["-x", "--tb=short", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    status = pytest.main([*quiet, *paths], [watch])
    if says:
        loaded = [name for name in sys.modules if name.partition(".")[0] not in ("skneg", "tests")]
        says.write_text(json.dumps([watch.measured, loaded]))
    return status


def run(copy: Path, tests: list[str], durations: dict[str, float], says: Path | None = None) -> str:
    """Run tests in a process of its own: "killed", "timed out" or "survived"."""
    child = os.fork()
    if not child:
        status = 3
        try:
            status = work(copy, tests, Watch(durations), says)
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with suppress(ProcessLookupError):  # what the tests may have left
        os.killpg(child, signal.SIGKILL)
    if status == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise SystemExit(f"there are no tests in {tests}")
    return {0: "survived", -signal.SIGALRM: "timed out"}.get(status, "killed")


def try_all(mutants: list[Mutant]) -> list[str]:
    """What has become of each."""
    os.environ["OMP_NUM_THREADS"] = "1"  # a fork copies no threads
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        for name in ("skneg", "tests"):
            shutil.copytree(ROOT / name, copy / name)
        shutil.copy(ROOT / "pyproject.toml", copy)
        every, said = sorted({test for one in mutants for test in one.tests}), Path(folder) / "said"
        for _ in range(2):  # the second time with all loaded, as each mutant will find it
            if run(copy, every, {}, said) != "survived":
                raise SystemExit("the tests fail without a mutant")
            durations, loaded = json.loads(said.read_text())
            for name in loaded:
                with suppress(Exception):
                    import_module(name)
        results = []
        for number, one in enumerate(mutants):
            start = time.perf_counter()
            (copy / one.file).write_text(one.code)
            results.append(run(copy, list(one.tests), durations))
            shutil.copy2(ROOT / one.file, copy / one.file)
            took = time.perf_counter() - start
            print(
                f"{number + 1}/{len(mutants)} {results[-1]} {took:.1f} s {one.file} {one.function}",
                flush=True,
            )
        return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sample", type=int, default=300)
    parser.add_argument("--only", default="", help="mutants of files whose name has this in it")
    arguments = parser.parse_args()
    start = time.perf_counter()
    every: list[tuple[Path, cst.Module, Mutation, list[str]]] = []
    for pattern, tests in TESTS.items():
        for path in sorted((ROOT / "skneg").glob(pattern)):
            module, changes = mutations(path)
            every += [(path, module, change, tests) for change in changes]
    chosen = sorted(
        random.Random(arguments.seed).sample(range(len(every)), min(arguments.sample, len(every)))
    )
    mutants = [mutant(*every[i]) for i in chosen if arguments.only in str(every[i][0].relative_to(ROOT))]
    results = try_all(mutants)
    listed = {
        (one["file"], one["function"], one["before"], one["after"])
        for one in tomllib.loads(LISTED.read_text())["mutant"]
    }
    survivors = [one for one, result in zip(mutants, results, strict=True) if result == "survived"]
    for one in survivors:
        print(f"\n{'listed' if one.key in listed else 'NOT LISTED'}: {one.file} {one.function}")
        print(f"- {one.before}\n+ {one.after}")
    for one, result in zip(mutants, results, strict=True):
        if one.key in listed and result != "survived":
            print(f"\nnow {result}, take it off the list: {one.key}")
    made = Counter(str(path.relative_to(ROOT)) for path, *_ in every)
    print(f"\n{'file':<32} {'mutants':>8} {'tried':>6} {'killed':>7} {'timed out':>10} {'survived':>9}")
    for file, n in made.items():
        found = Counter(r for one, r in zip(mutants, results, strict=True) if one.file == file)
        print(
            f"{file:<32} {n:>8} {found.total():>6} {found['killed']:>7} {found['timed out']:>10} {found['survived']:>9}"
        )
    share = 1 - len(survivors) / len(mutants)
    print(f"{share:.1%} of {len(mutants)} noticed, in {time.perf_counter() - start:.0f} s")
    if share < KILLED_AT_LEAST or any(one.key not in listed for one in survivors):
        raise SystemExit("too many mutants survive, or some that are not listed with a reason")


if __name__ == "__main__":
    main()

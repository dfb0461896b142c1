"""Build the wheel and the sdist, look into both, and use the wheel in an empty environment: ``make package``.

The new environment borrows the packages of the one that runs this, so that nothing is downloaded again.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]

IN_WHEEL = (
    "skneg/py.typed", "skneg/backbone/skneg-tiny/open_clip_model.safetensors",
    "skneg/backbone/skneg-tiny/open_clip_config.json", "skneg/backbone/skneg-tiny/SHA256SUMS",
)  # fmt: skip
IN_SDIST = (
    "pyproject.toml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "CITATION.cff",
    "LICENSE", "Makefile", "mkdocs.yml", "benchmarks/costs.py", "docs/index.md", "docs/lazy_names.py",
    "examples/demo.py", "tests/conftest.py", "tests/test_package.py", *IN_WHEEL,
)  # fmt: skip

USE = """
import sys
import numpy as np, skneg
from skneg.datasets import load_words, make_scenes
assert skneg.__file__.startswith(sys.prefix), skneg.__file__
X, y = make_scenes(60, shapes=["star", "heart", "key"], random_state=0)
detector = skneg.MCMDetector(model="skneg-tiny").fit(X, y)
detector.save("detector.skneg")
assert set(detector.predict(X)) <= {"star", "heart", "key", "unknown"}
assert len(load_words()) > 1000
"""


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, text=True, stdout=subprocess.PIPE)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}")
    return done.stdout


def check_contents(wheel: Path, sdist: Path) -> None:
    in_wheel = zipfile.ZipFile(wheel).namelist()
    with tarfile.open(sdist) as archive:
        in_sdist = {name.partition("/")[2] for name in archive.getnames()}
    sources = {str(p.relative_to(ROOT)) for p in (ROOT / "skneg").rglob("*") if p.is_file()}
    sources = {name for name in sources if "__pycache__" not in name}
    assert sources <= set(in_wheel), sorted(sources - set(in_wheel))
    assert set(IN_WHEEL) <= set(in_wheel), sorted(set(IN_WHEEL) - set(in_wheel))
    assert set(IN_SDIST) <= in_sdist, sorted(set(IN_SDIST) - in_sdist)
    assert any(name.endswith("licenses/LICENSE") for name in in_wheel)
    roots = {name.partition("/")[0] for name in in_wheel}
    assert roots == {"skneg", next(name for name in roots if name.endswith(".dist-info"))}, roots


def use(wheel: Path, folder: Path) -> None:
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", wheel)
    place = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (place / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    command = folder / "env" / "bin" / "skneg"
    assert "predict" in run(command, "--help", cwd=folder)
    run(python, "-I", "-c", USE, cwd=folder)
    assert "MCMDetector" in run(command, "info", "detector.skneg", cwd=folder)


def main() -> None:
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    # The wheel is built from the sdist, so the sdist has all that it takes.
    run(sys.executable, "-m", "build", "--outdir", dist)
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist)
    check_contents(wheel, sdist)
    with tempfile.TemporaryDirectory() as folder:
        use(wheel, Path(folder))
    print(f"{wheel.name} and {sdist.name} are whole, and the wheel works")


if __name__ == "__main__":
    main()

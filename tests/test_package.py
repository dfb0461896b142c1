import re
import subprocess
import sys
from pathlib import Path

import pytest

import skneg


def test_import_leaves_torch_alone():
    code = (
        "import sys, skneg; heavy = {'torch', 'open_clip', 'sklearn', 'matplotlib'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_public_name_resolves():
    for name in skneg.__all__:
        assert callable(getattr(skneg, name))


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="NegPromptDetecter"):
        skneg.NegPromptDetecter  # noqa: B018


def test_imports_run_one_way():
    rank = {"errors": 0, "images": 1, "backbone": 2, "prompts": 3, "base": 4, "detectors": 5}
    package = Path(skneg.__file__).parent
    for room, height in rank.items():
        files = (package / room).rglob("*.py") if (package / room).is_dir() else [package / f"{room}.py"]
        for file in files:
            for other in re.findall(r"^\s*from \.+(\w+)", file.read_text(), flags=re.M):
                assert rank.get(other, 0) <= height, f"{file} imports {other}"


def test_torch_is_imported_in_its_rooms_only():
    package = Path(skneg.__file__).parent
    allowed = {"prompts", "backbone", "images"}
    for file in package.rglob("*.py"):
        room = file.relative_to(package).parts[0]
        if room in allowed or file.name == "train_tiny.py":
            continue
        assert not re.search(r"^\s*(import|from) torch", file.read_text(), flags=re.M), file


def test_the_documentation_lists_every_detector_as_the_registry_does():
    page = (Path(__file__).parents[1] / "docs" / "detectors.md").read_text()
    for info in skneg.list_detectors():
        assert f"| `{info.name}` | {info.training} | {info.needs or '-'} | {info.paper} |" in page

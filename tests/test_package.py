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


def test_the_documentation_lists_every_detector_as_the_registry_does():
    page = (Path(__file__).parents[1] / "docs" / "detectors.md").read_text()
    for info in skneg.list_detectors():
        assert f"| `{info.name}` | {info.training} | {info.needs or '-'} | {info.paper} |" in page

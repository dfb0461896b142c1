from pathlib import Path

import numpy as np
import pytest

import skneg
from skneg import NegLabelDetector
from skneg._utils import unit_rows
from skneg.bank import TextBank

from .conftest import run_python


def test_import_leaves_torch_alone():
    code = (
        "import sys, skneg; heavy = {'torch', 'open_clip', 'sklearn', 'matplotlib'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    run_python(code)


def test_a_saved_detector_scores_embeddings_without_torch(tmp_path):
    rng, file = np.random.default_rng(0), tmp_path / "d.skneg"
    positive, words = rng.normal(size=(12, 512)), rng.normal(size=(5506, 512)).astype(np.float16)
    names, Z = [f"class {i}" for i in range(12)], np.repeat(positive, 3, axis=0)
    Z = Z + rng.normal(scale=0.1, size=Z.shape)
    bank = TextBank(*map(unit_rows, (positive, words)))
    detector = NegLabelDetector(text_bank=bank, class_names=names).fit(Z)
    detector.save(file)
    np.save(tmp_path / "Z.npy", Z)
    code = (
        "import sys, numpy, skneg; Z = numpy.load('Z.npy'); scores = skneg.load('d.skneg').score_samples(Z);"
        "heavy = {'torch', 'open_clip', 'matplotlib'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}') if heavy else print(scores.tobytes().hex())"
    )
    assert run_python(code, cwd=tmp_path) == skneg.load(file).score_samples(Z).tobytes().hex()
    np.testing.assert_allclose(skneg.load(file).score_samples(Z), detector.score_samples(Z), atol=1e-6)


def test_every_public_name_resolves():
    for name in skneg.__all__:
        assert callable(getattr(skneg, name))


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="NegPromptDetecter"):
        skneg.NegPromptDetecter  # noqa: B018


def test_the_documentation_lists_every_detector_as_the_registry_does():
    page = (Path(__file__).parents[1] / "docs" / "detectors.md").read_text()
    table = page.split("## All detectors")[1].split("\n\n|")[1].split("\n\n")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table]
    assert [rows[0][0], *rows[0][3:]] == ["detector", "paper", "keeps", "seconds", "where it wins"]
    # What the page adds (state, cost, where it wins) is never left out.
    assert all(len(cells) == len(rows[0]) and all(cells) for cells in rows[2:])
    assert [cells[:4] for cells in rows[2:]] == [
        [f"`{info.name}`", info.training, info.needs or "-", info.paper] for info in skneg.list_detectors()
    ]

"""The protocols as they stand in their file."""

from pathlib import Path

import pytest

from skneg._registry import DETECTORS
from skneg.benchmarks import PROTOCOLS
from skneg.benchmarks._paper import METHODS, TABLES
from skneg.benchmarks._protocols import find_protocol
from skneg.datasets._image_sets import SETS
from skneg.errors import InputError

from .conftest import reasons


def test_protocols_are_known_by_their_names():
    assert all(name == protocol.name for name, protocol in PROTOCOLS.items())
    assert {"imagenet-far", "imagenet-hard", "open-vocabulary", "id-accuracy", "ablation"} <= set(PROTOCOLS)


def test_the_documentation_names_every_protocol_and_every_folder():
    docs = Path(__file__).parents[2] / "docs"
    assert [name for name in PROTOCOLS if f"`{name}`" not in (docs / "benchmarks.md").read_text()] == []
    page = (docs / "protocols.md").read_text()
    named = {key: [*known.folders, *known.lists] for key, known in SETS.items()}
    lost = [key for key, places in named.items() if not any(p.rpartition("/")[2] in page for p in places)]
    assert lost == []


def test_what_protocols_name_exists():
    for protocol in PROTOCOLS.values():
        assert set(protocol.paper) <= set(TABLES)
        for experiment in protocol.experiments:
            assert set(experiment.needs) - {"dtd"} <= set(SETS)
            assert {*experiment.parameters, *experiment.left_out} <= set(DETECTORS)
            if protocol.paper and not experiment.paper_row:
                row = METHODS["NegPromptDetector"] + "(10%)" * experiment.open_vocabulary
                assert any(row in TABLES[table] for table in protocol.paper)


def test_an_unknown_name_is_answered_with_the_near_ones():
    with pytest.raises(InputError, match="imagenet-fat.*Did you mean 'imagenet-far'"):
        find_protocol("imagenet-fat")


def test_ablation_on_given_backbones(run):
    backbones = [("skneg-tiny", None), ("skneg-tiny", None)]
    result = run("ablation", model=None, backbones=backbones, detectors=None)
    experiments = list(dict.fromkeys(row["experiment"] for row in result.rows))
    assert experiments == [
        "skneg-tiny (own weights)", "1 negative", "3 negatives", "4 negatives", "one stage",
        "skneg-tiny, 2 negatives, two stages",
    ]  # fmt: skip
    assert {row["detector"] for row in result.rows} == {"NegPromptDetector"}
    parameters = {row["experiment"]: row["parameters"] for row in result.rows}
    assert parameters["3 negatives"]["recipe__n_negative"] == 3
    assert parameters["one stage"]["recipe__one_stage"] is True
    text = result.tables.read_text()
    assert "Weights (sha256): skneg-tiny " in text
    assert "Not run" not in text
    line = next(x for x in text.splitlines() if x.startswith("| 1 negative"))
    assert "90.04 / 40.7" in line
    assert "92.73 / 27.46" in line


def test_ablation_says_which_detectors_it_is_not_about(run):
    result = run(
        "ablation", model=None, backbones=[("skneg-tiny", None)], only=["one stage"],
        detectors=["NegPromptDetector", "MCMDetector"],
    )  # fmt: skip
    assert {row["detector"] for row in result.rows if "reason" not in row} == {"NegPromptDetector"}
    assert "NegPromptDetector alone" in reasons(result)["one stage", "MCMDetector"]

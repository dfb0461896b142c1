"""Runs end to end on miniatures of their data, reading back, and what is refused."""

import os
import shutil

import numpy as np
import pytest

import skneg
from skneg import SknegError
from skneg.backbone import ImageTower
from skneg.benchmarks import _run as run_module
from skneg.errors import ImageError, InputError
from skneg.metrics import auroc

from .conftest import CLASSES, FEW, N_OOD, N_TEST, WNIDS, by_cell, reasons


@pytest.fixture
def measured(monkeypatch):
    """What is measured, not read back."""
    cells, measure = [], run_module._Run._measure

    def watched(self, task, spec, seed, *args):
        cells.append((spec.label, seed))
        return measure(self, task, spec, seed, *args)

    monkeypatch.setattr(run_module._Run, "_measure", watched)
    return cells


def test_a_finished_run_is_read_back(run, measured):
    first = run()
    del measured[:]
    again = run()
    assert measured == []
    assert again.rows == first.rows
    assert again.tables.read_text() == first.tables.read_text()


def test_an_interrupted_run_goes_on(run, measured, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "make_report", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(seeds=1)
    del measured[:]
    result = run(seeds=2)
    assert measured == [("NegPromptDetector", 1), ("KNNDetector", 1)]
    assert {cell[3] for cell in by_cell(result)} == {0, 1}


@pytest.mark.parametrize(
    "change", [{"shots": 3}, {"settings": {"KNNDetector": {"n_neighbors": 2}}}, {"precision": "fp32"}]
)
def test_another_configuration_is_measured_anew(run, measured, change):
    before = run(detectors=["KNNDetector"]).rows
    after = run(detectors=["KNNDetector"], **change).rows
    assert len(measured) == 2
    assert len(after) == len(before)
    assert run(detectors=["KNNDetector"]).rows == before
    assert len(measured) == 2


def test_other_defaults_are_another_configuration(run, measured, monkeypatch):
    run(detectors=["KNNDetector"])
    monkeypatch.setitem(skneg.KNNDetector.__init__.__kwdefaults__, "n_neighbors", 3)
    run(detectors=["KNNDetector"])
    assert len(measured) == 2


@pytest.mark.parametrize("part", ["SUN", "imagenet/val", "imagenet/train"])
def test_a_changed_image_is_measured_anew(run, measured, imagenet, tmp_path, part):
    root = tmp_path / "data"
    shutil.copytree(imagenet, root)
    run(data=root, detectors=["KNNDetector"], shots=5)
    one = sorted((root / part).rglob("*.png"))[0]
    one.write_bytes(one.read_bytes())
    os.utime(one, ns=(1, 1))
    run(data=root, detectors=["KNNDetector"], shots=5)
    assert len(measured) == 2


def test_what_a_later_seed_refuses_is_said(run, monkeypatch):
    measure = run_module._Run._measure

    def refusing(self, task, spec, seed, *args):
        if seed == 1:
            raise InputError("seed 1 is unlucky")
        return measure(self, task, spec, seed, *args)

    monkeypatch.setattr(run_module._Run, "_measure", refusing)
    result = run(detectors=["KNNDetector"], seeds=3)
    assert {cell[3] for cell in by_cell(result)} == {0, 2}
    assert "| KNNDetector | ImageNet-1k (seed 1) | seed 1 is unlucky |" in result.tables.read_text()


def test_every_detector_on_the_far_sets(run):
    result = run(detectors=None, seeds=1)
    ran = {row["detector"] for row in result.rows if "reason" not in row}
    everyone = {info.name for info in skneg.list_detectors()}
    assert ran == everyone - {"CLIPNDetector"}
    assert reasons(result).keys() == {("ImageNet-1k", "CLIPNDetector")}
    assert "no_encoder" in reasons(result)["ImageNet-1k", "CLIPNDetector"]
    for row in by_cell(result).values():
        assert 0 <= row["auroc"] <= 100
        assert 0 <= row["fpr95"] <= 100
        assert row["n_id"] == N_TEST * len(CLASSES)
        assert row["n_ood"] == N_OOD
    text = result.tables.read_text()
    assert all(f"| {name} |" in text for name in everyone)


def test_figures_are_those_of_the_detector_itself(run, imagenet):
    row = by_cell(run(detectors=["MCMDetector"]))["ImageNet-1k", "MCMDetector", "SUN", 0]
    detector = skneg.MCMDetector(model="skneg-tiny")
    test = [p for w in WNIDS for p in sorted((imagenet / "imagenet" / "val" / w).iterdir())]
    detector.fit(test, class_names=CLASSES)
    known = detector.score_samples(test)
    unknown = detector.score_samples(sorted((imagenet / "SUN" / "images").iterdir()))
    assert row["auroc"] == pytest.approx(100 * auroc(known, unknown))
    predicted = detector.predict_proba(test).argmax(axis=1)
    assert row["accuracy"] == pytest.approx(100 * np.mean(predicted == np.repeat(range(12), N_TEST)))


def test_id_accuracy_needs_no_unknown_images(run):
    result = run("id-accuracy")
    row = by_cell(result)["ImageNet-1k", "MCMDetector", None, 0]
    assert row["accuracy"] > 50
    assert "auroc" not in row
    line = next(x for x in result.tables.read_text().splitlines() if x.startswith("| MCMDetector"))
    assert "67.0" in line


def test_seeds_run_where_they_matter(run):
    result = run(seeds=2)
    seeds = {name: {c[3] for c in by_cell(result) if c[1] == name} for name in FEW}
    assert seeds == {"NegPromptDetector": {0, 1}, "MCMDetector": {0}, "KNNDetector": {0, 1}}
    assert "±" in next(x for x in result.tables.read_text().splitlines() if x.startswith("| KNNDetector"))


def _must_not_run(*args):
    raise AssertionError("a finished cell ran again")


def test_a_file_in_the_place_of_the_folder_is_refused(run, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match="out=.*cannot be written"):
        run(detectors=["MCMDetector"])


def test_a_second_detector_encodes_nothing(run, monkeypatch, tmp_path):
    run(detectors=["MCMDetector"], cache=tmp_path / "own")
    monkeypatch.setattr(ImageTower, "encode", _must_not_run)
    run(detectors=["EnergyDetector"], cache=tmp_path / "own")


def test_a_class_with_too_few_images_is_named_before_anything_runs(run, monkeypatch):
    monkeypatch.setattr(run_module._Run, "cell", _must_not_run)
    with pytest.raises(InputError, match=r"'anchor' .*n10000000.* has 5 images, fewer than shots=6"):
        run(shots=6)


def test_a_broken_image_stops_the_run(run, imagenet, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(imagenet, root)
    next((root / "SUN" / "images").iterdir()).write_bytes(b"broken")
    with pytest.raises(ImageError):
        run(data=root, detectors=["MCMDetector"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "imagenet-fat"}, "Did you mean 'imagenet-far'"),
        ({"detectors": ["MCMDetecter"]}, "Did you mean 'MCMDetector'"),
        ({"detectors": ["MCMDetector.paper"]}, "no recipe"),
        ({"detectors": ["NegPromptDetector.fit"]}, "no recipe"),
        ({"settings": {"MCMDetector": {"temperature": 1}}}, "no parameter 'temperature'"),
        ({"settings": {"MCM": {"templates": "{}"}}}, "'MCM', which is not a detector"),
        ({"only": ["Split-9"]}, "no experiment 'Split-9'"),
        ({"data": None}, r"needs data=[\s\S]*ImageNet train: imagenet/train[\s\S]*SUN"),
        ({"data": "gone"}, r"'gone' is no folder[\s\S]*ImageNet train: imagenet/train[\s\S]*SUN"),
        ({"settings": {"MCMDetector": {"score_temperature": -1}}}, "MCMDetector.*score_temperature"),
        ({"backbones": [("skneg-tiny", None)]}, "imagenet-far runs on one model"),
        ({"protocol": "ablation"}, "leave model="),
        ({"protocol": "ablation", "model": None, "pretrained": "openai"}, "pretrained= out"),
        ({"protocol": "ablation", "model": None, "backbones": []}, "one or more pairs"),
        ({"protocol": "ablation", "model": None, "backbones": ["RN50"]}, "pairs"),
        ({"seeds": 0}, "seeds"),
        ({"protocol": "scenes", "model": "ViT-B-16"}, "leave model= out"),
    ],
)
def test_what_cannot_be_used_is_named(run, options, message):
    with pytest.raises(SknegError, match=message):
        run(**options)


@pytest.mark.parametrize("recipe", ["paper", "released"])
def test_recipes_of_a_detector_are_rows_of_their_own(run, recipe):
    result = run(detectors=["NegPromptDetector", f"NegPromptDetector.{recipe}"])
    assert f"| NegPromptDetector.{recipe} |" in result.tables.read_text()

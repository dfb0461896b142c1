"""Protocols end to end on miniatures of their data, resuming, and what is refused."""

import json
import shutil

import numpy as np
import pytest

import skneg
from skneg import SknegError
from skneg.backbone import ImageTower
from skneg.benchmarks import PROTOCOLS, run_benchmark
from skneg.benchmarks import _cells as cells_module
from skneg.benchmarks._journal import alone_in
from skneg.errors import ImageError, InputError
from skneg.metrics import auroc

from .conftest import CLASSES, N_OOD, N_TEST, WNIDS, quick

FEW = ("NegPromptDetector", "MCMDetector", "KNNDetector")


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """Embeddings shared by all runs of the session, as `cache=` is meant to be."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def run(tmp_path, imagenet, cache):
    def go(protocol="imagenet-far", **options):
        defaults = {
            "data": imagenet, "out": tmp_path / "out", "detectors": FEW, "seeds": 1, "shots": 2,
            "model": "skneg-tiny", "cache": cache, "configure": quick, "figures": False,
        }  # fmt: skip
        return run_benchmark(protocol, **{**defaults, **options})

    return go


def by_cell(result):
    return {
        (r["experiment"], r["detector"], r["dataset"], r["seed"]): r for r in result.rows if "reason" not in r
    }


def reasons(result):
    return {(r["experiment"], r["detector"]): r["reason"] for r in result.rows if "reason" in r}


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


def test_hard_splits(run):
    cells = by_cell(run("imagenet-hard"))
    assert {cell[0] for cell in cells} == {"Split-1", "Split-2", "Split-3", "Split-4"}
    sizes = {cell[0]: (row["n_id"], row["n_ood"]) for cell, row in cells.items()}
    expected = {"Split-1": (8, 4), "Split-2": (5, 6), "Split-3": (6, 6), "Split-4": (4, 8)}
    assert sizes == {name: (N_TEST * k, N_TEST * m) for name, (k, m) in expected.items()}


def test_open_vocabulary_knows_classes_it_has_not_seen(run):
    result = run("open-vocabulary", detectors=(*FEW, "LSNDetector"))
    cells = by_cell(result)
    assert {cell[0] for cell in cells} == {
        "ImageNet-1k (10 %)", *(f"Split-{i} (10 %)" for i in range(1, 5))
    }  # fmt: skip
    assert {name for _, name in reasons(result)} == {"KNNDetector", "LSNDetector"}
    assert cells["Split-3 (10 %)", "NegPromptDetector", "Split-3", 0]["n_id"] == 6 * N_TEST
    # More than the two trained classes are recognised.
    assert cells["ImageNet-1k (10 %)", "NegPromptDetector", "SUN", 0]["accuracy"] > 2 / 12 * 100


def test_id_accuracy_needs_no_unknown_images(run):
    result = run("id-accuracy")
    row = by_cell(result)["ImageNet-1k", "MCMDetector", None, 0]
    assert row["accuracy"] > 50
    assert "auroc" not in row
    line = next(x for x in result.tables.read_text().splitlines() if x.startswith("| MCMDetector"))
    assert "67.0" in line


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


@pytest.mark.parametrize("name", ["openood-near", "openood-far"])
def test_openood(run, name):
    datasets = {cell[2] for cell in by_cell(run(name))}
    near, far = {"SSB-hard", "NINCO"}, {"iNaturalist", "Textures", "OpenImage-O"}
    assert datasets == (near if name == "openood-near" else far)


def test_openood_lists_take_the_place_of_folders(run, imagenet, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(imagenet, root)
    images = sorted((root / "images_largescale" / "ninco").iterdir())[:5]
    lists = root / "benchmark_imglist" / "imagenet"
    lists.mkdir(parents=True)
    (lists / "test_ninco.txt").write_text("".join(f"ninco/{p.name} -1\n" for p in images))
    val = [p for w in WNIDS for p in sorted((root / "imagenet" / "val" / w).iterdir())[:1]]
    (lists / "test_imagenet.txt").write_text(
        "".join(f"imagenet/val/{p.parent.name}/{p.name} {i}\n" for i, p in enumerate(val))
    )
    cells = by_cell(run("openood-near", data=root, detectors=["MCMDetector"]))
    row = cells["ImageNet-1k", "MCMDetector", "NINCO", 0]
    assert (row["n_id"], row["n_ood"]) == (12, 5)
    assert row["accuracy"] > 50  # the numbers of the list are positions of the class folders


def test_scenes(run):
    cells = by_cell(run("scenes", data=None, model=None, detectors=["MCMDetector"], seeds=3))
    assert {cell[2:] for cell in cells} == {("near", 0), ("far", 0)}
    assert cells["scenes", "MCMDetector", "near", 0]["auroc"] == pytest.approx(93.47, abs=0.3)


@pytest.mark.slow
def test_scenes_with_every_detector(run):
    result = run("scenes", data=None, model=None, detectors=None)
    assert not reasons(result)


def test_real_features(run, features):
    everyone = [info.name for info in skneg.list_detectors()]
    result = run(
        "real-features", data=features, model=None, detectors=everyone,
        only=["Split-4", "Split-4 (10 %)", "1,000 ID"],
    )  # fmt: skip
    cells = by_cell(result)
    assert {cell[2] for cell in cells if cell[0] == "Split-4"} == {"Split-4", "dtd"}
    assert {cell[2] for cell in cells if cell[0] == "1,000 ID"} == {"dtd"}
    assert {name for experiment, name in reasons(result) if experiment == "Split-4"} == {
        "GLMCMDetector", "ODINDetector", "LoCoOpDetector", "SCTDetector", "CLIPNDetector", "ZOCDetector"
    }  # fmt: skip
    assert "1,000 classes" in reasons(result)["1,000 ID", "LSNDetector"]
    assert cells["Split-4", "MCMDetector", "dtd", 0]["accuracy"] > 80


def test_photos_are_tested_on_what_was_not_drawn(run, imagenet, tmp_path):
    root = tmp_path / "photos"
    for wnid, name in zip(WNIDS[:3], CLASSES, strict=False):
        shutil.copytree(imagenet / "imagenet" / "train" / wnid, root / "id" / name)
    shutil.copytree(imagenet / "SUN", root / "ood_sun")
    (root / "outlier_names.txt").write_text("ladder\n\noctopus\nLadder\n")
    result = run(
        "photos", data=root, detectors=["MCMDetector", "EOEDetector", "NegPromptDetector"], seeds=2,
        configure=None,
        settings={"NegPromptDetector": {"recipe__positive_steps": 1, "recipe__negative_steps": 1}},
    )  # fmt: skip
    cells = by_cell(result)
    assert {cell[3] for cell in cells} == {0, 1}
    assert {row["n_id"] for row in cells.values()} == {3 * 3}
    assert not reasons(result)


def test_seeds_run_where_they_matter(run):
    result = run(seeds=2)
    seeds = {name: {c[3] for c in by_cell(result) if c[1] == name} for name in FEW}
    assert seeds == {"NegPromptDetector": {0, 1}, "MCMDetector": {0}, "KNNDetector": {0, 1}}
    assert "±" in next(x for x in result.tables.read_text().splitlines() if x.startswith("| KNNDetector"))


def test_a_finished_run_is_read_back(run, monkeypatch):
    first = run()
    monkeypatch.setattr(cells_module.Run, "_measure", _must_not_run)
    again = run()
    assert again.rows == first.rows
    assert again.tables.read_text() == first.tables.read_text()


def _must_not_run(*args):
    raise AssertionError("a finished cell ran again")


def test_an_interrupted_run_goes_on(run, monkeypatch):
    whole = run(seeds=2)
    lines = whole.results.read_bytes().splitlines(keepends=True)
    whole.results.write_bytes(b"".join(lines[:6]) + lines[6][: len(lines[6]) // 2])  # cut off in line 7
    measured = []
    measure = cells_module.Run._measure

    def watched(self, task, spec, seed, detector, drawn, todo):
        measured.extend((spec.label, seed, name) for name in todo)
        yield from measure(self, task, spec, seed, detector, drawn, todo)

    monkeypatch.setattr(cells_module.Run, "_measure", watched)
    again = run(seeds=2)
    figures = ("auroc", "fpr95", "accuracy")
    for cell, row in by_cell(whole).items():
        assert [by_cell(again)[cell][f] for f in figures] == pytest.approx([row[f] for f in figures])
    kept = {(r["detector"], r["seed"], r["dataset"]) for r in map(json.loads, lines[1:6])}
    assert kept.isdisjoint(measured)
    assert len(kept) + len(measured) == len(whole.rows)


def test_more_seeds_and_detectors_join_a_finished_run(run):
    run(detectors=["MCMDetector"])
    result = run(detectors=["KNNDetector"], seeds=2)
    assert {row["detector"] for row in result.rows} == {"MCMDetector", "KNNDetector"}
    assert "| MCMDetector |" in result.tables.read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shots": 3}, "shots was 2, is 3"),
        ({"protocol": "imagenet-hard"}, "protocol was 'imagenet-far'"),
        ({"settings": {"KNNDetector": {"n_neighbors": 2}}}, "KNNDetector.*another out="),
    ],
)
def test_results_of_another_configuration_are_not_mixed_in(run, change, message):
    before = run(detectors=["KNNDetector"]).results
    content = before.read_bytes()
    with pytest.raises(InputError, match=message):
        run(**{"protocol": "imagenet-far", "detectors": ["KNNDetector"], **change})
    assert before.read_bytes() == content


def test_other_defaults_are_another_configuration(run, monkeypatch):
    run(detectors=["KNNDetector"])
    monkeypatch.setitem(skneg.KNNDetector.__init__.__kwdefaults__, "n_neighbors", 3)
    with pytest.raises(InputError, match="KNNDetector.*another out="):
        run(detectors=["KNNDetector"])


def test_other_images_are_another_configuration(run, imagenet, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(imagenet, root)
    run(data=root, detectors=["MCMDetector"])
    next((root / "SUN" / "images").iterdir()).unlink()
    with pytest.raises(InputError, match="images"):
        run(data=root, detectors=["MCMDetector"])


@pytest.mark.parametrize("part", ["SUN", "imagenet/val", "imagenet/train"])
def test_other_images_of_the_same_names_and_sizes_are_another_configuration(run, imagenet, tmp_path, part):
    root = tmp_path / "data"
    shutil.copytree(imagenet, root)
    run(data=root, detectors=["KNNDetector"], shots=5)
    one = sorted((root / part).rglob("*.png"))[0]
    one.write_bytes(one.read_bytes()[:-1] + b"!")  # the last byte of the checksum that ends a PNG
    with pytest.raises(InputError, match="images"):
        run(data=root, detectors=["KNNDetector"], shots=5)


def test_copied_images_are_the_same_configuration(run, imagenet, tmp_path):
    shutil.copytree(imagenet, tmp_path / "copy", copy_function=shutil.copyfile)
    first = run(detectors=["KNNDetector"])
    assert run(data=tmp_path / "copy", detectors=["KNNDetector"]).rows == first.rows


def test_what_a_later_seed_refuses_is_said(run, monkeypatch):
    measure = cells_module.Run._measure
    seen = []

    def refusing(self, task, spec, seed, *args):
        seen.append(seed)
        if seed == 1:
            raise InputError("seed 1 is unlucky")
        yield from measure(self, task, spec, seed, *args)

    monkeypatch.setattr(cells_module.Run, "_measure", refusing)
    result = run(detectors=["KNNDetector"], seeds=3)
    assert {cell[3] for cell in by_cell(result)} == {0, 2}
    assert "| KNNDetector | ImageNet-1k (seed 1) | seed 1 is unlucky |" in result.tables.read_text()
    run(detectors=["KNNDetector"], seeds=3)
    assert seen == [0, 1, 2]  # a refusal is read back too


def test_one_run_at_a_time_writes_to_a_folder(run, tmp_path):
    first = run(detectors=["MCMDetector"])
    held = first.results.read_bytes()
    with alone_in(tmp_path / "out"), pytest.raises(InputError, match="written by another run"):
        run(detectors=["KNNDetector"])
    assert first.results.read_bytes() == held
    assert len(run(detectors=["KNNDetector"]).rows) > len(first.rows)


def test_a_file_in_the_place_of_the_folder_is_refused(run, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match="out=.*no folder"):
        run(detectors=["MCMDetector"])


def test_folders_of_one_column_are_refused(run, imagenet, tmp_path):
    root = tmp_path / "photos"
    shutil.copytree(imagenet / "imagenet" / "train", root / "id")
    shutil.copytree(imagenet / "SUN", root / "ood-fish")
    result = run("photos", data=root, detectors=["MCMDetector"])
    assert {cell[2] for cell in by_cell(result)} == {"fish"}
    shutil.copytree(imagenet / "SUN", root / "oodfish")
    with pytest.raises(InputError, match="'ood-fish' and 'oodfish'"):
        run("photos", data=root, detectors=["MCMDetector"])


def test_a_file_of_something_else_is_refused(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "results.jsonl").write_text("name,score\n")
    with pytest.raises(InputError, match="line 1"):
        run()


def test_a_second_detector_encodes_nothing(run, monkeypatch, tmp_path):
    run(detectors=["MCMDetector"], cache=tmp_path / "own")
    monkeypatch.setattr(ImageTower, "encode", _must_not_run)
    run(detectors=["EnergyDetector"], cache=tmp_path / "own")


def test_everything_that_is_missing_is_said_at_once(run, imagenet, tmp_path, monkeypatch):
    root = tmp_path / "data"
    shutil.copytree(imagenet / "imagenet" / "val", root / "imagenet" / "val")
    monkeypatch.setattr(cells_module.Run, "encoder", _must_not_run)
    with pytest.raises(InputError) as refusal:
        run("open-vocabulary", data=root)
    message = str(refusal.value)
    for missing in ("ImageNet train", "iNaturalist", "SUN", "Places", "Textures", "splits_wnids.json"):
        assert missing in message
    assert "ImageNet val" not in message
    assert not (tmp_path / "out").exists()


def test_class_names_are_needed_where_folders_are_not_imagenet_s(run, imagenet, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(imagenet, root)
    (root / "class_names.json").unlink()
    with pytest.raises(InputError, match="class_names.json"):
        run(data=root)
    text = "".join(f"{w} {name}\n" for w, name in zip(WNIDS, CLASSES, strict=True))
    (root / "classnames.txt").write_text(text)
    assert by_cell(run(data=root, detectors=["MCMDetector"]))


def test_a_class_with_too_few_images_is_named_before_anything_runs(run, monkeypatch):
    monkeypatch.setattr(cells_module.Run, "_cell", _must_not_run)
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
        ({"settings": {"MCM": {"templates": "{}"}}}, "'MCM', which is no detector"),
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


def test_figures_are_drawn_for_negprompt(run):
    pytest.importorskip("matplotlib")
    names = [file.name for file in run(detectors=["NegPromptDetector"], figures=True).figures]
    assert names == [
        "imagenet-1k-negpromptdetector-map.png", "imagenet-1k-negpromptdetector-similarity.png"
    ]  # fmt: skip


def test_protocols_are_known_by_their_names():
    assert all(name == protocol.name for name, protocol in PROTOCOLS.items())
    assert {"imagenet-far", "imagenet-hard", "open-vocabulary", "id-accuracy", "ablation"} <= set(PROTOCOLS)

"""Images of files and of ready embeddings become tasks."""

import pickle
import shutil

import numpy as np
import pytest

import skneg
from skneg.benchmarks import run_benchmark
from skneg.benchmarks._protocols import find_protocol
from skneg.benchmarks._sources import image_tasks
from skneg.datasets import _protocols, make_far_ood
from skneg.errors import InputError

from .conftest import CLASSES, FEW, N_TEST, WNIDS, by_cell, reasons, write_images


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
        "GLMCMDetector", "ODINDetector", "LoCoOpDetector", "SCTDetector", "CLIPNDetector", "ZOCDetector",
        "IDLikeDetector", "LocalPromptDetector",
    }  # fmt: skip
    assert "1,000 classes" in reasons(result)["1,000 ID", "LSNDetector"]
    assert cells["Split-4", "MCMDetector", "dtd", 0]["accuracy"] > 80


def test_accuracy_is_right_whatever_the_order_of_the_names(run, features, tmp_path):
    root = tmp_path / "features"
    shutil.copytree(features, root, symlinks=True)
    file = root / "clip-vitb32-features" / "imagenet.npz"
    with np.load(file) as arrays:
        last = len(arrays["class_names"]) - 1
        turned = {name: last - arrays[name] for name in ("train_y", "test_y")}
        np.savez(file, **{**arrays, **turned, "class_names": arrays["class_names"][::-1]})
    result = run(
        "real-features", data=root, model=None, only=["Split-4", "Split-4 (10 %)"],
        detectors=["MCMDetector", "KNNDetector"],  # fitted without labels, and with
    )  # fmt: skip
    for (experiment, name, _, _), row in by_cell(result).items():
        assert row["accuracy"] > 60, (experiment, name)


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


@pytest.mark.filterwarnings("ignore:12 of 12 class names are numbers or codes")
def test_folders_of_one_column_are_refused(run, imagenet, tmp_path):
    root = tmp_path / "photos"
    shutil.copytree(imagenet / "imagenet" / "train", root / "id")
    shutil.copytree(imagenet / "SUN", root / "ood-fish")
    result = run("photos", data=root, detectors=["MCMDetector"])
    assert {cell[2] for cell in by_cell(result)} == {"fish"}
    shutil.copytree(imagenet / "SUN", root / "oodfish")
    with pytest.raises(InputError, match="'ood-fish' and 'oodfish'"):
        run("photos", data=root, detectors=["MCMDetector"])


def test_full_spectrum_counts_known_images_under_other_conditions_as_known(imagenet, tmp_path):
    shutil.copytree(imagenet, tmp_path / "data")
    root = tmp_path / "data"
    large = root / "images_largescale"
    for name in ("imagenet_v2", "imagenet_r"):
        shutil.copytree(root / "imagenet" / "val" / WNIDS[0], large / name / WNIDS[0])
    shutil.copytree(root / "imagenet" / "val" / WNIDS[2], large / "imagenet_c" / "blur" / "3")
    lists = root / "benchmark_imglist" / "imagenet"
    lists.mkdir(parents=True)
    (lists / "test_imagenet_c.txt").write_text("imagenet_c/blur/3/image001.png 2\n")
    plain, full = (
        image_tasks(find_protocol(name), root)[0] for name in ("openood-near", "openood-full-spectrum")
    )
    assert len(full.test) == len(plain.test) + 2 * N_TEST + 1
    assert full.test.labels[len(plain.test) :].tolist() == [0] * N_TEST + [2] + [0] * N_TEST
    assert set(full.ood) == {*plain.ood, "iNaturalist", "Textures", "OpenImage-O"}
    assert len(set(full.test.keys)) == len(full.test)


def test_a_set_that_experiments_share_is_read_once(imagenet, monkeypatch):
    read = []
    whole = _protocols.load_set
    monkeypatch.setattr(_protocols, "load_set", lambda root, key: read.append(key) or whole(root, key))
    tasks = image_tasks(find_protocol("open-vocabulary"), imagenet)
    assert len(tasks) == 5
    assert sorted(read) == sorted(set(read))


def test_cifar_from_its_archives(tmp_path):
    rng = np.random.default_rng(0)
    root = tmp_path / "data"
    for folder, labels in (("cifar-10-batches-py", "labels"), ("cifar-100-python", "fine_labels")):
        (root / folder).mkdir(parents=True)
        for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "train", "test"]:
            held = {labels: list(range(10)), "data": rng.integers(0, 256, (10, 3072), dtype=np.uint8)}
            (root / folder / name).write_bytes(pickle.dumps(held, protocol=2))
    names = ["tin", "mnist", "svhn", "texture", "places365"]
    for name in names:
        write_images(root / "images_classic" / name, make_far_ood(3, random_state=1))
    lists = root / "benchmark_imglist" / "cifar10"
    lists.mkdir(parents=True)
    for name in names:
        (lists / f"test_{name}.txt").write_text(f"{name}/image000.png -1\n{name}/image002.png -1\n")
    options = {
        "data": root,
        "model": "skneg-tiny",
        "shots": 2,
        "seeds": 1,
        "only": ["CIFAR-10"],
        "figures": False,
    }
    result = run_benchmark(
        "openood-cifar", out=tmp_path / "out", detectors=["MCMDetector", "KNNDetector"], **options
    )
    cells = by_cell(result)
    sizes = {cell[2]: (row["n_id"], row["n_ood"]) for cell, row in cells.items()}
    assert sizes.pop("CIFAR-100") == (10, 10)
    assert set(sizes.values()) == {(10, 2)}
    assert set(sizes) == {"Tiny ImageNet", "MNIST", "SVHN", "Textures", "Places365"}
    # Other pixels in the same places are measured anew.
    held = {"labels": list(range(10)), "data": rng.integers(0, 256, (10, 3072), dtype=np.uint8)}
    (root / "cifar-10-batches-py" / "test_batch").write_bytes(pickle.dumps(held, protocol=2))
    before = len(list((tmp_path / "out" / "cells").iterdir()))
    run_benchmark("openood-cifar", out=tmp_path / "out", detectors=["MCMDetector"], **options)
    assert len(list((tmp_path / "out" / "cells").iterdir())) == before + 1

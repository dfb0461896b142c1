"""Miniatures of the data folders: a few scenes in the layouts of the real sets."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from skneg import CLIPImageEncoder, Words
from skneg.backbone._tiny import TINY_FOLDER
from skneg.benchmarks import run_benchmark
from skneg.datasets import COLORS, SHAPE_NAMES, make_far_ood, make_scenes
from skneg.prompts import CoOpRecipe

CLASSES = sorted(SHAPE_NAMES[:24:2])
WNIDS = [f"n{10000000 + i}" for i in range(len(CLASSES))]
N_TRAIN, N_TEST, N_OOD = 5, 3, 12
FEW = ("NegPromptDetector", "MCMDetector", "KNNDetector")


def words_for(images):
    """Stands in for a caption model."""
    return [["fish", "tree"] if np.asarray(image).mean() > 120 else ["ladder"] for image in images]


COOP = {"recipe": CoOpRecipe(n_epochs=1, n_ctx=4)}
QUICK = {
    "NegPromptDetector": {"recipe__positive_steps": 2, "recipe__negative_steps": 3},
    "CoOpDetector": COOP,
    "LoCoOpDetector": COOP,
    "SCTDetector": COOP,
    "LSNDetector": COOP,
    "LocalPromptDetector": {**COOP, "n_negative": 4},
    "IDLikeDetector": {**COOP, "n_negative": 4, "n_crops": 2},
    "FADetector": {"recipe": CoOpRecipe(n_epochs=1, n_ctx=None, context_init="a photo of a")},
    "EOEDetector": {"outlier_names": ["ladder", "octopus"]},
    "NegLabelDetector": {"words": Words(SHAPE_NAMES, fraction=0.5), "n_groups": 3},
    "CSPDetector": {
        "words": Words(SHAPE_NAMES, fraction=0.5), "adjectives": list(COLORS),
        "superclasses": ["thing"], "n_groups": 3,
    },
    "NegRefineDetector": {
        "words": Words(SHAPE_NAMES, fraction=0.5), "adjectives": list(COLORS),
        "superclasses": ["thing"], "n_groups": 3,
    },
    "ZOCDetector": {"candidate_labels": words_for},
}  # fmt: skip


def quick(label, experiment, parameters):
    """What `configure` of `run_benchmark` takes: settings with which every detector is done at once."""
    own = {k: v for k, v in parameters.items() if k not in ("context_init", "train_batch_size")}
    return {**own, **QUICK.get(label.partition(".")[0], {}), **_varied(parameters)}


def _varied(parameters):
    return {k: parameters[k] for k in parameters if k in ("recipe__n_negative", "recipe__one_stage")}


def write_images(folder, images, prefix="image"):
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{prefix}{i:03d}.png")


@pytest.fixture(scope="session")
def imagenet(tmp_path_factory):
    """A data folder with every set of every ImageNet protocol, in miniature; read it, do not change it."""
    root = tmp_path_factory.mktemp("data")
    for part, count, seed in (("train", N_TRAIN, 0), ("val", N_TEST, 1)):
        for wnid, shape in zip(WNIDS, CLASSES, strict=True):
            images, _ = make_scenes(count, shapes=[shape], random_state=seed)
            write_images(root / "imagenet" / part / wnid, images)
    strange = sorted(set(SHAPE_NAMES) - set(CLASSES))
    near, _ = make_scenes(4 * N_OOD, shapes=strange, random_state=2)
    far = make_far_ood(3 * N_OOD, random_state=3)
    write_images(root / "iNaturalist" / "images", near[:N_OOD])
    write_images(root / "SUN" / "images", near[N_OOD : 2 * N_OOD])
    write_images(root / "Places" / "images", near[2 * N_OOD : 3 * N_OOD])
    write_images(root / "dtd" / "images" / "banded", far[:N_OOD])
    write_images(root / "images_largescale" / "ssb_hard" / "n00000001", near[3 * N_OOD :])
    write_images(root / "images_largescale" / "ninco", far[N_OOD : 2 * N_OOD])
    write_images(root / "images_largescale" / "openimage_o" / "images", far[2 * N_OOD :])
    (root / "class_names.json").write_text(json.dumps(dict(zip(WNIDS, CLASSES, strict=True))))
    (root / "splits_wnids.json").write_text(json.dumps(splits_of(WNIDS)))
    return root


def splits_of(wnids):
    """Four splits of the twelve classes, in the format of the real file."""
    halves = [(wnids[0:8], wnids[8:12]), (wnids[0:5], wnids[6:12]), (wnids[0::2], wnids[1::2])]
    splits = {
        f"split{i}": {"id": known, "ood": unknown, "open_vocab_first10pct": known[:2]}
        for i, (known, unknown) in enumerate(halves, 1)
    }
    return {**splits, "split4": {"id": wnids[:4], "ood": wnids[4:]}}


@pytest.fixture(scope="session")
def features(tmp_path_factory):
    """The folder of `real-features` in miniature: embeddings of scenes, and the shipped model."""
    root = tmp_path_factory.mktemp("features")
    folder = root / "clip-vitb32-features"
    folder.mkdir()
    encoder = CLIPImageEncoder(model="skneg-tiny")
    parts = {}
    for part, count, seed in (("train", 4, 0), ("test", 3, 1)):
        images, shapes = make_scenes(count * len(CLASSES), shapes=CLASSES, random_state=seed)
        y = np.searchsorted(CLASSES, shapes)
        order = np.argsort(y, kind="stable")
        parts |= {part: encoder.transform(images)[order].astype(np.float16), f"{part}_y": y[order]}
    np.savez(folder / "imagenet.npz", class_names=np.array(CLASSES), **parts)
    dtd = encoder.transform(make_far_ood(20, random_state=2)).astype(np.float16)
    np.savez(folder / "ood.npz", dtd=dtd)
    np.savez(folder / "word_bank.npz", names=np.array([*SHAPE_NAMES, "peeler_(tool)", *CLASSES[:2]]))
    (root / "clip-student").symlink_to(TINY_FOLDER)
    (root / "splits_wnids.json").write_text(json.dumps(splits_of(WNIDS)))
    return root


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

"""Detectors as files: what survives, what is refused, what a crash or a full disk leaves."""

import errno
import json
import os
import pickle
import platform
import random
import signal
import stat
import subprocess
import sys
import time
import tracemalloc
from importlib import metadata
from pathlib import Path

import joblib
import numpy as np
import open_clip
import pytest
import torch
from safetensors.numpy import load_file, save_file
from sklearn import config_context
from sklearn.exceptions import NotFittedError

import skneg
from skneg._files import _DIGEST, UNFINISHED, _digest
from skneg.backbone._tiny import WEIGHTS_NAME
from skneg.bank import TextBank
from skneg.base import OpenSetDetector
from skneg.errors import InputError, InputTypeError, PersistenceError, SknegError
from skneg.persistence import _detectors, read_header

from ..conftest import KNOWN, STRANGE, random_unit
from ..test_common import BY_IMAGES, EXCUSED, LOCAL, NAMES, OWN_PROMPTS, PIXELS, make_detector, words_for
from .conftest import assert_answers_alike, forge, sha256, with_bank

CLOSED = {name for (name, _), why in EXCUSED.items() if why in (BY_IMAGES, OWN_PROMPTS)}
PIXEL_READERS = {name for (name, _), why in EXCUSED.items() if why == PIXELS}


@pytest.mark.parametrize("name", NAMES)
def test_every_detector_answers_alike_after_loading(name, scenes, embedded, no_encoder, tmp_path):
    sees_more = name in {*LOCAL, *PIXEL_READERS}
    X, y = (scenes[0][:60], scenes[1][:60]) if sees_more else embedded
    back = {"candidate_labels": words_for} if name == "ZOCDetector" else {}
    detector = make_detector(name, no_encoder, contamination=0.1).fit(X, y)
    detector.save(tmp_path / "a.skneg")
    again = skneg.load(tmp_path / "a.skneg", **back)
    assert type(again) is type(detector)
    assert repr(again.get_params()) == repr(detector.get_params())
    assert vars(again).keys() == vars(detector).keys()
    assert_answers_alike(detector, again, X[:20])
    assert again.backbone_ == detector.backbone_

    names = KNOWN[:5] if name in CLOSED else STRANGE
    detector.set_vocabulary(names)
    again.set_vocabulary(names)
    np.testing.assert_array_equal(again.score_samples(X[:9]), detector.score_samples(X[:9]))
    assert again.offset_ == pytest.approx(detector.offset_, abs=1e-3)
    again.save(tmp_path / "b.skneg")
    assert_answers_alike(again, type(again).load(tmp_path / "b.skneg", **back), X[:9])


def test_a_fresh_process_gives_the_same_bits(learned, scenes, tmp_path):
    learned.save(tmp_path / "a.skneg")
    np.save(tmp_path / "X.npy", scenes[0][:20])
    code = (
        "import numpy as np, skneg, sys; d = skneg.load('a.skneg');"
        "np.save('scores.npy', d.decision_function(np.load('X.npy')))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(skneg.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, env=environment)
    np.testing.assert_array_equal(np.load(tmp_path / "scores.npy"), learned.decision_function(scenes[0][:20]))


@pytest.mark.parametrize(
    ("names", "unknown_label", "labels"),
    [
        ({3: "Ångström", 7: "日本語 の 名", 9: "🦊"}, "auto", [3, 7, 9]),
        ({"b": "bee", "a": 'quote " \\ \n'}, None, ["a", "b"]),
        (("ant", "bee"), "nothing known", ["ant", "bee"]),
    ],
)
@pytest.mark.filterwarnings("ignore:X lies far")
def test_names_and_labels_of_all_kinds_survive(names, unknown_label, labels, tmp_path):
    detector, X = with_bank(names, unknown_label=unknown_label)
    detector.save(tmp_path / "a.skneg")
    again = skneg.load(tmp_path / "a.skneg")
    assert again.classes_.tolist() == labels
    assert again.class_names_ == detector.class_names_
    assert again.class_names == names
    assert type(again.class_names) is type(names)
    assert again.unknown_label_ == detector.unknown_label_
    assert_answers_alike(detector, again, np.concatenate([X, -X]))


def test_classes_without_images_survive(embedded, tmp_path):
    X, y = embedded
    numbers = np.searchsorted(sorted(KNOWN), y)
    detector = skneg.NegPromptDetector(
        model="skneg-tiny", class_names=[*sorted(KNOWN), *STRANGE],
        recipe=skneg.PromptRecipe(positive_steps=1, negative_steps=1),
        random_state=np.random.RandomState(3),
    ).fit(X, numbers)  # fmt: skip
    detector.save(tmp_path / "a.skneg")
    again = skneg.load(tmp_path / "a.skneg")
    assert again.classes_.tolist() == list(range(10))
    assert_answers_alike(detector, again, X)
    assert again.random_state.randint(1000) == detector.random_state.randint(1000)


@pytest.mark.parametrize("refit", [False, True])
def test_ensembles_are_saved_with_their_members(refit, scenes, embedded, tmp_path):
    X, y = embedded
    parts = [
        skneg.NegPromptDetector(
            model="skneg-tiny",
            recipe=skneg.PromptRecipe(positive_steps=1, negative_steps=1),
            contamination=0.1,
            random_state=0,
        ),
        skneg.KNNDetector(contamination=0.1, random_state=0),
    ]
    members = parts if refit else [part.fit(X, y) for part in parts]
    ensemble = skneg.ScoreEnsemble(members, method="rank", contamination=0.1)
    if refit:
        ensemble.fit(X, y)
    ensemble.save(tmp_path / "a.skneg")
    again = skneg.ScoreEnsemble.load(tmp_path / "a.skneg", batch_size=3)
    assert_answers_alike(ensemble, again, X)
    assert again.offset_ == ensemble.offset_
    assert hasattr(again.detectors[0], "classes_") is not refit
    assert again.detectors[0].batch_size == again.detectors[1].batch_size == 3
    assert_answers_alike(again, pickle.loads(pickle.dumps(again)), X)
    narrowed = again.set_vocabulary(KNOWN[:5])
    narrowed.save(tmp_path / "b.skneg")
    assert_answers_alike(narrowed, skneg.load(tmp_path / "b.skneg"), X)


@pytest.mark.parametrize("given", ["constructor", "set_vocabulary"])
def test_a_given_text_bank_survives(given, tmp_path):
    rng = np.random.default_rng(0)
    positive, negative = (rng.normal(size=(n, 8)).astype(np.float32) for n in (2, 4))
    bank = TextBank(positive, negative, 2)
    detector = skneg.MCMDetector(text_bank=bank, class_names=["a", "b"])
    detector.fit(positive.repeat(20, axis=0))
    if given == "set_vocabulary":
        bank = TextBank(negative[:2], positive, 1)
        detector.set_vocabulary(["b", "a"], text_bank=bank)
    detector.save(tmp_path / "a.skneg")
    again = skneg.load(tmp_path / "a.skneg")
    stored = again.text_bank if given == "constructor" else again.given_bank_
    assert stored.per_class == bank.per_class
    for part in ("positive", "negative", "common"):
        np.testing.assert_array_equal(getattr(stored, part), getattr(bank, part), strict=True)
        np.testing.assert_array_equal(getattr(again.text_bank_, part), getattr(detector.text_bank_, part))
    assert_answers_alike(detector, again, negative)


def test_requests_for_metadata_are_no_hindrance(saved):
    path, detector, X = saved
    with config_context(enable_metadata_routing=True):
        routed = skneg.MCMDetector(**detector.get_params()).set_fit_request(class_names=True).fit(X)
        routed.save(path)
    assert_answers_alike(routed, skneg.load(path), X)


def test_attributes_that_a_detector_does_not_learn_are_refused(saved):
    path, detector, _ = saved
    before = sha256(path)
    detector.note = "tuned by hand"
    with pytest.raises(PersistenceError, match="attribute 'note', which MCMDetector does not learn"):
        detector.save(path)
    assert sha256(path) == before


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        (3, InputTypeError, "got 3"),
        (b"a.skneg", InputTypeError, "got b'a.skneg'"),
        (open, InputTypeError, "path must be a str"),
        ("a\0.skneg", PersistenceError, "NUL"),
        ("~nobody-of-this-name/a.skneg", PersistenceError, "home directory"),
        ("", PersistenceError, "not a"),
    ],
)
def test_what_is_no_path_is_refused_with_a_typed_error(path, error, message, saved):
    for call in (saved[1].save, skneg.load, skneg.MCMDetector.load, read_header):
        with pytest.raises(error, match=message):
            call(path)


class TestChangedParameters:
    def test_that_change_no_bank_are_saved(self, learned, embedded, tmp_path):
        detector = pickle.loads(pickle.dumps(learned))
        detector.set_params(
            contamination=0.2, negative_weight=0.7, score_temperature=0.02, recipe__n_negative=5,
            batch_size=3, random_state=np.random.RandomState(1), verbose=True,
        )  # fmt: skip
        detector.calibrate().save(tmp_path / "a.skneg")
        assert_answers_alike(detector, skneg.load(tmp_path / "a.skneg"), embedded[0])

    def test_that_are_not_usable_are_refused_before_a_file_is_written(self, saved):
        path, detector, _ = saved
        before = sha256(path)
        with pytest.raises(InputError, match="contamination must lie between"):
            detector.set_params(contamination=5).save(path)
        assert sha256(path) == before


def test_own_subclasses_and_unfitted_detectors_are_not_saved(tmp_path):
    class Mine(skneg.MCMDetector):
        pass

    with pytest.raises(NotFittedError):
        skneg.MCMDetector().save(tmp_path / "a.skneg")
    own = Mine(text_bank=np.eye(2), class_names=["a", "b"]).fit(np.eye(2).repeat(20, axis=0))
    with pytest.raises(PersistenceError, match="Mine is not a detector of skneg"):
        own.save(tmp_path / "a.skneg")
    assert not list(tmp_path.iterdir())


def test_a_function_is_asked_for_again(scenes, tmp_path):
    X, y = scenes[0][:40], scenes[1][:40]
    detector = skneg.ZOCDetector(candidate_labels=words_for, model="skneg-tiny").fit(X, y)
    detector.save(tmp_path / "a.skneg")
    with pytest.raises(PersistenceError, match=r"words_for.*load\(path, candidate_labels=\.\.\.\)"):
        skneg.load(tmp_path / "a.skneg")
    assert skneg.load(tmp_path / "a.skneg", candidate_labels=words_for).candidate_labels is words_for


def test_a_load_of_another_class_is_refused(saved):
    path = saved[0]
    with pytest.raises(PersistenceError, match="holds a MCMDetector, not a NegPromptDetector"):
        skneg.NegPromptDetector.load(path)
    assert type(skneg.MCMDetector.load(path)) is type(OpenSetDetector.load(path)) is skneg.MCMDetector
    # LSNDetector derives from CoOpDetector.
    forge(path, lambda header, _: header["detector"].update({"class": "LSNDetector"}))
    with pytest.raises(PersistenceError, match="LSNDetector, not a CoOpDetector"):
        skneg.CoOpDetector.load(path)


def test_only_where_and_how_to_compute_can_be_replaced(saved):
    path = saved[0]
    assert skneg.load(path, batch_size=7).batch_size == 7
    with pytest.raises(InputError, match="cannot replace 'contamination'"):
        skneg.load(path, contamination=0.1)
    with pytest.raises(InputError, match="no detector with a parameter 'no_encoder'"):
        skneg.load(path, no_encoder="x")


@pytest.mark.parametrize(
    "given",
    [
        {"model": "other"}, {"pretrained": "weights"}, {"device": "cpu"}, {"precision": "bf16"},
        {"batch_size": 3}, {"verbose": True}, {"model": "other", "pretrained": "weights"},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_replaced_is_so_and_the_rest_stays(given, saved):
    path, detector, X = saved
    again = skneg.load(path, **given)
    assert {name: getattr(again, name) for name in given} == given
    before, after = (
        repr({k: v for k, v in one.get_params().items() if k not in given}) for one in (detector, again)
    )
    assert before == after
    assert_answers_alike(detector, again, X)


def test_another_model_has_no_weights_of_the_old_one(tmp_path):
    detector, _ = with_bank(["cat", "dog"], pretrained="weights")
    detector.save(tmp_path / "a.skneg")
    assert skneg.load(tmp_path / "a.skneg").pretrained == "weights"
    assert skneg.load(tmp_path / "a.skneg", model="other").pretrained is None


def test_the_versions_that_wrote_it_are_recorded(saved):
    versions = read_header(saved[0])["versions"]
    libraries = ("numpy", "scikit-learn", "safetensors", "torch", "open_clip_torch")
    expected = {name: metadata.version(name) for name in libraries}
    assert versions == {**expected, "skneg": skneg.__version__, "python": platform.python_version()}


def test_a_library_without_a_version_is_no_hindrance(saved, monkeypatch):
    def version(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(_detectors, "version", version)
    saved[1].save(saved[0])
    assert read_header(saved[0])["versions"]["torch"] is None
    skneg.load(saved[0])


@pytest.fixture(scope="module")
def many():
    """Calibration images that take 2 MiB, and one more."""
    return random_unit(np.random.default_rng(0), 2**21 // 64 + 1)


def on_images(X):
    bank = np.eye(2, 16, dtype=np.float32)
    return skneg.MCMDetector(text_bank=bank, class_names=["a", "b"]).fit(X)


@pytest.mark.parametrize("exact", [True, False])
def test_many_calibration_images_are_stored_in_half_precision(exact, many, tmp_path):
    X = many[1:] if exact else many
    detector = on_images(X)
    detector.save(tmp_path / "a.skneg")
    again = skneg.load(tmp_path / "a.skneg")
    assert (again.calibration_embeddings_ == detector.calibration_embeddings_).all() == exact
    assert again.calibration_embeddings_.dtype == np.float32
    np.testing.assert_allclose(again.calibration_embeddings_, detector.calibration_embeddings_, atol=1e-3)
    assert_answers_alike(detector, again, X[:50])


def test_those_of_members_are_stored_exactly_under_their_names(many, tmp_path):
    members = [on_images(many), on_images(many[:999])]
    skneg.ScoreEnsemble(members).save(tmp_path / "a.skneg")
    again = skneg.load(tmp_path / "a.skneg")
    for one, other in zip(members, again.detectors, strict=True):
        np.testing.assert_array_equal(one.calibration_embeddings_, other.calibration_embeddings_)
    assert {"detectors[0].calibration_embeddings_", "detectors[1].offset_"} & set(
        load_file(tmp_path / "a.skneg")
    )


class TestSize:
    @pytest.mark.filterwarnings("ignore:labels and names agree")
    def test_a_thousand_classes_take_less_than_20_mb(self, tmp_path):
        # 512-d as ViT-B/16, 16 shots; 1 million images x classes of cross-fitted evidence set the threshold.
        vision = {"layers": [1, 1, 1, 1], "width": 16, "image_size": 64}
        text = {"context_length": 32, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1}
        torch.manual_seed(0)
        network = open_clip.CLIP(embed_dim=512, vision_cfg=vision, text_cfg=text)
        save_file({k: v.numpy() for k, v in network.state_dict().items()}, tmp_path / WEIGHTS_NAME)
        config = {
            "model_cfg": {"embed_dim": 512, "vision_cfg": vision, "text_cfg": text},
            "preprocess_cfg": {},
        }
        (tmp_path / "open_clip_config.json").write_text(json.dumps(config))

        X = np.random.default_rng(0).normal(size=(16_000, 512)).astype(np.float32)
        y = np.repeat([f"class {i} with a name" for i in range(1000)], 16)
        detector = skneg.NegPromptDetector(
            model=f"local-dir:{tmp_path}",
            recipe=skneg.PromptRecipe(positive_steps=0, negative_steps=0, n_ctx=16, context_init=None),
            words=None,
            random_state=0,
        ).fit(X, y)
        assert len(detector.calibration_embeddings_) == 2**20 // 1000
        assert detector.text_bank_.negative.shape == (2000, 512)
        detector.save(tmp_path / "a.skneg")
        wider = 3 * 16 * (512 - 64) * 4  # contexts of ViT-B/16 are 512 wide
        assert (tmp_path / "a.skneg").stat().st_size + wider < 20e6

        again = skneg.load(tmp_path / "a.skneg")
        assert_answers_alike(detector, again, X[:50])
        np.testing.assert_array_equal(again.calibration_embeddings_, detector.calibration_embeddings_)
        again.calibrate()
        assert again.offset_ == pytest.approx(detector.offset_, rel=1e-3)

    def test_few_calibration_images_are_kept_exactly(self, learned, tmp_path):
        learned.save(tmp_path / "a.skneg")
        again = skneg.load(tmp_path / "a.skneg")
        np.testing.assert_array_equal(again.calibration_embeddings_, learned.calibration_embeddings_)
        words = learned.text_bank_.common.nbytes / 2  # in float16
        covariance = learned.joint_score_.images.whitener.nbytes
        images = learned.joint_score_.nearest.embeddings.nbytes / 2
        assert (tmp_path / "a.skneg").stat().st_size < 200_000 + words + covariance + images

    def test_joblib_and_pickle_hold_no_weights(self, learned, embedded, tmp_path):
        # Words, covariance, images; the weights are 9 MB.
        joint = learned.joint_score_
        held = learned.text_bank_.common, joint.images.whitener, joint.nearest.embeddings
        limit = 200_000 + sum(array.nbytes for array in held)
        assert len(pickle.dumps(learned)) < limit
        joblib.dump(learned, tmp_path / "a.joblib")
        assert (tmp_path / "a.joblib").stat().st_size < limit
        assert_answers_alike(learned, joblib.load(tmp_path / "a.joblib"), embedded[0])


class TestTampering:
    def test_a_thousand_flipped_bits_are_all_refused(self, saved):
        path, _, _ = saved
        data = path.read_bytes()
        rng = np.random.default_rng(0)
        positions = np.concatenate([np.arange(8), [20, 40, 60, 90], rng.integers(len(data), size=988)])
        for position in positions:
            flipped = bytearray(data)
            flipped[position] ^= 1 << rng.integers(8)
            path.write_bytes(flipped)
            with pytest.raises(PersistenceError, match="damaged"):
                skneg.load(path)
        path.write_bytes(data)
        skneg.load(path)

    def test_truncated_and_longer_files_are_refused(self, saved):
        path = saved[0]
        data = path.read_bytes()
        for length in [0, 1, 7, 8, 30, 97, 98, 99, 500, len(data) // 2, len(data) - 1]:
            path.write_bytes(data[:length])
            with pytest.raises(PersistenceError):
                skneg.load(path)
        path.write_bytes(data + b"\0")
        with pytest.raises(PersistenceError, match="damaged"):
            skneg.load(path)

    def test_a_forged_checksum_still_gives_typed_errors_only(self, saved):
        path = saved[0]
        data = path.read_bytes()
        rng, refused = np.random.default_rng(1), 0
        header_length = int.from_bytes(data[:8], "little")
        for position in rng.integers(8 + header_length, size=400):
            forged = bytearray(data)
            forged[position] ^= 1 << rng.integers(8)
            forged[_DIGEST] = _digest(forged)
            path.write_bytes(forged)
            try:
                skneg.load(path)
            except SknegError:
                refused += 1
        assert refused > 100

    @pytest.mark.parametrize("length", [2**63, 2**40, 2**31, 99_000_000])
    def test_a_huge_header_length_allocates_nothing(self, length, saved):
        path = saved[0]
        forged = bytearray(path.read_bytes())
        forged[:8] = length.to_bytes(8, "little")
        forged[_DIGEST] = _digest(forged)
        path.write_bytes(forged)
        tracemalloc.start()
        with pytest.raises(PersistenceError, match="cannot be parsed"):
            skneg.load(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2e6

    def test_a_pickle_never_runs(self, saved):
        path, ran = saved[0], saved[0].with_name("ran")

        class Canary:
            def __reduce__(self):
                return (ran.write_text, ("boom",))

        data = pickle.dumps(Canary())
        payload = np.frombuffer(data, dtype=np.uint8)
        original = path.read_bytes()

        def as_value(node):
            return lambda header, _: header["detector"]["attributes"].update(offset_=node)

        def as_tensor(header, tensors):
            tensors["text_bank"] = payload

        def as_extra(header, tensors):
            tensors["pickle"] = payload

        for content in (data, original[:98] + data, data + original):
            path.write_bytes(content)
            with pytest.raises(PersistenceError):
                skneg.load(path)
        joblib.dump(Canary(), path)
        with pytest.raises(PersistenceError):
            skneg.load(path)
        for change in (
            as_tensor, as_extra, as_value({"$": "pickle", "data": data.hex()}),
            as_value({"$": "function", "name": "os.system"}),
            as_value({"py/reduce": ["os.system", "true"]}),
        ):  # fmt: skip
            path.write_bytes(original)
            forge(path, change)
            with pytest.raises(SknegError):
                skneg.load(path)
        assert not ran.exists()
        pickle.loads(data)
        assert ran.exists(), "the canary itself works"

    @pytest.mark.parametrize(
        "name",
        ["os.system", "this", "this.s", "skneg.detectors._mcm.MCMDetector", "LogisticRegression", "eval",
         "OpenSetDetector", "list_detectors", "HOMES", "__class__", "", None, 5, ["MCMDetector"], {}],
    )  # fmt: skip
    def test_only_registered_classes_are_looked_up(self, name, saved):
        assert "this" not in sys.modules
        path = forge(saved[0], lambda header, _: header["detector"].update({"class": name}))
        for load in (skneg.load, skneg.MCMDetector.load):
            with pytest.raises(PersistenceError, match="names the class"):
                load(path)
        assert "this" not in sys.modules

    @pytest.mark.parametrize(
        ("where", "key"),
        [("parameters", "evil"), ("parameters", "self"), ("attributes", "predict"), ("attributes", "_score"),
         ("attributes", "__class__"), ("attributes", "_state"), ("attributes", "extra_")],
    )  # fmt: skip
    def test_names_that_are_not_learned_are_refused(self, where, key, saved):
        path = forge(saved[0], lambda header, _: header["detector"][where].update({key: 1}))
        with pytest.raises(PersistenceError, match=f"'{key}'"):
            skneg.load(path)

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda header, _: header["detector"]["attributes"].pop("offset_"),
            lambda header, _: header["detector"]["attributes"].clear(),
            lambda header, _: header["detector"].update(attributes=[]),
            lambda header, _: header["detector"].update(parameters=[]),
            lambda header, _: header["detector"].pop("attributes"),
            lambda header, _: header.pop("detector"),
            lambda header, _: header.pop("format"),
            lambda header, _: header.update(format=True),
            lambda header, _: header["detector"]["attributes"].update(class_names_=["one"]),
            lambda header, tensors: tensors.clear(),
        ],
    )
    def test_incomplete_files_are_refused(self, spoil, saved):
        with pytest.raises(SknegError):
            skneg.load(forge(saved[0], spoil))

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("train_groups_", np.zeros((120, 1), int)), ("train_groups_", np.zeros(3, int)),
            ("train_groups_", np.zeros(120)), ("train_names_", np.array(["star"])),
            ("neighbor_targets_", np.zeros(3, int)), ("neighbor_targets_", np.full(120, 9)),
            ("neighbor_targets_", np.full(120, -1)), ("neighbors_", np.zeros(128)),
        ],
    )  # fmt: skip
    def test_parts_of_other_lengths_and_kinds_are_refused(self, name, value, embedded, tmp_path):
        detector = skneg.KNNDetector(model="skneg-tiny", random_state=0).fit(*embedded)
        parts = detector._state.learned if name in detector._state.learned else detector._state.model
        parts[name] = value
        detector.save(tmp_path / "a.skneg")
        with pytest.raises(PersistenceError, match=f"{name}|different lengths"):
            skneg.load(tmp_path / "a.skneg")

    def test_names_of_words_that_are_no_names_of_the_bank_are_refused(self, embedded, tmp_path):
        words = skneg.Words(["circle", "square", "hexagon"], max_cosine=1.01)
        detector = skneg.WordsDetector(model="skneg-tiny", words=words).fit(*embedded)
        detector.save(tmp_path / "a.skneg")
        skneg.load(tmp_path / "a.skneg")
        detector._state.model["words_"] = ["circle", "square"]
        detector.save(tmp_path / "a.skneg")
        with pytest.raises(PersistenceError, match="different lengths"):
            skneg.load(tmp_path / "a.skneg")

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("offset_", float("nan")), ("offset_", float("inf")), ("offset_", "0.5"), ("offset_", None),
            ("offset_", True), ("offset_", [0.5]), ("temperature_", 0.0), ("temperature_", -1.0),
            ("temperature_", float("nan")), ("temperature_", "x"), ("class_names_", ["cat", "dog"]),
            ("class_names_", ["cat", "dog", "cat"]), ("class_names_", ["cat", "dog", 5]),
            ("class_names_", "cat"), ("classes_", None), ("classes_", ["cat", "dog", "newt"]),
            ("unknown_label_", "cat"), ("unknown_label_", -1), ("unknown_label_", ["unknown"]),
            ("calibration_names_", ["cat"]), ("calibration_names_", 5), ("calibration_scores_", None),
            ("calibration_scores_", 0.5), ("calibration_embeddings_", [[1.0]]), ("learned", None),
            ("model", {"x": 1}), ("columns", 3),
        ],
    )  # fmt: skip
    def test_values_that_no_fit_leaves_behind_are_refused(self, name, value, saved):
        change = {name: value}
        path = forge(saved[0], lambda header, _: header["detector"]["attributes"].update(change))
        with pytest.raises(SknegError):
            skneg.load(path)

    @pytest.mark.parametrize(
        ("name", "spoil"),
        [
            ("calibration_scores_", lambda a: a[::-1].copy()),
            ("calibration_scores_", lambda a: np.where(a == a[0], np.nan, a)),
            ("calibration_scores_", lambda a: a[:0]),
            ("calibration_scores_", lambda a: a[None]),
            ("calibration_embeddings_", lambda a: a[:, :5].copy()),
            ("calibration_embeddings_", lambda a: a[:0]),
            ("calibration_embeddings_", lambda a: a * np.float32("nan")),
            ("calibration_embeddings_", lambda a: a.astype(np.int64)),
        ],
    )
    def test_arrays_that_no_fit_leaves_behind_are_refused(self, name, spoil, saved):
        path = forge(saved[0], lambda _, tensors: tensors.update({name: spoil(tensors[name])}))
        with pytest.raises(PersistenceError):
            skneg.load(path)

    @pytest.mark.parametrize(
        ("kind", "name", "spoil"),
        [
            ("LinearProbeDetector", "coef_", lambda a: a[:, :5].copy()),
            ("LinearProbeDetector", "coef_", lambda a: a[:4].copy()),
            ("LinearProbeDetector", "intercept_", lambda a: a[:2].copy()),
            ("MahalanobisDetector", "whitener_", lambda a: a[:5, :5].copy()),
            ("MahalanobisDetector", "whitener_", lambda a: a * np.nan),
            ("KNNDetector", "neighbor_targets_", lambda a: a[:5].copy()),
            ("KNNDetector", "train_groups_", lambda a: a[:5].copy()),
            ("NNGuideDetector", "confidences_", lambda a: a[:5].copy()),
            ("ViMDetector", "residual_space_", lambda a: a[:5].copy()),
        ],
    )
    def test_parts_that_do_not_fit_together_are_refused(self, kind, name, spoil, embedded, tmp_path):
        path = tmp_path / "a.skneg"
        getattr(skneg, kind)(random_state=0).fit(*embedded).save(path)
        name = f"{'learned' if name.startswith('train') else 'model'}['{name}']"
        forge(path, lambda _, tensors: tensors.update({name: spoil(tensors[name])}))
        with pytest.raises(PersistenceError):
            skneg.load(path)

    def test_what_only_the_model_can_show_is_refused_with_the_first_image(self, scenes, tmp_path):
        X, path = scenes[0][:40], tmp_path / "a.skneg"
        skneg.ODINDetector(model="skneg-tiny").fit(X, scenes[1][:40]).save(path)

        def narrow(_, tensors):
            for name in tensors:
                if name.startswith("model"):
                    tensors[name] = tensors[name][:, :5].copy()

        detector = skneg.load(forge(path, narrow))
        with pytest.raises(PersistenceError, match="have 5 columns, not 128"):
            detector.predict(X[:2])

    @pytest.mark.parametrize("kind", ["LSNDetector", "NegPromptDetector", "KNNDetector"])
    def test_huge_numbers_in_parameters_load_whole_or_not_at_all(self, kind, embedded, tmp_path):
        path, (X, y) = tmp_path / "a.skneg", embedded
        make_detector(kind, None).fit(X, y).save(path)
        number = {"KNNDetector": "n_neighbors", "LSNDetector": "n_negative"}.get(kind, "batch_size")
        forge(path, lambda header, _: header["detector"]["parameters"].update({number: 10**9}))
        assert skneg.load(path).predict(X[:3]).shape == (3,)

    def test_a_forged_ensemble_is_refused(self, embedded, tmp_path):
        path = tmp_path / "a.skneg"
        member = skneg.KNNDetector(random_state=0).fit(*embedded)
        skneg.ScoreEnsemble([member]).save(path)
        original = path.read_bytes()
        for change in (
            lambda detector: detector["parameters"].update(method="bogus"),
            lambda detector: detector["parameters"].update(contamination="x"),
            lambda detector: detector["attributes"].update(detectors_=["x"]),
            lambda detector: detector["attributes"].update(all_used=3),
        ):
            path.write_bytes(original)
            with pytest.raises(SknegError):
                skneg.load(forge(path, lambda header, _, change=change: change(header["detector"])))

    def test_later_formats_say_which_version_they_need(self, saved):
        def later(header, _):
            header.update(format=99, detector="in a way not known yet")
            header["versions"]["skneg"] = "9.9"

        with pytest.raises(PersistenceError, match="format 99.*written by skneg 9.9"):
            skneg.load(forge(saved[0], later))

    def test_other_library_versions_are_only_recorded(self, saved):
        path, detector, X = saved
        forge(path, lambda header, _: header["versions"].update({"scikit-learn": "0.1", "skneg": "0.0"}))
        assert read_header(path)["versions"]["scikit-learn"] == "0.1"
        assert_answers_alike(detector, skneg.load(path), X)

    def test_missing_files_and_folders_are_typed(self, tmp_path):
        for path in (tmp_path, tmp_path / "nothing"):
            with pytest.raises(PersistenceError, match="does not exist|It is a folder"):
                skneg.load(path)


class TestWriting:
    def test_a_kill_at_any_moment_leaves_a_whole_file(self, tmp_path):
        path = tmp_path / "a.skneg"
        states = [with_bank([f"{kind} {i}" for i in range(300)], width=128)[0] for kind in ("old", "new")]
        states[0].save(path)
        delays, seen = random.Random(0), set()
        for _ in range(50):
            child = os.fork()
            if child == 0:
                try:
                    while True:
                        states[1].save(path)
                        states[0].save(path)
                finally:
                    os._exit(1)
            time.sleep(delays.uniform(0.005, 0.15))
            os.kill(child, signal.SIGKILL)
            assert os.waitpid(child, 0)[1] == signal.SIGKILL
            seen.add(skneg.load(path).class_names_[0])
        assert seen == {"old 0", "new 0"}
        leftovers = [file for file in tmp_path.iterdir() if file != path]
        assert leftovers, "no kill has hit a save: the test shows nothing"
        assert list(tmp_path.glob("*.skneg")) == [path]
        for file in leftovers:
            assert file.name.endswith(UNFINISHED)
            with pytest.raises(PersistenceError, match="interrupted save"):
                skneg.load(file)

    @pytest.mark.parametrize("call", ["fsync", "replace"])
    def test_a_full_disk_leaves_the_old_file_alone(self, call, saved, monkeypatch):
        path, _, _ = saved
        before = sha256(path)

        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, call, full)
        with pytest.raises(PersistenceError, match="No space left.*unchanged"):
            with_bank(["some", "names"])[0].save(path)
        assert sha256(path) == before
        assert list(path.parent.iterdir()) == [path]

    def test_a_file_that_the_system_cuts_short_leaves_the_old_one_alone(self, saved):
        resource = pytest.importorskip("resource")
        path, _, _ = saved
        before, large = sha256(path), with_bank([f"class {i}" for i in range(200)], width=128)[0]
        child = os.fork()
        if child == 0:
            status = 1
            try:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
                large.save(path)
            except PersistenceError as error:
                status = 0 if error.__cause__.errno == errno.EFBIG else 2
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert sha256(path) == before
        assert list(path.parent.iterdir()) == [path]

    def test_an_interrupt_removes_the_temporary(self, saved, monkeypatch):
        path, detector, _ = saved

        def interrupt(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            detector.save(path)
        assert list(path.parent.iterdir()) == [path]

    def test_a_folder_that_is_not_there_is_named(self, saved, tmp_path):
        with pytest.raises(PersistenceError, match="nowhere.*could not be written"):
            saved[1].save(tmp_path / "nowhere" / "a.skneg")

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without named pipes")
    @pytest.mark.parametrize("through_link", [False, True])
    def test_what_is_no_regular_file_is_never_replaced(self, through_link, saved, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "link").symlink_to(tmp_path / "pipe")
        before = sorted(tmp_path.iterdir())
        with pytest.raises(PersistenceError, match="pipe is not a regular file"):
            saved[1].save(tmp_path / ("link" if through_link else "pipe"))
        assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
        with pytest.raises(PersistenceError, match="not a regular file"):
            saved[1].save(tmp_path)
        assert sorted(tmp_path.iterdir()) == before

    def test_a_link_that_leads_to_itself_is_not_replaced(self, saved, tmp_path):
        (tmp_path / "loop").symlink_to(tmp_path / "loop")
        with pytest.raises(PersistenceError, match="not a regular file"):
            saved[1].save(tmp_path / "loop")
        assert (tmp_path / "loop").is_symlink()

    @pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
    @pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
    def test_a_file_keeps_its_permissions(self, mode, saved):
        path, detector, _ = saved
        path.chmod(mode)
        detector.save(path)
        assert stat.S_IMODE(path.stat().st_mode) == mode

    def test_a_link_keeps_pointing(self, saved, tmp_path):
        path, _, _ = saved
        (tmp_path / "link").symlink_to(path)
        with_bank(["some", "names"])[0].save(tmp_path / "link")
        assert (tmp_path / "link").is_symlink()
        assert skneg.load(path).class_names_ == ["some", "names"]

    def test_other_tools_can_look_into_a_file(self, saved):
        path, detector, _ = saved
        tensors = load_file(path)
        np.testing.assert_array_equal(tensors["calibration_embeddings_"], detector.calibration_embeddings_)
        header = read_header(path)
        assert header["detector"]["class"] == "MCMDetector"
        assert header["detector"]["attributes"]["offset_"] == detector.offset_
        assert header["versions"]["skneg"] == skneg.__version__

"""Every detector as an ONNX file: onnxruntime answers as numpy does."""

import copy
import json

import numpy as np
import onnxruntime
import pytest
from sklearn.exceptions import NotFittedError

import skneg
from skneg import (
    EnergyDetector,
    KNNDetector,
    LinearProbeDetector,
    MahalanobisDetector,
    MCMDetector,
    NegPromptDetector,
    ScoreEnsemble,
    TextBank,
    WordsDetector,
    export,
)
from skneg.backbone import load_backbone
from skneg.errors import InputError, MissingDependencyError, PersistenceError
from skneg.export import _onnx
from skneg.images import as_image_sequence
from skneg.prompts import PromptRecipe

from ..conftest import run_python
from ..test_common import make_detector, no_encoder  # noqa: F401

REFUSED = {
    "GLMCMDetector": "local features", "LoCoOpDetector": "local features", "SCTDetector": "local features",
    "ODINDetector": "pixels", "ZOCDetector": "a caption model",
    "NegRefineDetector": "the text tower", "LocalPromptDetector": "local features",
    "IDLikeDetector": "pixels",
}  # fmt: skip
EXPORTED = [info.name for info in skneg.list_detectors() if info.name not in REFUSED]
QUICK = PromptRecipe(positive_steps=5, negative_steps=5)


def answers(path, **inputs):
    session = onnxruntime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]
    return dict(
        zip(names, session.run(None, inputs), strict=True)
    ), session.get_modelmeta().custom_metadata_map


def assert_answers_as(detector, path, Z, tolerance=1e-4, **inputs):
    """The file's answers are the detector's, made of nothing but the file and its metadata."""
    export.onnx(detector, path, images="pixels" in inputs)
    told, facts = answers(path, **(inputs or {"embeddings": Z}))
    facts = {key: json.loads(value) for key, value in facts.items()}
    assert facts == json.loads(path.with_name(f"{path.name}.json").read_text())
    scores = detector.score_samples(Z)
    np.testing.assert_allclose(told["score"], scores, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(told["posterior"], detector.predict_proba(Z), atol=tolerance)
    labels = np.array([facts["labels"][i] for i in told["class_index"]], dtype=object)
    if facts["unknown_label"] is not None:
        labels[told["is_unknown"]] = facts["unknown_label"]
    predicted = detector.predict(Z)
    differs = labels != predicted.astype(object)
    assert (np.abs(scores - detector.offset_)[differs] <= np.abs(told["score"] - scores)[differs]).all()
    assert facts["threshold"] == detector.offset_
    assert facts["class_names"] == detector.class_names_
    return told, facts


@pytest.fixture(scope="module")
def strange(strange_scenes):
    return skneg.CLIPImageEncoder(model="skneg-tiny").transform(strange_scenes)


@pytest.fixture(scope="module")
def both(embedded, strange):
    return np.concatenate([embedded[0], strange])


@pytest.mark.parametrize("name", EXPORTED)
@pytest.mark.usefixtures("no_encoder")
class TestEveryDetector:
    def fitted(self, name, embedded, request, n_classes=6):
        X, y = embedded
        known = np.isin(y, np.unique(y)[:n_classes])
        no_tower = request.getfixturevalue("no_encoder")
        return make_detector(name, no_tower, contamination=0.1).fit(X[known], y[known])

    @pytest.mark.parametrize("n_classes", [2, 6])
    def test_answers_as_numpy(self, name, n_classes, embedded, both, request, tmp_path):
        detector = self.fitted(name, embedded, request, n_classes)
        _, facts = assert_answers_as(detector, tmp_path / "d.onnx", both)
        assert facts["detector"] == name
        assert facts["skneg_version"] == skneg.__version__
        assert facts["input"] == "embeddings"

    def test_takes_any_number_of_rows_of_any_length(self, name, embedded, both, request, tmp_path):
        detector, path = self.fitted(name, embedded, request), tmp_path / "d.onnx"
        export.onnx(detector, path)
        many = np.resize(both, (1000, both.shape[1]))
        every, _ = answers(path, embeddings=many)
        one, _ = answers(path, embeddings=100 * many[:1])
        assert every["score"].shape == (1000,)
        assert every["posterior"].shape == (1000, 6)
        for output, values in one.items():
            np.testing.assert_allclose(values, every[output][:1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "detector",
    [
        NegPromptDetector(model="skneg-tiny", evidence="images", random_state=0),
        KNNDetector(model="skneg-tiny", random_state=0),
        MahalanobisDetector(model="skneg-tiny", random_state=0),
        WordsDetector(model="skneg-tiny"),
    ],
    ids=lambda detector: type(detector).__name__,
)
def test_one_class(detector, embedded, both, tmp_path):
    X, y = embedded
    detector.fit(X[y == "star"], y[y == "star"])
    told, _ = assert_answers_as(detector, tmp_path / "d.onnx", both)
    assert (told["class_index"] == 0).all()


@pytest.fixture(scope="module")
def negprompt(embedded):
    return NegPromptDetector(model="skneg-tiny", recipe=QUICK, random_state=0).fit(*embedded)


@pytest.mark.parametrize(
    "parameters",
    [{"evidence": "text"}, {"evidence": "images"}, {"score_func": "negprompt", "words": None},
     {"words": None, "negative_weight": 0}, {"score_temperature": 0.05}],
    ids=str,
)  # fmt: skip
def test_what_the_score_of_negprompt_uses(parameters, embedded, both, tmp_path):
    detector = NegPromptDetector(model="skneg-tiny", recipe=QUICK, random_state=0, **parameters)
    assert_answers_as(detector.fit(*embedded), tmp_path / "d.onnx", both)


@pytest.mark.parametrize("score_func", ["msp", "max_logit", "energy", "react"])
@pytest.mark.parametrize("n_classes", [2, 6])
def test_the_scores_of_a_linear_probe(score_func, n_classes, embedded, both, tmp_path):
    X, y = embedded
    known = np.isin(y, np.unique(y)[:n_classes])
    detector = LinearProbeDetector(score_func=score_func, random_state=0).fit(X[known], y[known])
    assert_answers_as(detector, tmp_path / "d.onnx", both)


def test_integer_labels(embedded, both, tmp_path):
    names = np.unique(embedded[1])
    y = 10 * np.searchsorted(names, embedded[1])
    detector = MCMDetector(model="skneg-tiny").fit(
        embedded[0], y, dict(zip(range(0, 60, 10), names, strict=True))
    )
    _, facts = assert_answers_as(detector, tmp_path / "d.onnx", both)
    assert facts["labels"] == [0, 10, 20, 30, 40, 50]
    assert facts["unknown_label"] == -1


def test_without_an_unknown_label_nothing_is_unknown(embedded, both, tmp_path):
    detector = MCMDetector(model="skneg-tiny", unknown_label=None).fit(*embedded)
    told, facts = assert_answers_as(detector, tmp_path / "d.onnx", both)
    assert not told["is_unknown"].any()
    assert facts["unknown_label"] is None


@pytest.mark.parametrize("unknown_label", ["auto", None])
def test_rows_that_are_no_embeddings_are_unknown(unknown_label, embedded, tmp_path):
    detector = MCMDetector(model="skneg-tiny", unknown_label=unknown_label).fit(*embedded)
    export.onnx(detector, tmp_path / "d.onnx")
    bad = embedded[0][:3].copy()
    bad[0, 3], bad[1] = np.nan, 0
    told, _ = answers(tmp_path / "d.onnx", embeddings=bad)
    assert told["is_unknown"].tolist() == [True, True, False]


def test_after_another_vocabulary_with_classes_without_images(negprompt, both, tmp_path):
    moved = copy.copy(negprompt).set_vocabulary(["star", "fish", "crown"])
    told, facts = assert_answers_as(moved, tmp_path / "d.onnx", both)
    assert facts["labels"] == ["crown", "fish", "star"]
    assert len(set(told["class_index"])) == 3
    assert_answers_as(copy.copy(negprompt).set_vocabulary(["fish", "crown"]), tmp_path / "d.onnx", both)


def test_after_calibrate(negprompt, both, tmp_path):
    before = negprompt.offset_
    moved = copy.copy(negprompt).set_params(contamination=0.3).calibrate(both[-60:])
    _, facts = assert_answers_as(moved, tmp_path / "d.onnx", both)
    assert facts["threshold"] != before


def test_after_loading(negprompt, both, tmp_path):
    negprompt.save(tmp_path / "d.skneg")
    assert_answers_as(skneg.load(tmp_path / "d.skneg"), tmp_path / "d.onnx", both)


@pytest.mark.parametrize("n", [2, 3])
def test_as_many_kept_images_as_classes(n, tmp_path):
    """The rows are told from the classes by their place, not by their number."""
    bank = TextBank(np.eye(n, 8, dtype=np.float32), np.eye(n, 8, 3, dtype=np.float32))
    detector = EnergyDetector(text_bank=bank, contamination=0.4).fit(
        np.eye(n, 8) + 0.1, class_names=list("abc")[:n]
    )
    assert_answers_as(
        detector, tmp_path / "d.onnx", np.random.default_rng(0).normal(size=(50, 8)).astype("f")
    )


def test_ties_go_to_the_first_class(tmp_path):
    bank = np.eye(3, 4, dtype=np.float32)[[0, 0, 1]]
    X = np.eye(3, 4)[np.arange(30) % 3]
    detector = MCMDetector(text_bank=bank).fit(X, class_names=["ant", "bee", "cat"])
    told, _ = assert_answers_as(detector, tmp_path / "d.onnx", X.astype(np.float32))
    assert told["class_index"][:3].tolist() == [0, 2, 0]
    assert not told["is_unknown"].any()  # all scores are the threshold


@pytest.fixture(scope="module")
def with_tower(scenes, tmp_path_factory):
    X, y = scenes
    detector = NegPromptDetector(model="skneg-tiny", recipe=QUICK, random_state=0, device="cpu").fit(X, y)
    return detector, tmp_path_factory.mktemp("images") / "d.onnx", X


class TestImages:
    def test_pixels_answer_as_images(self, with_tower):
        detector, path, X = with_tower
        tower = load_backbone("skneg-tiny", device="cpu").image_tower
        pixels = tower.pixels(as_image_sequence(X), range(len(X)))
        _, facts = assert_answers_as(detector, path, X, pixels=pixels)
        assert facts["input"] == "pixels"
        assert facts["model"] == "skneg-tiny"
        assert facts["preprocessing"]["mean"] == [0.5, 0.5, 0.5]
        assert facts["preprocessing"]["size"] == 64
        one, _ = answers(path, pixels=pixels[:1])
        assert abs(one["score"] - detector.score_samples(X[:1]))[0] < 1e-4

    def test_a_model_of_another_width_is_refused(self, tmp_path):
        X = np.random.default_rng(0).normal(size=(40, 8))
        detector = KNNDetector(model="skneg-tiny", random_state=0).fit(X, np.arange(40) % 2)
        with pytest.raises(InputError, match=r"8 columns.*128 dimensions"):
            export.onnx(detector, tmp_path / "d.onnx", images=True)
        assert list(tmp_path.iterdir()) == []


class TestRefusals:
    @pytest.mark.parametrize("name", REFUSED)
    def test_names_the_detector_and_what_can_be_exported(self, name, scenes, no_encoder, tmp_path):  # noqa: F811
        detector = make_detector(name, no_encoder).fit(scenes[0][:60], scenes[1][:60])
        with pytest.raises(PersistenceError, match=f"{name} cannot .*{REFUSED[name]}.*NegPromptDetector"):
            export.onnx(detector, tmp_path / "d.onnx")
        assert list(tmp_path.iterdir()) == []

    def test_an_ensemble(self, embedded, tmp_path):
        members = [MCMDetector(model="skneg-tiny"), EnergyDetector(model="skneg-tiny")]
        with pytest.raises(PersistenceError, match="ScoreEnsemble cannot"):
            export.onnx(ScoreEnsemble(members).fit(*embedded), tmp_path / "d.onnx")

    def test_a_score_that_no_graph_can_hold(self, embedded, tmp_path):
        class Sums(MCMDetector):
            def _score(self, state, Z):
                return np.cumsum(Z @ state.text_bank_.positive.T, axis=1)[:, -1]

        with pytest.raises(PersistenceError, match=r"Sums cannot be exported to ONNX: numpy.cumsum"):
            export.onnx(Sums(model="skneg-tiny").fit(*embedded), tmp_path / "d.onnx")

    def test_a_score_of_another_kind_is_exported_as_it_is(self, embedded, both, tmp_path):
        class MeanCosine(MCMDetector):
            def _score(self, state, Z):
                return state.text_bank_.score(Z, lambda cosines, *_: cosines.mean(axis=1).astype(np.float64))

        assert_answers_as(MeanCosine(model="skneg-tiny").fit(*embedded), tmp_path / "d.onnx", both)

    def test_an_unfitted_detector(self, tmp_path):
        with pytest.raises(NotFittedError):
            export.onnx(MCMDetector(), tmp_path / "d.onnx")

    def test_the_path_of_the_metadata(self, negprompt, tmp_path):
        with pytest.raises(InputError, match="ends in .json"):
            export.onnx(negprompt, tmp_path / "d.json")

    def test_without_onnx(self, negprompt, tmp_path, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "onnx.helper", None)
        monkeypatch.setitem(__import__("sys").modules, "onnx.numpy_helper", None)
        with pytest.raises(MissingDependencyError, match="skneg.export.onnx needs onnx"):
            export.onnx(negprompt, tmp_path / "d.onnx")


@pytest.mark.parametrize("fails_for", [".onnx", ".json"])
@pytest.mark.parametrize("is_there", [True, False])
def test_a_failed_write_leaves_what_was_there(fails_for, is_there, negprompt, tmp_path, monkeypatch):
    path = tmp_path / "d.onnx"
    if is_there:
        path.write_text("old model")
        path.with_name(f"{path.name}.json").write_text('{"skneg_version": "old"}')
    write, failed = _onnx.write_bytes, []

    def full_disk(target, data):
        if target.suffix == fails_for and not failed:
            failed.append(target)
            raise PersistenceError("no space left on device")
        write(target, data)

    monkeypatch.setattr(_onnx, "write_bytes", full_disk)
    with pytest.raises(PersistenceError, match="no space"):
        export.onnx(negprompt, path)
    left = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert left == ({"d.onnx": "old model", "d.onnx.json": '{"skneg_version": "old"}'} if is_there else {})


def test_a_mismatch_leaves_what_was_there(negprompt, tmp_path, monkeypatch):
    head = _onnx._head

    def wrong(detector, state, rows):
        model = head(detector, state, rows)
        next(node for node in model.graph.node if node.op_type == "ArgMax").op_type = "ArgMin"
        return model

    monkeypatch.setattr(_onnx, "_head", wrong)
    with pytest.raises(PersistenceError, match="NegPromptDetector gives"):
        export.onnx(negprompt, tmp_path / "d.onnx")
    assert list(tmp_path.iterdir()) == []


def test_embeddings_need_no_torch(negprompt, tmp_path):
    negprompt.save(tmp_path / "d.skneg")
    code = (
        "import sys, skneg; from skneg import export; "
        "export.onnx(skneg.load('d.skneg'), 'd.onnx'); print('torch' in sys.modules)"
    )
    assert run_python(code, tmp_path) == "False"
    assert (tmp_path / "d.onnx").is_file()


def test_a_file_of_somebody_else_beside_it_is_not_lost(negprompt, tmp_path):
    (tmp_path / "d.onnx.json").write_text('{"my": "notes"}')
    with pytest.raises(PersistenceError, match="is not skneg's"):
        export.onnx(negprompt, tmp_path / "d.onnx")
    assert (tmp_path / "d.onnx.json").read_text() == '{"my": "notes"}'
    assert not (tmp_path / "d.onnx").exists()


@pytest.mark.parametrize("path", ["", ".", "/", "a" * 300, "none/d.onnx", "\ud800.onnx"])
def test_a_path_that_cannot_be_is_refused(path, negprompt, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PersistenceError, match="cannot be"):
        export.onnx(negprompt, path)

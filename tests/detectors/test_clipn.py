import pickle
from decimal import Decimal

import numpy as np
import pytest
from sklearn.base import clone

from skneg import CLIPImageEncoder, TextBank
from skneg.backbone import load_backbone
from skneg.backbone._no_tower import copy_text_tower, save_no_tower
from skneg.datasets import SHAPE_NAMES, make_scenes
from skneg.detectors._clipn import CLIPNDetector
from skneg.errors import BackboneError, InputError, InputTypeError, VocabularyError
from skneg.metrics import auroc
from skneg.prompts.no_training import train_no_encoder
from skneg.scores import clipn_atd, clipn_ctw

from ..conftest import KNOWN, STRANGE

pytestmark = pytest.mark.filterwarnings("ignore:labels and names agree")  # of random images


@pytest.fixture(scope="module")
def pairs() -> tuple[np.ndarray, list[str]]:
    """Embedded scenes of all shapes but the strange ones, with captions."""
    seen = [name for name in SHAPE_NAMES if name not in STRANGE]
    X, _, captions = make_scenes(400, shapes=seen, return_captions=True, random_state=2)
    return CLIPImageEncoder(model="skneg-tiny").transform(X), captions.tolist()


@pytest.fixture(scope="module")
def no_file(tmp_path_factory):
    return tmp_path_factory.mktemp("clipn") / "no.safetensors"


@pytest.fixture(scope="module")
def no_tower(pairs, no_file):
    """A "no" tower that trains for a second or two."""
    return train_no_encoder(
        *pairs, model="skneg-tiny", n_epochs=3, learning_rate=1e-3, random_state=0, out=no_file
    )


@pytest.fixture(scope="module")
def untrained_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("clipn") / "untrained.safetensors"
    save_no_tower(copy_text_tower(load_backbone("skneg-tiny").text_tower), path)
    return path


@pytest.fixture(scope="module")
def fitted(no_tower, no_file, embedded):
    return CLIPNDetector(model="skneg-tiny", no_encoder=no_file).fit(*embedded)


@pytest.fixture
def bank() -> TextBank:
    positive, negative = np.random.default_rng(0).normal(size=(2, len(KNOWN), 128)).astype(np.float32)
    return TextBank(positive, negative, per_class=1)


class TestScores:
    @pytest.mark.parametrize("temperature", [1e-6, 1e-3, 0.01, 1.0, 1e6])
    def test_they_are_the_published_sums(self, temperature):
        yes, no = np.random.default_rng(0).uniform(-1, 1, size=(2, 40, 5))
        atd, ctw = [], []
        for row_yes, row_no in zip(yes, no, strict=True):
            e_yes = [(Decimal(float(z)) / Decimal(temperature)).exp() for z in row_yes]
            e_no = [(Decimal(float(z)) / Decimal(temperature)).exp() for z in row_no]
            p_yes = [a / (a + b) for a, b in zip(e_yes, e_no, strict=True)]
            atd.append(float(sum(e / sum(e_yes) * p for e, p in zip(e_yes, p_yes, strict=True)).ln()))
            ctw.append(float(p_yes[int(row_yes.argmax())].ln()))
        np.testing.assert_allclose(clipn_atd(yes, no, temperature), atd, rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(clipn_ctw(yes, no, temperature), ctw, rtol=1e-9, atol=1e-15)

    @pytest.mark.parametrize(("score", "function"), [("atd", clipn_atd), ("ctw", clipn_ctw)])
    @pytest.mark.parametrize("temperature", [1e-5, 0.01, 1e5])
    def test_the_detector_scores_cosines_to_its_bank(self, embedded, bank, score, function, temperature):
        X, y = embedded
        detector = CLIPNDetector(text_bank=bank, score_func=score, score_temperature=temperature).fit(X, y)
        positive, negative = (
            rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (bank.positive, bank.negative)
        )
        expected = function(X @ positive.T, X @ negative.T, temperature)
        assert np.isfinite(expected).all()
        np.testing.assert_allclose(detector.score_samples(X), expected, rtol=1e-3, atol=1e-7)


class TestDetecting:
    @pytest.mark.parametrize("score", ["atd", "ctw"])
    def test_it_tells_shapes_that_no_tower_was_trained_on(
        self, no_tower, no_file, untrained_file, embedded, strange_scenes, score
    ):
        strange = CLIPImageEncoder(model="skneg-tiny").transform(strange_scenes)

        def area(file):
            detector = CLIPNDetector(model="skneg-tiny", no_encoder=file, score_func=score).fit(*embedded)
            return auroc(detector.score_samples(embedded[0]), detector.score_samples(strange))

        assert area(no_file) > 0.95
        assert area(no_file) > area(untrained_file) + 0.05

    def test_bank_has_one_no_for_each_class_in_order(self, fitted, no_tower):
        assert fitted.text_bank_.per_class == 1
        expected = no_tower.encode([f"a photo without {name}" for name in sorted(KNOWN)])
        np.testing.assert_allclose(fitted.text_bank_.negative, expected, atol=1e-6)
        yes = load_backbone("skneg-tiny").text_tower.encode(
            [f"a photo of a {name}" for name in sorted(KNOWN)]
        )
        np.testing.assert_allclose(fitted.text_bank_.positive, yes, atol=1e-6)

    def test_several_no_templates_are_averaged_and_none_takes_the_templates(
        self, no_tower, no_file, embedded
    ):
        several = ["not {}", "no {} here"]
        given = CLIPNDetector(model="skneg-tiny", no_encoder=str(no_file), no_templates=several)
        total = sum(no_tower.encode([t.format(name) for name in sorted(KNOWN)]) for t in several)
        total /= np.linalg.norm(total, axis=1, keepdims=True)
        np.testing.assert_allclose(given.fit(*embedded).text_bank_.negative, total, atol=1e-6)
        same = CLIPNDetector(model="skneg-tiny", no_encoder=no_file, no_templates=None, templates="the {}")
        expected = no_tower.encode([f"the {name}" for name in sorted(KNOWN)])
        np.testing.assert_allclose(same.fit(*embedded).text_bank_.negative, expected, atol=1e-6)

    def test_labels_are_not_needed(self, no_tower, no_file, fitted, embedded):
        unlabelled = CLIPNDetector(model="skneg-tiny", no_encoder=no_file)
        unlabelled.fit(embedded[0], class_names=sorted(KNOWN))
        assert unlabelled.offset_ == fitted.offset_

    def test_new_names_and_back(self, fitted, embedded, strange_scenes):
        moved = pickle.loads(pickle.dumps(fitted)).set_vocabulary(STRANGE)
        assert moved.text_bank_.negative.shape == (len(STRANGE), 128)
        assert auroc(moved.score_samples(strange_scenes), moved.score_samples(embedded[0])) > 0.9
        moved.set_vocabulary(fitted.class_names_)
        assert moved.offset_ == pytest.approx(fitted.offset_, abs=1e-6)

    def test_a_fitted_detector_predicts_without_its_file(self, no_tower, tmp_path, embedded):
        file = tmp_path / "moved.safetensors"
        save_no_tower(no_tower, file)
        detector = CLIPNDetector(model="skneg-tiny", no_encoder=file).fit(*embedded)
        expected = detector.score_samples(embedded[0])
        file.unlink()
        data = pickle.dumps(detector)
        assert len(data) < 200_000
        np.testing.assert_array_equal(pickle.loads(data).score_samples(embedded[0]), expected)

    def test_parameters_survive_cloning(self, no_file):
        detector = CLIPNDetector(no_encoder=no_file, score_func="ctw", no_templates=["not {}"], batch_size=3)
        assert clone(detector).get_params() == detector.get_params()


class TestReadyBank:
    def test_it_needs_neither_a_file_nor_a_model(self, embedded, bank):
        detector = CLIPNDetector(model="no such model", text_bank=bank).fit(*embedded)
        assert detector.score_samples(embedded[0]).shape == (len(embedded[0]),)
        rows = TextBank(bank.positive[:3], bank.negative[:3], per_class=1)
        assert detector.set_vocabulary(sorted(KNOWN)[:3], text_bank=rows).text_bank_.per_class == 1

    def test_it_must_have_one_no_for_each_class(self, embedded, bank):
        positive, negative = bank.positive, bank.negative
        for bad in (
            positive,
            TextBank.from_positives(positive),
            TextBank(positive, negative),
            TextBank(positive, np.concatenate([negative, negative]), per_class=2),
        ):
            with pytest.raises(InputError, match="one negative for each class.*per_class=1"):
                CLIPNDetector(text_bank=bad).fit(*embedded)
        with pytest.raises(VocabularyError, match="6 rows for 2 class names"):
            CLIPNDetector(text_bank=bank).fit(embedded[0], class_names=["a", "b"])


class TestBadParameters:
    @pytest.mark.parametrize(
        ("parameters", "error", "message"),
        [
            ({}, InputError, "no_encoder must be.*train_no_encoder"),
            ({"no_encoder": 5}, InputTypeError, "no_encoder must be the path.*got a int"),
            ({"no_encoder": "gone.pt"}, BackboneError, "gone.pt.*train_no_encoder"),
            ({"no_encoder": "x", "score_func": "max"}, InputError, "score_func must be one of"),
            ({"no_encoder": "x", "no_templates": "not"}, InputError, "no_templates holds 'not'"),
            ({"no_encoder": "x", "no_templates": [3]}, InputError, "no_templates holds 3"),
            ({"no_encoder": "x", "no_templates": []}, InputError, "no_templates is empty"),
            ({"no_encoder": "x", "score_temperature": 0}, InputError, "score_temperature"),
        ],
    )
    def test_they_are_named(self, embedded, parameters, error, message):
        with pytest.raises(error, match=message):
            CLIPNDetector(model="skneg-tiny", **parameters).fit(*embedded)

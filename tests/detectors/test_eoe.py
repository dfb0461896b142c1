import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone

from skneg import CLIPImageEncoder, SknegError, TextBank
from skneg.detectors._eoe import EOEDetector
from skneg.errors import InputError, InputTypeError, VocabularyError
from skneg.metrics import auroc

from ..conftest import KNOWN, STRANGE


def eoe_detector(**parameters) -> EOEDetector:
    return EOEDetector(**{"model": "skneg-tiny", "outlier_names": STRANGE, **parameters})


@pytest.fixture(scope="module")
def fitted(embedded):
    return eoe_detector().fit(*embedded)


def random_bank(rng, k=5, m=7, d=16) -> TextBank:
    rows = rng.normal(size=(k + m, d)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return TextBank(rows[:k], rows[k:])


class TestScore:
    @pytest.mark.parametrize("temperature", [1e-4, 0.01, 1.0, 1e4])
    @pytest.mark.parametrize("weight", [0, 0.25, 2])
    def test_closed_form_on_random_cosines(self, temperature, weight):
        rng = np.random.default_rng(0)
        bank = random_bank(rng)
        X = rng.normal(size=(40, 16)).astype(np.float32)
        X /= np.linalg.norm(X, axis=1, keepdims=True)
        detector = EOEDetector(text_bank=bank, outlier_weight=weight, score_temperature=temperature)
        detector.fit(X, class_names=list("abcde"))

        z = (
            np.concatenate([X @ bank.positive.T, X @ bank.negative.T], axis=1).astype(np.float64)
            / temperature
        )
        e = np.exp(z - z.max(axis=1, keepdims=True))
        shares = e / e.sum(axis=1, keepdims=True)
        expected = shares[:, :5].max(axis=1) - weight * shares[:, 5:].max(axis=1)
        # Cosines are float32, whose rounding the temperature magnifies.
        np.testing.assert_allclose(detector.score_samples(X), expected, atol=1e-6 * max(1, 0.1 / temperature))

    def test_fitting_names_finds_the_named(self, fitted, embedded, strange_scenes):
        strange = fitted.score_samples(strange_scenes)
        assert auroc(fitted.score_samples(embedded[0]), strange) > 0.8


class TestFitting:
    def test_the_bank_is_made_of_names(self, fitted):
        tower = fitted._backbone().text_tower
        expected = tower.encode([f"a photo of a {name}" for name in STRANGE])
        np.testing.assert_allclose(fitted.text_bank_.negative, expected, atol=1e-6)
        assert fitted.text_bank_.positive.shape == (len(KNOWN), 128)
        assert fitted.text_bank_.per_class == 0
        assert fitted.outlier_names_ == STRANGE

    def test_templates_hold_outliers_too(self, embedded):
        detector = eoe_detector(templates=["a drawing of a {}", "one {}"]).fit(*embedded)
        tower = detector._backbone().text_tower
        total = sum(tower.encode([t.format(name) for name in STRANGE]) for t in detector.templates)
        expected = total / np.linalg.norm(total, axis=1, keepdims=True)
        np.testing.assert_allclose(detector.text_bank_.negative, expected, atol=1e-6)

    def test_labels_are_not_needed(self, fitted, embedded):
        alone = eoe_detector().fit(embedded[0], class_names=sorted(KNOWN))
        np.testing.assert_array_equal(alone.score_samples(embedded[0]), fitted.score_samples(embedded[0]))

    def test_class_names_are_no_outliers(self, embedded):
        detector = eoe_detector(outlier_names=["Star", *STRANGE, " key "]).fit(*embedded)
        assert detector.outlier_names_ == STRANGE
        assert len(detector.text_bank_.negative) == len(STRANGE)

    def test_any_sequence_of_names(self, fitted, embedded):
        for names in (tuple(STRANGE), np.array(STRANGE)):
            detector = eoe_detector(outlier_names=names).fit(*embedded)
            assert detector.outlier_names_ == fitted.outlier_names_

    def test_a_bank_of_classes_and_names_of_outliers(self, fitted, embedded):
        detector = eoe_detector(text_bank=fitted.text_bank_.positive).fit(*embedded)
        np.testing.assert_allclose(
            detector.score_samples(embedded[0]), fitted.score_samples(embedded[0]), atol=1e-6
        )

    def test_a_ready_bank_needs_no_model(self, fitted, embedded):
        ready = EOEDetector(model="no such model", text_bank=fitted.text_bank_).fit(*embedded)
        np.testing.assert_allclose(
            ready.score_samples(embedded[0]), fitted.score_samples(embedded[0]), atol=1e-6
        )
        assert ready.outlier_names_ == []
        moved = ready.set_vocabulary(KNOWN[:2], text_bank=random_bank(np.random.default_rng(0), 2, 3, 128))
        assert moved.text_bank_.negative.shape == (3, 128)

    def test_clone_and_pickle(self, fitted, embedded):
        assert not hasattr(clone(fitted), "classes_")
        again = pickle.loads(pickle.dumps(fitted))
        np.testing.assert_array_equal(again.score_samples(embedded[0]), fitted.score_samples(embedded[0]))


class TestPredicting:
    def test_unknown_where_the_decision_is_negative(self, fitted, embedded, strange_scenes):
        X = np.concatenate([embedded[0], CLIPImageEncoder(model="skneg-tiny").transform(strange_scenes)])
        answers, decision = fitted.predict(X), fitted.decision_function(X)
        np.testing.assert_array_equal(answers == "unknown", decision < 0)
        assert (answers == "unknown").any()
        np.testing.assert_allclose(fitted.predict_proba(X).sum(axis=1), 1)
        assert (decision[: len(embedded[0])] < 0).mean() <= fitted.contamination


class TestVocabulary:
    def test_new_classes_leave_the_outliers(self, fitted):
        moved = copy.deepcopy(fitted).set_vocabulary(["fish", "ladder", "star"])
        assert moved.classes_.tolist() == ["fish", "ladder", "star"]
        assert moved.outlier_names_ == ["crown", "tree"]
        assert len(moved.text_bank_.negative) == 2
        back = moved.set_vocabulary(fitted.class_names_)
        assert back.outlier_names_ == STRANGE
        assert back.offset_ == pytest.approx(fitted.offset_, abs=1e-6)

    def test_no_outlier_left_changes_nothing(self, fitted):
        state = dict(vars(fitted))
        with pytest.raises(VocabularyError, match="'fish'.*nothing is left"):
            fitted.set_vocabulary([*STRANGE, "star"])
        assert vars(fitted) == state


class TestBadInput:
    @pytest.mark.parametrize(
        ("parameters", "error", "message"),
        [
            ({"outlier_names": None}, InputError, "outlier_names is None.*language model"),
            ({"outlier_names": []}, VocabularyError, "outlier_names is empty"),
            ({"outlier_names": "fish"}, InputTypeError, "outlier_names must be a sequence.*'fish'"),
            ({"outlier_names": ["fish", 3]}, InputTypeError, r"outlier_names\[1\] is 3"),
            ({"outlier_names": ["fish", " "]}, VocabularyError, r"outlier_names\[1\] is empty"),
            ({"outlier_names": ["fish", "key ring", "Fish"]}, VocabularyError, "'Fish' twice, at 0 and 2"),
            ({"outlier_names": ["star", "key"]}, VocabularyError, "nothing is left"),
            ({"outlier_names": ["fish " * 40]}, VocabularyError, "does not fit"),
            ({"outlier_weight": -1}, InputError, "outlier_weight"),
            ({"outlier_weight": np.inf}, InputError, "outlier_weight"),
            ({"score_temperature": 0}, InputError, "score_temperature"),
            ({"text_bank": np.ones((6, 20))}, InputError, "embeds in 20 dimensions"),
        ],
    )  # fmt: skip
    def test_fit_names_the_culprit(self, embedded, parameters, error, message):
        detector = eoe_detector(**parameters)
        with pytest.raises(error, match=message) as caught:
            detector.fit(*embedded)
        assert isinstance(caught.value, SknegError)
        assert not hasattr(detector, "classes_")

    def test_outliers_come_from_one_place(self, fitted, embedded):
        with pytest.raises(InputError, match="give one of the two"):
            eoe_detector(text_bank=fitted.text_bank_).fit(*embedded)
        with pytest.raises(InputError, match="outlier_names is None"):
            EOEDetector(text_bank=fitted.text_bank_.positive).fit(*embedded)

    def test_a_bank_of_another_width_is_named(self, embedded):
        narrow = random_bank(np.random.default_rng(0), k=6, m=0, d=32)
        with pytest.raises(InputError, match="32 columns, but model='skneg-tiny'.*has 128"):
            eoe_detector(text_bank=narrow).fit(embedded[0][:, :32], embedded[1])

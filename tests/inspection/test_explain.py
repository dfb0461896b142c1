"""What lies behind each answer."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from skneg import (
    EOEDetector,
    KNNDetector,
    MCMDetector,
    NegLabelDetector,
    NegPromptDetector,
    PromptRecipe,
    ScoreEnsemble,
    TextBank,
    Words,
)
from skneg.datasets import SHAPE_NAMES
from skneg.errors import InputTypeError
from skneg.inspection import explain, suggest_classes

from ..conftest import KNOWN
from .conftest import by_hand

BANK = TextBank(
    np.eye(2, 4, dtype=np.float32),
    np.array([[0, 0, 1, 0], [0, 0, 0, 1], [0, 0, -1, 0], [0, 0, 0, -1]], dtype=np.float32),
    per_class=2,
)


def test_numbers_of_a_known_geometry():
    why = by_hand(BANK).explain(np.array([[0.6, 0.48, 0.0, -0.64], [0.0, 1.0, 0.0, 0.0]]))
    assert why.nearest_class.tolist() == ["cat", "dog"]
    assert why.second_class.tolist() == ["dog", "cat"]
    np.testing.assert_allclose(why.nearest_cosine, [0.6, 1.0], atol=1e-6)
    np.testing.assert_allclose(why.second_cosine, [0.48, 0.0], atol=1e-6)
    assert why.negative.tolist() == [3, 0]
    assert why.negative_class.tolist() == ["dog", "cat"]
    assert why.negative_name.tolist() == ["dog [1]", "cat [0]"]
    np.testing.assert_allclose(why.negative_cosine, [0.64, 0.0], atol=1e-6)
    np.testing.assert_allclose(why.negative_margin, [-0.04, 1.0], atol=1e-6)
    assert why.answer.tolist() == ["unknown", "dog"]
    assert why.p_value[0] == 1 / 41
    assert why.decision[0] < 0


def test_unknown_images_still_have_a_nearest_class(negprompt, strange_scenes):
    why = negprompt.explain(strange_scenes)
    rejected = why.answer == "unknown"
    assert rejected.mean() > 0.5
    assert set(why.nearest_class[rejected]) <= set(KNOWN)
    assert (why.nearest_class[~rejected] == why.answer[~rejected]).all()


def test_strange_images_are_nearer_to_negatives(negprompt, embedded, strange_scenes):
    known, strange = negprompt.explain(embedded[0]), negprompt.explain(strange_scenes)
    assert np.median(known.negative_margin) > np.median(strange.negative_margin) + 0.05


def test_negatives_that_are_words_are_named(embedded, strange_scenes):
    for detector in (
        NegLabelDetector(
            model="skneg-tiny",
            words=Words(SHAPE_NAMES, fraction=0.5, max_cosine=1.01),
            random_state=0,
        ),
        EOEDetector(model="skneg-tiny", outlier_names=["fish", "ladder", "crown", "tree"]),
    ):
        why = detector.fit(*embedded).explain(strange_scenes)
        names = getattr(detector, "negative_words_", None) or detector.outlier_names_
        assert why.negative_name.tolist() == [names[row] for row in why.negative]
        assert why.negative_class is None
        assert "ladder" in why.negative_name


def test_what_a_detector_lacks_is_left_out(mcm, embedded):
    assert mcm.explain(embedded[0][:2]).negative_cosine is None
    assert "negative" not in mcm.explain(embedded[0][:2]).to_dict()
    why = KNNDetector(random_state=0).fit(*embedded).explain(embedded[0][:2])
    assert why.nearest_cosine is None
    assert why.negative is None
    assert set(why.to_dict()) == {
        "image", "answer", "score", "decision", "p_value", "nearest_class", "nearest_posterior",
        "second_class", "second_posterior", "class_margin",
    }  # fmt: skip


def test_unknown_label_none_always_answers_a_class(embedded, strange_scenes):
    detector = MCMDetector(model="skneg-tiny", unknown_label=None).fit(*embedded)
    why = detector.explain(strange_scenes)
    np.testing.assert_array_equal(why.answer, why.nearest_class)
    assert (why.decision < 0).any()


@pytest.mark.parametrize("method", ["explain", "nearest_words", "p_values", "calibrate"])
def test_an_unfitted_detector_says_so(method):
    with pytest.raises(NotFittedError):
        getattr(MCMDetector(model="skneg-tiny"), method)(np.eye(3))


@pytest.fixture
def explained(embedded, strange_scenes):
    detector = NegPromptDetector(
        model="skneg-tiny",
        words=["fish", "ladder"],
        recipe=PromptRecipe(positive_steps=2, negative_steps=2),
        random_state=0,
    )
    return detector.fit(*embedded), detector.explain(strange_scenes)


def test_the_nearest_word_is_named(explained, strange_scenes):
    detector, why = explained
    Z = detector._embed(strange_scenes)
    cosines = Z @ detector.text_bank_.common.T
    np.testing.assert_array_equal(why.word, np.array(["fish", "ladder"])[cosines.argmax(axis=1)])
    np.testing.assert_allclose(why.word_cosine, cosines.max(axis=1), atol=1e-6)
    np.testing.assert_allclose(why.word_margin, why.nearest_cosine - why.word_cosine)
    assert "nearest word" in str(why)


@pytest.mark.parametrize("function", [explain, suggest_classes])
def test_several_detectors_are_refused(function, mcm, embedded):
    ensemble = ScoreEnsemble([mcm])
    with pytest.raises(InputTypeError, match="give one of its detectors"):
        function(ensemble, embedded[0])

"""The display of the largest cosines to the prompts."""

import numpy as np
import pytest

from skneg.errors import InputError
from skneg.plotting import SimilarityDisplay


def test_similarities_are_the_largest_cosines(detector, embedded, strange):
    display = SimilarityDisplay.from_estimator(detector, *embedded, ood={"strange": strange})
    frame = display.frame()
    bank = detector.text_bank_
    for name, X in (("ID", embedded[0]), ("strange", strange)):
        for side in ("positive", "negative"):
            rows = frame[(frame["set"] == name) & (frame["prompts"] == side)]
            np.testing.assert_allclose(rows["cosine"], (X @ getattr(bank, side).T).max(axis=1), atol=1e-6)
            np.testing.assert_array_equal(rows["image"], np.arange(len(X)))
    assert set(display.boxes_) == {(n, s) for n in ("ID", "strange") for s in ("positive", "negative")}
    given = SimilarityDisplay.from_predictions(
        (embedded[0] @ bank.positive.T, embedded[0] @ bank.negative.T),
        {"strange": (strange @ bank.positive.T, strange @ bank.negative.T)},
    )
    np.testing.assert_allclose(given.frame()["cosine"], frame["cosine"], atol=1e-6)


def test_the_printed_number_is_the_mean(detector, embedded):
    display = SimilarityDisplay.from_estimator(detector, *embedded)
    means = [f"{values.mean():.2f}" for values in display.similarities["ID"]]
    assert [text.get_text() for text in display.ax_.texts] == means


def test_cosines_must_be_images_by_prompts_with_negatives_everywhere_or_nowhere():
    with pytest.raises(InputError, match="'OOD'.*2-D"):
        SimilarityDisplay.from_predictions((np.ones((3, 2)), None), (np.ones(3), None))
    with pytest.raises(InputError, match="for all sets"):
        SimilarityDisplay.from_predictions((np.ones((3, 2)), None), (np.ones((3, 2)), np.ones((3, 2))))

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from skneg import COOkeDDetector, LinearProbeDetector, MSPDetector, TextBank
from skneg.errors import InputError

from ..conftest import random_unit

pytestmark = pytest.mark.filterwarnings("ignore:labels and names agree")  # of random images

unit = partial(random_unit, np.random.default_rng(0))
BANK, TRAIN, X = unit(3), unit(60), unit(20)
Y = np.tile(list("abc"), 20)


def by_hand(Z):
    """Of names whose softmax is that of 2 z and a probe with weights 1 and 0."""
    state = SimpleNamespace(
        text_bank_=TextBank.from_positives(np.eye(2)),
        coef_=np.array([[1.0, 0.0], [0.0, 0.0]]),
        intercept_=np.zeros(2),
        temperature_=0.5,
    )
    return COOkeDDetector()._score(state, np.array(Z)), COOkeDDetector()._posterior(state, np.array(Z))


def test_the_score_of_small_numbers_is_that_computed_by_hand():
    # Names: e^0 against e^(2 log 2), 1/5 and 4/5; probe: 1/2 and 1/2.
    score, posterior = by_hand([[0.0, np.log(2)]])
    np.testing.assert_allclose(posterior, [[0.35, 0.65]])
    np.testing.assert_allclose(score, [np.log(0.65)])


def test_images_that_both_are_sure_of_are_told_apart():
    score, _ = by_hand([[50.0, 0.0], [60.0, 0.0], [70.0, 0.0]])
    assert (np.diff(score) > 0).all()


def test_it_is_the_mean_of_msp_and_the_probe():
    members = [
        MSPDetector(text_bank=BANK).fit(TRAIN, Y),
        LinearProbeDetector(C=5.0, calibration="train", random_state=0).fit(TRAIN, Y),
    ]
    mean = np.mean([member.predict_proba(X) for member in members], axis=0)
    detector = COOkeDDetector(text_bank=BANK, C=5.0, calibration="train", random_state=0).fit(TRAIN, Y)
    np.testing.assert_allclose(detector.predict_proba(X), mean, atol=1e-4)
    np.testing.assert_allclose(detector.score_samples(X), np.log(mean.max(axis=1)), atol=1e-4)


@pytest.mark.parametrize("wrong", [{"C": -1}, {"max_iter": 0}])
def test_what_no_probe_can_be_is_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        COOkeDDetector(text_bank=BANK, **wrong).fit(TRAIN, Y)

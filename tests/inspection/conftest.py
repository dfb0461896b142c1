"""Detectors to look into: with learned negatives, with names alone, of a geometry one can work out."""

import numpy as np
import pytest

from skneg import MCMDetector, NegPromptDetector, TextBank


@pytest.fixture(scope="session")
def negprompt(embedded):
    return NegPromptDetector(model="skneg-tiny", random_state=0).fit(*embedded)


@pytest.fixture(scope="session")
def mcm(embedded):
    return MCMDetector(model="skneg-tiny").fit(*embedded)


def by_hand(bank=None, **parameters):
    """A detector whose geometry can be worked out: classes on the first two axes."""
    positive = np.eye(2, 4, dtype=np.float32)
    bank = TextBank.from_positives(positive) if bank is None else bank
    X = np.repeat(positive, 20, axis=0)
    return MCMDetector(text_bank=bank, **parameters).fit(X, np.repeat(["cat", "dog"], 20))

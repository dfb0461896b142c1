"""The numbers of a report."""

import numpy as np
import pytest

from skneg.report import _facts
from skneg.report._seen import see


@pytest.fixture(scope="module")
def seen(detector, known):
    return see(detector, known[0], known[1].astype(object))


def test_the_most_and_the_least_certain_stand_first(seen, detector):
    decision = detector.decision_function(seen.embeddings)
    first = _facts.cards(seen, seen.why.decision, 2)
    assert len(first) == 2
    assert dict(first[0]["facts"])["distance to threshold"] == f"{decision.min():+.2f}"
    last = _facts.cards(seen, -seen.why.decision, 1)
    assert dict(last[0]["facts"])["distance to threshold"] == f"{decision.max():+.2f}"


def test_the_two_evidences_and_clarity_sum_to_the_score(seen):
    (card,) = _facts.cards(seen, seen.why.decision, 1)
    facts = dict(card["facts"])
    parts = [float(facts[name].split(" (")[0]) for name in ("words", "images", "clarity")]
    assert sum(parts) == pytest.approx(seen.why.score.min(), abs=0.02)


def test_doubtful_labels_are_those_with_the_least_share(seen, detector, known):
    posterior = detector.predict_proba(seen.embeddings)
    column = [detector.classes_.tolist().index(label) for label in known[1]]
    own = posterior[np.arange(60), column]
    cards = _facts.doubtful_labels(seen, detector._fitted(), 60)
    assert len(cards) == np.sum(detector.classes_[posterior.argmax(axis=1)] != known[1])
    assert dict(cards[0]["facts"])["share of its label"] == f"{own.min():.3f}"
    assert dict(cards[0]["facts"])["label"] == known[1][own.argmin()]


def test_an_image_without_a_file_is_called_by_its_row(detector, embedded):
    (card,) = _facts.cards(see(detector, embedded[0])[[9]], np.zeros(1), 1)
    assert card["name"] == card["place"] == "row 9"
    assert card["picture"] == ""

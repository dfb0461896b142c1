import copy

import numpy as np
import pytest

from skneg import EnergyDetector, MCMDetector, MSPDetector, ScoreEnsemble
from skneg.detectors._members import Members, combine
from skneg.errors import InputError, VocabularyError

from ..conftest import KNOWN, STRANGE

pytestmark = pytest.mark.filterwarnings("ignore:labels and names agree")  # of random images


KINDS = (MCMDetector, MSPDetector, EnergyDetector)


@pytest.fixture(scope="module")
def members(embedded):
    return [kind(model="skneg-tiny").fit(*embedded) for kind in KINDS]


@pytest.fixture
def embedding_calls(monkeypatch):
    """Which detectors have embedded images."""
    calls = []
    original = MCMDetector._embed

    def watch(self, X):
        calls.append(self)
        return original(self, X)

    for kind in KINDS:
        monkeypatch.setattr(kind, "_embed", watch)
    return calls


def together(*detectors):
    return Members(list(detectors), [detector._fitted() for detector in detectors])


class TestEmbedding:
    def test_members_of_one_backbone_embed_once(self, members, scenes, embedding_calls):
        ScoreEnsemble(members).predict(scenes[0][:4])
        assert len(embedding_calls) == 1

    def test_members_of_another_backbone_embed_for_themselves(self, members, scenes, embedding_calls):
        other = copy.deepcopy(members[1]).set_params(precision="fp32")
        represented = together(members[0], other, members[2]).represent(scenes[0][:4])
        assert embedding_calls == [members[0], other]
        assert represented[0] is represented[2]
        assert represented[0] is not represented[1]

    def test_embeddings_are_taken_as_they_are(self, members, embedded, embedding_calls):
        for Z in together(*members).represent(embedded[0][:4]):
            np.testing.assert_array_equal(Z, embedded[0][:4])
        assert embedding_calls == []


class TestAgreement:
    def test_other_classes_are_refused(self, members, embedded):
        other = copy.deepcopy(members[1]).set_vocabulary(STRANGE)
        fewer = copy.deepcopy(members[1]).set_vocabulary(sorted(KNOWN)[1:])
        for second in (other, fewer):
            with pytest.raises(
                VocabularyError, match=r"detectors\[0\] \(MCMDetector\) and detectors\[1\] \(MSPDetector\)"
            ):
                ScoreEnsemble([members[0], second]).predict(embedded[0])

    def test_other_unknown_labels_are_refused(self, members, embedded):
        other = MSPDetector(model="skneg-tiny", unknown_label="other").fit(*embedded)
        with pytest.raises(InputError, match="'unknown' and 'other'"):
            ScoreEnsemble([members[0], other]).predict(embedded[0])

    def test_the_same_images_are_known_by_their_rows_order_and_labels(self, members, embedded):
        X, y = embedded
        assert together(*members).same_images()
        fits = {
            "equal": (X.copy(), y),
            "turned": (X[::-1], y[::-1]),
            "fewer": (X[:60], y[:60]),
            "other labels": (X, np.roll(y, 1)),
            "other images": (np.roll(X, 1, axis=0), y),
        }
        for what, images in fits.items():
            other = MSPDetector(model="skneg-tiny").fit(*images)
            assert together(members[0], other).same_images() == (what == "equal"), what


class TestScores:
    def test_calibration_scores_keep_the_order_of_the_images(self, members, embedded):
        for own, detector in zip(together(*members).calibration_scores(), members, strict=True):
            np.testing.assert_array_equal(own, detector.score_samples(embedded[0]))
            assert (np.diff(own) < 0).any()

    def test_probabilities_are_the_mean(self, members, embedded):
        # Other templates: members of one bank have one posterior.
        other = MCMDetector(model="skneg-tiny", templates="a drawing of some {}").fit(*embedded)
        first, second = members[0].predict_proba(embedded[0]), other.predict_proba(embedded[0])
        assert np.abs(first - second).max() > 0.01
        ensemble = ScoreEnsemble([members[0], other])
        np.testing.assert_allclose(ensemble.predict_proba(embedded[0]), (first + second) / 2)

    def test_each_member_has_a_scale_of_its_own(self):
        references = [np.array([1.0, 5.0, 9.0]), np.array([100.0, 200.0, 300.0])]
        scores = [np.array([0.0, 5.0]), np.array([250.0, 250.0])]
        # Of three, none and two of the first reference are no larger, and two of the second.
        np.testing.assert_allclose(combine(scores, references, "p_value"), [(1 + 3) / 8, (3 + 3) / 8])
        # Ranks: 5 is the middle of the first, 250 halfway between places 2 and 3 of 4.
        assert combine(scores, references, "rank")[1] == pytest.approx((0.5 + 0.625) / 2)

    def test_a_score_that_is_not_finite_is_refused_as_by_its_member(self, members, embedded, monkeypatch):
        X, ensemble = embedded[0], ScoreEnsemble(members)
        nothing = np.full((len(X), len(KNOWN)), np.nan)
        monkeypatch.setattr(MCMDetector, "_posterior", lambda *_: nothing)
        monkeypatch.setattr(MCMDetector, "_score", lambda *_: nothing[:, 0])
        for detector in (members[0], ensemble):
            for method in ("predict_proba", "score_samples", "decision_function"):
                with pytest.raises(InputError, match="NaN"):
                    getattr(detector, method)(X)

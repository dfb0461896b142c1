"""TINS on the shipped model: which texts join, and what they do."""

import numpy as np
import pytest

from skneg import InterNegDetector, StreamDetector, TextBank, WordsDetector, load
from skneg.adaptation import TINS
from skneg.datasets import make_scenes
from skneg.encoder import CLIPImageEncoder
from skneg.errors import InputError
from skneg.scores import interneg


@pytest.fixture(scope="module")
def scenes():
    encoder = CLIPImageEncoder(model="skneg-tiny")
    X, y = make_scenes(60, shapes=["star", "heart"], random_state=0)
    strange, _ = make_scenes(24, shapes=["fish"], random_state=1)
    return encoder.transform(X), y, encoder.transform(strange)


@pytest.fixture(scope="module")
def detector(scenes):
    return InterNegDetector(model="skneg-tiny", n_words=50, contamination=0.1, random_state=0).fit(
        *scenes[:2]
    )


def test_texts_of_unknown_images_join_the_negatives(scenes, detector, tmp_path):
    stream = StreamDetector(detector, TINS(threshold=0.999, steps=3), move_every=8, random_state=0)
    first = stream.state_.memory
    np.testing.assert_allclose(np.linalg.norm(first["means"], axis=1), 1, rtol=1e-6)
    assert len(first["texts"]) == 0
    stream.partial_score(scenes[2][:20])
    memory = stream.state_.memory
    texts, means = memory["texts"], memory["means"].astype(np.float64)
    assert len(texts) > 0
    bounds = (means * detector.text_bank_.positive).sum(axis=1)
    assert (texts @ means.T < bounds).all()
    np.testing.assert_allclose(memory["leads"], (bounds - texts @ means.T).mean(axis=1), rtol=1e-5)
    # The score is InterNeg's with the texts among the negatives.
    negatives = np.concatenate([detector.text_bank_.negative, texts])
    order = np.random.default_rng(memory["seed"]).permutation(len(negatives))
    expected = interneg(scenes[2] @ detector.text_bank_.positive.T, scenes[2] @ negatives[order].T)
    found = stream.score_samples(scenes[2])
    np.testing.assert_allclose(found - found[0], expected - expected[0], atol=1e-5)
    stream.save(tmp_path / "tins.skneg")
    again = load(tmp_path / "tins.skneg")
    np.testing.assert_array_equal(again.partial_score(scenes[2]), stream.partial_score(scenes[2]))


def test_no_more_texts_are_kept_than_asked_for(scenes, detector):
    stream = StreamDetector(detector, TINS(threshold=0.999, steps=1, n_texts=2), move_every=8)
    stream.partial_score(scenes[2])
    assert len(stream.state_.memory["texts"]) <= 2


def test_it_needs_words_with_names_and_labels(scenes):
    Z = scenes[0]
    bank = TextBank(Z[:2], Z[2:10])
    ready = WordsDetector(text_bank=bank, class_names=["heart", "star"]).fit(Z)
    with pytest.raises(InputError, match="came as embeddings"):
        StreamDetector(ready, "tins").score_samples(Z)
    unlabelled = WordsDetector(model="skneg-tiny", class_names=["heart", "star"]).fit(Z)
    with pytest.raises(InputError, match="fit or calibrate with labelled images"):
        StreamDetector(unlabelled, "tins").score_samples(Z)


@pytest.mark.parametrize("name", list(TINS().get_params()))
def test_parameters_that_are_not_usable_are_refused_by_name(name):
    with pytest.raises(InputError, match=name):
        TINS(**{name: -1}).check()

"""The map of images and prompts."""

import numpy as np
import pytest

from skneg.errors import InputError, InputTypeError
from skneg.plotting import EmbeddingMapDisplay


def test_the_same_seed_gives_the_same_map(detector, embedded, strange):
    one, other, third = (
        EmbeddingMapDisplay.from_estimator(
            detector, embedded[0], ood=strange, max_per_set=40, random_state=seed
        ).frame()
        for seed in (0, 0, 1)
    )
    assert one.equals(other)
    assert not one["row"].equals(third["row"])


def test_the_legend_says_what_was_left_out(detector, embedded, strange):
    display = EmbeddingMapDisplay.from_estimator(
        detector, embedded[0], ood={"strange": strange}, max_per_set=100, random_state=0
    )
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels[:2] == ["ID images (100 of 120)", "strange images (80)"]
    rows = display.frame().query("set == 'ID'")["row"]
    assert rows.is_unique
    assert rows.between(0, 119).all()


def test_centring_puts_prompts_among_the_images_of_their_class(detector, embedded):
    X, y = embedded

    def share(center):
        display = EmbeddingMapDisplay.from_predictions(
            X, text_bank=detector.text_bank_, center=center, random_state=0
        )
        gaps = display.positive.places[:, None] - display.images["ID"].places[None]
        return np.mean(y[np.linalg.norm(gaps, axis=2).argmin(axis=1)] == detector.classes_)

    assert share(center=True) == 1
    assert share(center=False) < 1


def test_embeddings_must_have_the_banks_width(detector, embedded):
    with pytest.raises(InputError, match="128 columns"):
        EmbeddingMapDisplay.from_predictions(embedded[0][:, :5], text_bank=detector.text_bank_)
    with pytest.raises(InputTypeError, match="text_bank"):
        EmbeddingMapDisplay.from_predictions(embedded[0], text_bank=detector.text_bank_.positive)
    with pytest.raises(InputError, match="max_per_set"):
        EmbeddingMapDisplay.from_estimator(detector, embedded[0], max_per_set=0)

"""Rows that cannot be read, and the state that a stream has."""

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

from skneg import CLIPImageEncoder, MCMDetector, ScoreEnsemble
from skneg.errors import ImageError, InputError, InputTypeError, InputWarning
from skneg.images import ImageSequence, as_image_sequence
from skneg.streams._seen import see


@pytest.fixture(scope="module")
def detector(embedded):
    return MCMDetector(model="skneg-tiny").fit(*embedded)


def test_each_image_is_decoded_once_where_all_can_be_read(detector, scenes):
    loaded = []

    def load(index):
        loaded.append(index)
        return images[index]

    images = as_image_sequence(scenes[0][:10])
    list(see(detector, ImageSequence(10, load), 4, "skip", "a test"))
    assert sorted(loaded) == list(range(10))


def test_bad_images_are_set_aside_with_what_is_wrong(detector, scenes):
    images = [*scenes[0][:3], b"broken", *scenes[0][3:5], "gone.png"]
    first, second = see(detector, iter(images), 5, "skip", "a test")
    assert first.rows.tolist() == [0, 1, 2, 4]
    assert first.errors[3].startswith("image (6 bytes) cannot be read")
    assert second.index.tolist() == [5, 6]
    assert second.errors == {1: "image ('gone.png') does not exist."}
    assert len(second.images) == len(second.Z) == 1


def test_an_image_that_only_the_tower_refuses_is_set_aside_too(detector, scenes):
    import torch

    images = [scenes[0][0], torch.zeros(3, 8, 8), scenes[0][1], torch.zeros(3, 9, 9)]
    (seen,) = see(detector, images, 9, "skip", "a test")
    assert seen.rows.tolist() == [0, 2]
    assert "float tensor of shape (3, 9, 9)" in seen.errors[3]


def test_nothing_can_be_read(detector):
    (seen,) = see(detector, [b"", b"x"], 9, "skip", "a test")
    assert seen.Z is None
    assert list(seen.errors) == [0, 1]


@pytest.mark.parametrize("generator", [True, False])
def test_an_error_names_the_place_in_the_stream(detector, scenes, generator):
    images = [*scenes[0][:7], b"broken"]
    stream = see(detector, iter(images) if generator else images, 3, "raise", "a test")
    assert len(next(stream).Z) == len(next(stream).Z) == 3
    with pytest.raises(ImageError, match=r"^image 7 \(6 bytes\) cannot") as raised:
        next(stream)
    assert raised.value.index == 7


def test_all_bad_images_of_a_part_are_in_one_error(detector, scenes):
    images = [*scenes[0][:4], b"broken", scenes[0][4], "gone.png"]
    stream = see(detector, iter(images), 4, "raise", "a test")
    next(stream)
    with pytest.raises(ImageError, match=r"^2 images .*image 4 .*image 6 ") as raised:
        next(stream)
    assert [error.index for error in raised.value.errors] == [4, 6]


def test_a_pipeline_whose_encoder_skips(detector, scenes):
    pipeline = make_pipeline(CLIPImageEncoder(model="skneg-tiny", on_error="skip"), detector)
    images = [*scenes[0][:3], b"broken"]
    with pytest.warns(InputWarning, match="NaN stand for 1 skipped"):
        (seen,) = see(pipeline, images, 9, "skip", "a test")
    assert seen.rows.tolist() == [0, 1, 2]
    assert list(seen.errors) == [3]
    with pytest.warns(InputWarning), pytest.raises(InputError, match=r"^row 3: the embedding is missing"):
        list(see(pipeline, images, 9, "raise", "a test"))
    with pytest.warns(InputWarning), pytest.raises(InputError, match="NaN or infinity, first in row 3"):
        pipeline.predict(images)


def test_bad_embeddings(detector, embedded):
    Z = embedded[0][:9].copy()
    Z[4], Z[7, 3], Z[8, 2] = 0, np.nan, np.inf
    with pytest.raises(InputError, match="^row 4: the embedding is all zeros.$"):
        list(see(detector, Z, 3, "raise", "a test"))
    parts = list(see(detector, Z, 3, "skip", "a test"))
    assert [part.rows.tolist() for part in parts] == [[0, 1, 2], [0, 2], [0]]
    assert list(parts[2].errors) == [1, 2]


def test_what_is_wrong_with_all_rows_is_raised(detector):
    with pytest.raises(InputError, match="5 features"):
        list(see(detector, np.ones((4, 5), np.float32), 3, "skip", "a test"))


def test_a_pipeline_that_encodes(detector, scenes):
    pipeline = make_pipeline(CLIPImageEncoder(model="skneg-tiny"), detector)
    (seen,) = see(pipeline, [*scenes[0][:3], b"broken"], 9, "skip", "a test")
    (alone,) = see(detector, [*scenes[0][:3], b"broken"], 9, "skip", "a test")
    np.testing.assert_array_equal(seen.Z, alone.Z)
    assert seen.errors == alone.errors


def test_one_state_for_the_whole_stream(embedded):
    Z, y = embedded
    detector = MCMDetector(model="skneg-tiny").fit(Z, y)
    stream = see(detector, Z, 50, "raise", "a test")
    first = next(stream)
    detector.set_vocabulary(["tree", "car"])
    assert next(stream).state is first.state


def test_parameters_are_checked_at_the_call(detector, embedded):
    for chunk, on_error in ((0, "raise"), (1.5, "raise"), (3, "ignore")):
        with pytest.raises(InputError):
            see(detector, embedded[0], chunk, on_error, "a test")
    with pytest.raises(InputTypeError, match="give one of its detectors"):
        see(ScoreEnsemble([detector, detector]), embedded[0], 3, "raise", "a test")

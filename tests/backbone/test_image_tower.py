"""Images to unit-norm embeddings, in batches."""

import io
import threading
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import softmax
from torch.nn import functional

from skneg.backbone import load_backbone
from skneg.errors import ImageError, SknegError
from skneg.images import ImageSequence, as_image_sequence, decode_image


@pytest.fixture(scope="module")
def tower():
    return load_backbone("skneg-tiny").image_tower


def test_rows_do_not_depend_on_batch_size_or_order(scenes, tower):
    images = as_image_sequence(scenes[0][:20])
    whole = tower.encode(images, batch_size=64)
    np.testing.assert_allclose(tower.encode(images, batch_size=3), whole, atol=1e-5)
    backwards = tower.encode(as_image_sequence(scenes[0][:20][::-1]))
    np.testing.assert_allclose(backwards[::-1], whole, atol=1e-5)


def test_preprocessed_tensors_are_taken_as_they_are(scenes, tower):
    pixels = torch.from_numpy(scenes[0][:4]).permute(0, 3, 1, 2) / 255
    preprocessed = (pixels - 0.5) / 0.25
    expected = tower.encode(as_image_sequence(scenes[0][:4]))
    got = tower.encode(as_image_sequence(preprocessed))
    np.testing.assert_allclose(got, expected, atol=1e-5)
    with pytest.raises(ImageError, match=r"\(3, 64, 64\)"):
        tower.encode(as_image_sequence(preprocessed[:, :, :32]))
    preprocessed[2, 0, 0, 0] = torch.nan
    with pytest.raises(ImageError, match="image 2 holds NaN"):
        tower.encode(as_image_sequence(preprocessed))


@pytest.mark.filterwarnings("ignore:8 of 8 images are all but black")
def test_one_lazy_image_many_times_is_decoded_by_many_threads(tmp_path, tower):
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((300, 300, 3), np.uint8)).save(path)
    for _ in range(5):
        assert len(tower.encode(as_image_sequence([Image.open(path)] * 8))) == 8


def test_the_user_s_warning_filters_stay(scenes):
    before = list(warnings.filters)
    load_backbone("skneg-tiny").image_tower.encode(as_image_sequence([scenes[0][0]] * 200))
    assert warnings.filters == before


def test_out_of_memory_halves_the_batch_then_is_a_typed_error(scenes, monkeypatch, tower):
    images = as_image_sequence(scenes[0][:20])
    expected = tower.encode(images)
    forward, limit, sizes = tower._forward, 6, []

    def small_memory(pixels, *rest):
        sizes.append(len(pixels))
        if len(pixels) > limit:
            raise torch.OutOfMemoryError
        return forward(pixels, *rest)

    monkeypatch.setattr(tower, "_forward", small_memory)
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    np.testing.assert_allclose(tower.encode(images, batch_size=16), expected, atol=1e-5)
    assert sizes == [16, 8, 4, 4, 4, 4, 4]
    limit = 0
    with pytest.raises(SknegError, match="too little memory"):
        tower.encode(images)


def test_a_cpu_works_on_few_images_a_thread_at_a_time(scenes, monkeypatch, tower):
    forward, sizes = tower._forward, []
    monkeypatch.setattr(tower, "_forward", lambda *a: sizes.append(len(a[0])) or forward(*a))
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    tower.encode(as_image_sequence(scenes[0][:20]))
    assert sizes == [8, 8, 4]


def test_the_next_batch_is_read_while_the_tower_works_and_no_more(scenes, monkeypatch, tower):
    forward, reads, next_is_read = tower._forward, [], threading.Event()
    images = as_image_sequence(scenes[0][:24])

    def read(row):
        reads.append(row)
        if len(reads) >= min(24, 4 * (n_batches + 2)):
            next_is_read.set()
        return images[row]

    n_batches = 0

    def slow(pixels, *rest):
        nonlocal n_batches
        assert next_is_read.wait(10), "nothing is read meanwhile"
        next_is_read.clear()
        assert max(reads) < 4 * (n_batches + 2)
        n_batches += 1
        if n_batches > 4:  # the last batch is there
            next_is_read.set()
        return forward(pixels, *rest)

    expected = tower.encode(images)
    monkeypatch.setattr(tower, "_forward", slow)
    np.testing.assert_allclose(tower.encode(ImageSequence(24, read), batch_size=4), expected, atol=1e-5)
    assert n_batches == 6


@pytest.mark.parametrize("kind", [str, bytes])
def test_a_large_jpeg_file_is_decoded_smaller_and_looks_the_same(kind, scenes, tmp_path, tower):
    buffer = io.BytesIO()
    Image.fromarray(scenes[0][0]).resize((1600, 1200), Image.Resampling.BICUBIC).save(buffer, "JPEG")
    path = tmp_path / "a.jpg"
    path.write_bytes(buffer.getvalue())
    item = str(path) if kind is str else buffer.getvalue()
    images = as_image_sequence([item])
    assert images.at_least(4 * 64)[0].size == (400, 300)
    assert images[0].size == decode_image(item).size == (1600, 1200)
    seen, whole = (tower.pixels(given, [0]) for given in (images, as_image_sequence([decode_image(item)])))
    grey_levels = np.abs(seen - whole) * 0.25 * 255  # 0.25 is the tiny model's std
    assert 0 < grey_levels.mean() < 1
    assert np.percentile(grey_levels, 99) <= 4
    np.testing.assert_allclose(
        tower.encode(images), tower.encode(as_image_sequence([decode_image(item)])), atol=0.01
    )


def test_channels_side_by_side_are_the_same_image(scenes, monkeypatch, tower):
    """As pixels lie on a GPU."""
    images = as_image_sequence(scenes[0][:5])
    expected = tower.encode(images), tower.encode(images, local=True)
    monkeypatch.setattr(tower, "_layout", torch.channels_last)
    np.testing.assert_allclose(tower.encode(images), expected[0], atol=1e-5)
    np.testing.assert_allclose(tower.encode(images, local=True), expected[1], atol=1e-5)


@pytest.mark.parametrize("batch_size", [2, 64])
def test_an_image_that_cannot_be_read_is_named_by_its_place_among_all(batch_size, scenes, tower):
    images = as_image_sequence([*scenes[0][:5], b"broken", scenes[0][5]])
    with pytest.raises(ImageError, match="image 5 ") as caught:
        tower.encode(images, batch_size=batch_size)
    assert caught.value.index == 5


def test_pixels_are_those_of_the_chosen_rows(scenes, tower):
    pixels = tower.pixels(as_image_sequence(scenes[0][:5]), np.array([4, 1]))
    expected = (scenes[0][[4, 1]].transpose(0, 3, 1, 2) / 255 - 0.5) / 0.25
    assert pixels.dtype == np.float32
    np.testing.assert_allclose(pixels, expected, atol=1e-5)


def perturbed_by_hand(tower, pixels, text, epsilon, temperature):
    """One image at a time, its gradient by the sum of its logits' own gradients."""
    cosines = []
    for row in torch.from_numpy(pixels):
        x = row[None].clone().requires_grad_()

        def logits(x):
            embedding = functional.normalize(tower._network.encode_image(x), dim=-1)
            return (embedding @ torch.from_numpy(text).T)[0]

        z = logits(x) / temperature
        share = z.detach().softmax(0)
        share[z.argmax()] -= 1  # the gradient of the cross-entropy by the logits
        z.backward(share)
        cosines.append(logits(row[None] - epsilon * x.grad.sign()).detach().numpy())
    return np.stack(cosines)


@pytest.mark.parametrize("epsilon", [0.0, 0.002])
def test_perturbed_cosines_are_those_after_one_step_of_each_image_alone(epsilon, scenes, tower):
    pixels = tower.pixels(as_image_sequence(scenes[0][:3]), range(3))
    text = load_backbone("skneg-tiny").text_tower.encode(["a photo of a star", "a key", "a red heart"])
    got = tower.perturbed_cosines(pixels, text, epsilon, 0.1)
    np.testing.assert_allclose(got, perturbed_by_hand(tower, pixels, text, epsilon, 0.1), atol=3e-4)
    if epsilon:
        plain = softmax(tower.perturbed_cosines(pixels, text, 0.0, 0.1) / 0.1, axis=1)
        best = plain.argmax(axis=1)[:, None]  # whose share the step raises
        raised = np.take_along_axis(softmax(got / 0.1, axis=1) - plain, best, axis=1)
        assert (raised > 1e-3).all()

import errno
import io
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from skneg import CLIPImageEncoder, _files
from skneg.backbone import load_backbone
from skneg.cache import CacheWarning, EmbeddingCache, content_key, encoding_of
from skneg.errors import ImageError, InputError, InputTypeError, PersistenceError
from skneg.images import as_image_sequence


class Tower:
    """Encodes an image as its mean colour, and keeps what it was asked for."""

    def __init__(self):
        self.seen = []

    def __call__(self, images):
        pixels = [np.asarray(images[i], dtype=np.float32) for i in range(len(images))]
        self.seen += [p.mean() for p in pixels]
        return np.array([p.mean(axis=(0, 1)) for p in pixels])


@pytest.fixture
def images():
    return as_image_sequence(np.random.default_rng(0).integers(0, 256, (7, 9, 9, 3), dtype=np.uint8))


@pytest.fixture
def cache(tmp_path):
    return EmbeddingCache(tmp_path, "test")


def entries(cache):
    return sorted(cache.folder.glob("??/*"))


def test_what_was_encoded_is_not_encoded_again(cache, images):
    tower = Tower()
    first = cache.encode_through(images, tower)
    again = EmbeddingCache(cache.folder.parent, "test").encode_through(images, tower)
    np.testing.assert_array_equal(first, Tower()(images))
    np.testing.assert_array_equal(again, first)
    assert len(tower.seen) == len(cache) == 7


def test_only_new_images_are_encoded_in_any_order(cache, images):
    tower = Tower()
    some = as_image_sequence([images[i] for i in (5, 2)])
    mixed = as_image_sequence([images[i] for i in (6, 5, 6, 0, 2)])
    cache.encode_through(some, tower)
    embeddings = cache.encode_through(mixed, tower)
    np.testing.assert_array_equal(embeddings, Tower()(mixed))
    assert len(tower.seen) == 4  # 6 is there twice


def test_an_image_is_the_same_as_file_bytes_and_pixels(tmp_path, images):
    image = images[0]
    image.save(tmp_path / "a.png")
    buffer = io.BytesIO()
    image.save(buffer, "BMP")
    forms = as_image_sequence([image, np.asarray(image), str(tmp_path / "a.png"), buffer.getvalue()])
    assert len({content_key(forms[i]) for i in range(4)}) == 1


def test_a_large_jpeg_file_is_known_and_encoded_by_its_full_size(tmp_path):
    """An entry must not depend on whether the file or its pixels came first."""
    path = tmp_path / "a.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (640, 640, 3), dtype=np.uint8)).save(path)
    encoders = [CLIPImageEncoder(model="skneg-tiny", cache=tmp_path / name) for name in "ab"]
    of_file, of_pixels = encoders[0].transform([path]), encoders[1].transform([Image.open(path)])
    np.testing.assert_array_equal(of_file, of_pixels)
    entries = [sorted(p.name for p in (tmp_path / name).rglob("*.safetensors")) for name in "ab"]
    assert entries[0] == entries[1]
    assert not np.array_equal(CLIPImageEncoder(model="skneg-tiny").transform([path]), of_file)  # 160 x 160


def test_the_same_pixels_in_another_shape_are_another_image():
    pixels = np.arange(54, dtype=np.uint8)
    a, b = (Image.fromarray(pixels.reshape(shape)) for shape in ((3, 6, 3), (6, 3, 3)))
    assert content_key(a) != content_key(b)


def test_ways_of_encoding_do_not_mix(tmp_path, images):
    backbone = load_backbone("skneg-tiny")
    half = load_backbone("skneg-tiny", precision="bf16")
    names = {encoding_of(backbone), encoding_of(backbone, local=True), encoding_of(half)}
    assert len(names) == 3
    for name in names:
        tower = Tower()
        EmbeddingCache(tmp_path, name).encode_through(images, tower)
        assert len(tower.seen) == 7


def test_other_weights_are_another_way_of_encoding(tmp_path):
    import shutil

    from safetensors.numpy import load_file, save_file

    from skneg.backbone._tiny import TINY_FOLDER, WEIGHTS_NAME

    folder = shutil.copytree(TINY_FOLDER, tmp_path / "model")
    same = encoding_of(load_backbone(f"local-dir:{folder}"))
    weights = load_file(folder / WEIGHTS_NAME)
    name = next(name for name in weights if name.startswith("visual.") and name.endswith(".bias"))
    weights[name] = weights[name] + 1
    save_file(weights, folder / WEIGHTS_NAME)
    moved = shutil.move(folder, tmp_path / "retrained")
    assert same == encoding_of(load_backbone("skneg-tiny"))
    assert encoding_of(load_backbone(f"local-dir:{moved}")) != same


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped", "text"])
def test_a_damaged_entry_warns_and_is_encoded_again(damage, cache, images):
    cache.encode_through(images, Tower())
    path = entries(cache)[3]
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    damaged = {"truncated": data[:-5], "empty": b"", "flipped": data, "text": b"embedding"}[damage]
    path.write_bytes(damaged)
    tower = Tower()
    with pytest.warns(CacheWarning, match=str(path)) as caught:
        embeddings = cache.encode_through(images, tower)
    assert len(caught) == len(tower.seen) == 1
    np.testing.assert_array_equal(embeddings, Tower()(images))
    cache.encode_through(images, tower)
    assert len(tower.seen) == 1


def test_no_flipped_bit_is_used(cache, images):
    one = as_image_sequence([images[0]])
    key = content_key(images[0])
    cache.encode_through(one, Tower())
    path = entries(cache)[0]
    data = path.read_bytes()
    for position in range(len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        with pytest.warns(CacheWarning):
            assert cache.get(key) is None, position


def test_the_entry_of_another_image_is_not_used(cache, images):
    cache.encode_through(images, Tower())
    first, second = entries(cache)[:2]
    first.write_bytes(second.read_bytes())
    with pytest.warns(CacheWarning, match="another image"):
        embeddings = cache.encode_through(images, Tower())
    np.testing.assert_array_equal(embeddings, Tower()(images))


def test_an_entry_that_cannot_be_read_for_now_is_kept(cache, images, monkeypatch):
    cache.encode_through(images, Tower())
    before, tower = {path: path.read_bytes() for path in entries(cache)}, Tower()

    def no_more_files(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(_files, "read_regular", no_more_files)
        key = content_key(images[0])
        with pytest.warns(CacheWarning, match=r"Too many open files.*left as it is"):
            assert cache.get(key) is None
    assert {path: path.read_bytes() for path in entries(cache)} == before
    cache.encode_through(images, tower)
    assert tower.seen == []


def test_a_folder_that_cannot_be_written_warns_and_gives_the_embeddings(tmp_path, images):
    (tmp_path / "file").write_text("in the way")
    cache = EmbeddingCache(tmp_path / "file", "test")
    with pytest.warns(CacheWarning, match="could not be cached"):
        embeddings = cache.encode_through(images, Tower())
    np.testing.assert_array_equal(embeddings, Tower()(images))


def test_an_interrupted_run_keeps_what_it_has(cache, images, monkeypatch):
    monkeypatch.setattr("skneg.cache._CHUNK", 3)

    def interrupted(some, tower=Tower()):  # noqa: B008
        if tower.seen:
            raise KeyboardInterrupt
        return tower(some)

    with pytest.raises(KeyboardInterrupt):
        cache.encode_through(images, interrupted)
    tower = Tower()
    cache.encode_through(images, tower)
    assert len(tower.seen) == 4
    assert not list(cache.folder.glob("**/*.unfinished"))


def test_who_comes_while_another_encodes_waits_and_encodes_nothing(cache, images, monkeypatch):
    monkeypatch.setattr("skneg.cache._CHUNK", 2)
    start, tower = threading.Barrier(2), Tower()

    def slowly(some):
        time.sleep(0.05)
        return tower(some)

    def work(_):
        start.wait(30)
        # A lock of its own for each, as in two processes.
        return EmbeddingCache(cache.folder.parent, "test").encode_through(images, slowly)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(work, range(2))
    np.testing.assert_array_equal(first, second)
    assert len(tower.seen) == 7


class TestEncoder:
    def test_gives_the_embeddings_it_gives_without_a_cache(self, tmp_path, scenes):
        X = scenes[0][:20]
        plain = CLIPImageEncoder(model="skneg-tiny").transform(X)
        encoder = CLIPImageEncoder(model="skneg-tiny", cache=str(tmp_path))
        for _ in range(2):
            np.testing.assert_allclose(encoder.transform(X[::-1])[::-1], plain, atol=1e-6)
        local = CLIPImageEncoder(model="skneg-tiny", local=True, cache=tmp_path).transform(X)
        np.testing.assert_allclose(local[:, 0], plain, atol=1e-6)

    @pytest.mark.parametrize("output", ["default", "pandas"])
    def test_warnings_point_to_whoever_called(self, output, tmp_path, scenes):
        encoder = CLIPImageEncoder(model="skneg-tiny", cache=tmp_path).set_output(transform=output)
        encoder.transform(scenes[0][:2])
        next(tmp_path.glob("*/??/*.safetensors")).write_bytes(b"damaged")
        with pytest.warns(CacheWarning) as caught:
            encoder.transform(scenes[0][:2])
        assert [warning.filename for warning in caught] == [__file__]

    def test_takes_preprocessed_tensors(self, tmp_path, scenes):
        import torch

        tower = load_backbone("skneg-tiny").image_tower
        images = as_image_sequence(scenes[0][:4])
        X = torch.from_numpy(tower.pixels(images, range(4)))
        encoder = CLIPImageEncoder(model="skneg-tiny", cache=tmp_path)
        for _ in range(2):
            np.testing.assert_allclose(encoder.transform(X), tower.encode(images), atol=1e-6)

    def test_names_the_unreadable_image_by_its_place_in_the_input(self, tmp_path, scenes):
        encoder = CLIPImageEncoder(model="skneg-tiny", cache=tmp_path)
        encoder.transform(scenes[0][:3])
        with pytest.raises(ImageError, match="image 4 ") as caught:
            encoder.transform([*scenes[0][:4], b"broken"])
        assert caught.value.index == 4

    def test_names_the_unfit_tensor_by_its_place_in_the_input(self, tmp_path):
        import torch

        size = load_backbone("skneg-tiny").image_tower.image_size
        encoder = CLIPImageEncoder(model="skneg-tiny", cache=tmp_path)
        X = torch.zeros(3, 3, *size)
        encoder.transform(X)
        X[2] = torch.nan
        with pytest.raises(ImageError, match="image 2 holds NaN") as caught:
            encoder.transform(X)
        assert caught.value.index == 2

    @pytest.mark.parametrize("cache", [3, True, ["folder"]])
    def test_refuses_what_is_no_folder(self, cache, scenes):
        with pytest.raises(InputTypeError, match="cache must be a folder"):
            CLIPImageEncoder(model="skneg-tiny", cache=cache).transform(scenes[0][:2])


class TestLimit:
    def fill(self, folder, images, max_bytes, namespace="test"):
        EmbeddingCache(folder, namespace, max_bytes=max_bytes).encode_through(images, Tower())

    def test_what_was_used_longest_ago_goes_first(self, tmp_path, images):
        cache = EmbeddingCache(tmp_path, "test", max_bytes=5 * 4096)
        for i, age in enumerate([500, 900, 100, 800, 300]):
            cache.encode_through(as_image_sequence([images[i]]), Tower())
            os.utime(cache._path(content_key(images[i])), (time.time() - age,) * 2)
        assert cache.get(content_key(images[1])) is not None  # used now
        cache.encode_through(as_image_sequence([images[5]]), Tower())
        kept = [i for i in range(7) if cache._path(content_key(images[i])).exists()]
        assert kept == [1, 2, 4, 5]  # nine tenths of five

    def test_the_limit_is_one_for_all_ways_of_encoding(self, tmp_path, images):
        self.fill(tmp_path, images, 7 * 4096, "one")
        self.fill(tmp_path, images, 7 * 4096, "two")
        assert len(EmbeddingCache(tmp_path, "one")) + len(EmbeddingCache(tmp_path, "two")) == 6

    def test_nothing_else_in_the_folder_is_removed(self, tmp_path, images):
        others = [tmp_path / name for name in ("models/v1/model.safetensors", "a/ab/c.safetensors", "x.npy")]
        for path in others:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(99))
            os.utime(path, (0, 0))
        self.fill(tmp_path, images, 0)
        assert all(path.exists() for path in others)
        assert len(EmbeddingCache(tmp_path, "test")) == 0

    def test_the_environment_sets_it(self, tmp_path, images, monkeypatch):
        monkeypatch.setenv("SKNEG_CACHE_SIZE", "12 KB")
        self.fill(tmp_path, images, None)
        assert len(EmbeddingCache(tmp_path, "test")) == 2

    @pytest.mark.parametrize("max_bytes", [-1, 1.5, True])
    def test_what_is_no_size_is_refused(self, max_bytes, tmp_path):
        with pytest.raises(InputError, match="max_bytes"):
            EmbeddingCache(tmp_path, "test", max_bytes=max_bytes)

    def test_an_entry_that_is_removed_while_it_is_looked_up_is_missing_without_a_word(
        self, cache, images, monkeypatch
    ):
        cache.encode_through(images, Tower())

        def removed(path, *_):
            path.unlink()
            raise PersistenceError("it does not exist")

        monkeypatch.setattr("skneg.cache.read_bytes", removed)
        assert cache.get(content_key(images[0])) is None

    def test_what_a_killed_process_left_goes_with_time(self, tmp_path, images):
        cache = EmbeddingCache(tmp_path, "test", max_bytes=4096)
        cache.encode_through(as_image_sequence([images[0]]), Tower())
        left = [cache.folder / content_key(images[0])[:2] / f".{name}.unfinished" for name in ("old", "new")]
        for path in left:
            path.write_bytes(b"half")
        os.utime(left[0], (0, 0))
        cache.encode_through(images, Tower())
        assert [path.exists() for path in left] == [False, True]

"""What skneg keeps to save time: whatever it has become, the answers are right."""

import functools
import warnings

import numpy as np

from skneg._eviction import make_room
from skneg._files import _DIGEST, pack, unpack
from skneg.cache import CacheWarning, EmbeddingCache, content_key
from skneg.images import as_image_sequence
from skneg.words import _read_kept

from .._forked import REFUSED, RIGHT
from ._bytes import damaged, damaged_behind
from ._skneg_files import sealed
from ._target import Target
from ._values import spoiled, spoiled_arrays

_PIXELS = np.random.default_rng(0).integers(0, 256, (3, 9, 9, 3), dtype=np.uint8)
_KEYS = [content_key(image) for image in as_image_sequence(_PIXELS)]
_NAMESPACE, _WORDS_KEY, _SHAPE = "0" * 32, "1" * 32, (5, 16)


def targets(whole):
    embeddings = _encode(as_image_sequence(_PIXELS))
    entries = [
        bytes(pack({"key": key, "namespace": _NAMESPACE}, {"embedding": row}))
        for key, row in zip(_KEYS, embeddings, strict=True)
    ]
    words = np.random.default_rng(0).normal(size=_SHAPE).astype(np.float16)
    kept = bytes(pack({"key": _WORDS_KEY}, {"words": words}))
    check_entry = functools.partial(_check_entry, entries[0])
    check_words, check_any_words = (functools.partial(_check_words, right) for right in (kept, None))
    return [
        Target("cached embedding", lambda rng: damaged(entries[0], rng, entries), check_entry),
        Target("cached embedding, sealed anew", lambda rng: _forged(entries[0], rng, entries), _check_forged),
        Target("cached words", lambda rng: damaged(kept, rng, [kept]), check_words),
        Target("cached words, sealed anew", lambda rng: _forged(kept, rng, entries), check_any_words),
        Target("size of a cache", lambda rng: damaged(b"12345", rng, [rng.bytes(9)]), _check_size),
    ]


def _encode(images):
    """Stands in for a model."""
    return np.stack([np.asarray(image, dtype=np.float32).mean(axis=0).ravel() for image in images])


def _forged(data, rng, others):
    """Sealed: other bytes behind the seal, or another header or array."""
    if rng.random() < 0.3:
        return sealed(damaged_behind(_DIGEST.stop, data, rng, others))
    header, tensors = unpack(data, "")
    if rng.random() < 0.3:
        return bytes(pack(spoiled(header, rng), tensors))
    return bytes(pack(header, spoiled_arrays(tensors, rng)))


def _encoded_through(data, folder):
    """Embeddings with this entry for the first image, and what was warned of."""
    cache = EmbeddingCache(folder / "cache", _NAMESPACE)
    for entry in cache.folder.glob("??/*"):
        entry.unlink()
    cache._path(_KEYS[0]).parent.mkdir(parents=True, exist_ok=True)
    cache._path(_KEYS[0]).write_bytes(data)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        embeddings = cache.encode_through(as_image_sequence(_PIXELS), _encode)
    return embeddings, [warning.category for warning in caught]


def _check_entry(right, data, folder):
    embeddings, warned = _encoded_through(data, folder)
    np.testing.assert_array_equal(embeddings, _encode(as_image_sequence(_PIXELS)), strict=True)
    assert warned == ([] if data == right else [CacheWarning])
    return REFUSED if warned else RIGHT


def _check_forged(data, folder):
    """Who may write to a cache decides embeddings, but not of what kind they are."""
    embeddings, warned = _encoded_through(data, folder)
    right = _encode(as_image_sequence(_PIXELS))
    assert embeddings.shape == right.shape
    assert embeddings.dtype.kind == "f"
    assert np.isfinite(embeddings).all()
    np.testing.assert_array_equal(embeddings[1:], right[1:])
    return REFUSED if warned else RIGHT


def _check_words(right, data, folder):
    """`right` is the file that is read alone; None where any that is sealed may be."""
    file = folder / "words"
    file.write_bytes(data)
    words = _read_kept(file, _WORDS_KEY, _SHAPE)
    if words is None:
        return REFUSED
    assert right in (None, data)
    assert (words.shape, words.dtype) == (_SHAPE, np.float16)
    assert np.isfinite(words).all()
    return RIGHT


def _check_size(data, folder):
    """A wrong sum costs a count of the files, and no file."""
    cache = folder / "counted"
    cache.mkdir(exist_ok=True)
    files = [cache / str(number) for number in range(3)]
    for file in files:
        file.write_bytes(b"kept")
    (cache / ".size").write_bytes(data)
    make_room(cache, 4096, 2**20, lambda: files)
    assert all(file.exists() for file in files)
    return RIGHT

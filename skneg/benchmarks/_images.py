"""Sets of images, encoded once for all detectors, protocols and seeds."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..cache import EmbeddingCache, encoding_of
from ..errors import ImageError
from ..images import as_image_sequence

if TYPE_CHECKING:
    from ..backbone import Backbone

_SHOW = 256  # images from which on a progress bar is worth its line


class Images:
    """Images as pixels, as embeddings, or as both.

    Parameters
    ----------
    name : str
        Of the set, for messages.
    pixels : sequence of paths, or ndarray of shape (n, height, width, 3), optional
    embeddings : ndarray of shape (n, d), optional
    keys : sequence of str, optional
        What tells the images apart on every machine; their numbers by default.
    """

    def __init__(
        self,
        name: str,
        *,
        pixels: Any = None,
        embeddings: np.ndarray | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        self.name = name
        self.pixels = pixels
        self.embeddings = embeddings
        held: Any = embeddings if pixels is None else pixels
        self.keys = [str(i) for i in range(len(held))] if keys is None else list(keys)

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: np.ndarray) -> Images:
        """Some of the images."""
        pixels = self.pixels
        if pixels is not None:
            pixels = pixels[rows] if isinstance(pixels, np.ndarray) else [pixels[i] for i in rows]
        return Images(
            self.name,
            pixels=pixels,
            embeddings=None if self.embeddings is None else self.embeddings[rows],
            keys=[self.keys[i] for i in rows],
        )

    def fingerprint(self) -> str:
        """A hash of which images these are: of names and arrays, not of what files hold."""
        digest = hashlib.sha256("\0".join(self.keys).encode())
        for held in (self.pixels, self.embeddings):
            if isinstance(held, np.ndarray):
                digest.update(np.ascontiguousarray(held).tobytes())
        return digest.hexdigest()[:16]

    def content(self) -> str | None:
        """A hash of what the image files hold; None where there are none."""
        if self.pixels is None or isinstance(self.pixels, np.ndarray):
            return None
        with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
            digests = pool.map(_hash_file, range(len(self)), self.pixels)
            return hashlib.sha256(b"".join(digests)).hexdigest()[:16]


def _hash_file(index: int, path: str | os.PathLike) -> bytes:
    try:
        status = os.stat(path)
        return _hash_state(os.fspath(path), status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise ImageError(f"image {index} ({path}) cannot be read: {error}", index) from error


# The experiments of a protocol share images.
@lru_cache(maxsize=1 << 20)
def _hash_state(path: str, size: int, mtime_ns: int) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


class Encoder:
    """The towers of one backbone, with the embeddings of all images they have seen.

    Parameters
    ----------
    backbone : Backbone
    cache : Path or None
        Folder that keeps embeddings of image files, by their content; None keeps them in memory alone.
    batch_size : int
    verbose : bool
    """

    def __init__(self, backbone: Backbone, cache: Path | None, batch_size: int, verbose: bool) -> None:
        self.weights = backbone.weights_sha256
        self.encoding = encoding_of(backbone)
        self._tower, self._texts = backbone.image_tower, backbone.text_tower
        self._cache = None if cache is None else EmbeddingCache(cache, self.encoding)
        self._batch_size = batch_size
        self._verbose = verbose
        # The cache on the disk decodes an image to know it again; within a run its state is enough.
        self._known: dict[bytes, np.ndarray] = {}

    def embeddings(self, images: Images) -> np.ndarray:
        """Unit-norm embeddings (n, d) of a set."""
        if images.embeddings is not None:
            return images.embeddings
        stamps = _stamps(images)
        new = {stamp: i for i, stamp in reversed(list(enumerate(stamps))) if stamp not in self._known}
        if new:
            encoded = self._encode(images.take(np.array(list(new.values()))))
            self._known.update(zip(new, encoded, strict=True))
        return np.stack([self._known[stamp] for stamp in stamps])

    def texts(self, prompts: list[str]) -> np.ndarray:
        """Unit-norm embeddings (n, d) of prompts."""
        return self._texts.encode(prompts)

    def _encode(self, images: Images) -> np.ndarray:
        sequence = as_image_sequence(images.pixels)
        verbose = self._verbose and len(images) >= _SHOW
        encode = partial(self._tower.encode, batch_size=self._batch_size, verbose=verbose)
        if self._cache is None or isinstance(images.pixels, np.ndarray):
            return encode(sequence)
        return self._cache.encode_through(sequence, encode)


def _stamps(images: Images) -> list[bytes]:
    """What tells one state of an image from all others."""
    if isinstance(images.pixels, np.ndarray):
        return [hashlib.sha256(image.tobytes()).digest() for image in images.pixels]
    states = ((path, os.stat(path)) for path in images.pixels)
    return [f"{path}\0{status.st_size}\0{status.st_mtime_ns}".encode() for path, status in states]

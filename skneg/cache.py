"""Embeddings on a disk, so that an image is encoded once however often it is asked for."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ._files import alone, pack, read_bytes, unpack, write_bytes
from ._utils import warn
from .errors import ImageError, InputTypeError, PersistenceError, SknegWarning
from .images import ImageSequence
from .images._ahead import read_ahead

if TYPE_CHECKING:
    from .backbone import Backbone

_SUFFIX = ".safetensors"
_LARGEST_ENTRY = 2**26  # bytes: 8,000 patches of 2,048 float32 each
_CHUNK = 512  # images encoded between two writes: what an interrupted run loses


class CacheWarning(SknegWarning):
    """A cached embedding is damaged, or the cache cannot be written; the embeddings given are right."""


class EmbeddingCache:
    """Embeddings by the content of the image, in one folder for each way of encoding.

    Entries are safetensors files with a sha256, each written in whole or not at all. A damaged one is
    never used: it warns, and the image is encoded again. To empty a cache, delete its folder.

    Any number of processes may share a folder. While one encodes what is missing, others wait and then
    read it, so that each image is encoded once. Where file locks do nothing, as on some network drives,
    two processes may encode the same image; both get the same embedding.

    Parameters
    ----------
    folder : str or os.PathLike
        Made when the first embedding is written.
    namespace : str
        What the embeddings depend on beside the image; see `encoding_of`.

    Examples
    --------
    >>> import tempfile
    >>> from skneg.backbone import load_backbone
    >>> from skneg.cache import EmbeddingCache, encoding_of
    >>> from skneg.datasets import make_scenes
    >>> from skneg.images import as_image_sequence
    >>> images = as_image_sequence(make_scenes(4, random_state=0)[0])
    >>> backbone = load_backbone("skneg-tiny")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cache = EmbeddingCache(folder, encoding_of(backbone))
    ...     cache.encode_through(images, backbone.image_tower.encode).shape, len(cache)
    ((4, 128), 4)
    """

    def __init__(self, folder: str | os.PathLike, namespace: str) -> None:
        if not isinstance(folder, str | os.PathLike):
            raise InputTypeError(f"cache must be a folder, got {folder!r}.")
        self.folder = Path(folder).expanduser() / namespace
        self.namespace = namespace

    def __len__(self) -> int:
        """Number of embeddings, damaged ones included."""
        return sum(1 for _ in self.folder.glob(f"??/[!.]*{_SUFFIX}"))

    def encode_through(
        self, images: ImageSequence, encode: Callable[[Sequence[Any]], np.ndarray]
    ) -> np.ndarray:
        """Embeddings of images, of which only those not in the cache are encoded.

        All images are decoded once to be recognised, those that are encoded once more.

        Parameters
        ----------
        images : ImageSequence
            Decoded images, as `skneg.images.as_image_sequence` gives.
        encode : callable
            Takes a sequence of some of the images; returns an array with a row for each.

        Returns
        -------
        ndarray of shape (n, ...)

        Raises
        ------
        ImageError
            If an image cannot be read; has its ``index``.
        PersistenceError
            If the folder holds embeddings of different shapes, which skneg never writes.
        """
        keys = _keys(images)
        position = {key: i for i, key in reversed(list(enumerate(keys)))}
        found = {key: self.get(key) for key in position}
        missing = [key for key, embedding in found.items() if embedding is None]
        for start in range(0, len(missing), _CHUNK):
            chunk = missing[start : start + _CHUNK]
            with alone(self.folder / ".lock"):
                found.update((key, self.get(key)) for key in chunk)  # by another process, meanwhile
                chunk = [key for key in chunk if found[key] is None]
                if chunk:
                    encoded = _encode_some(images, [position[key] for key in chunk], encode)
                    found.update(zip(chunk, encoded, strict=True))
                    self._put_all(chunk, encoded)
        if len(shapes := {kept.shape for kept in found.values() if kept is not None}) > 1:
            raise PersistenceError(
                f"{self.folder} holds embeddings of different shapes ({sorted(shapes)}): delete it."
            )
        return np.stack([found[key] for key in keys])  # type: ignore[misc]  # none is None any more

    def get(self, key: str) -> np.ndarray | None:
        """The embedding of the image with a `content_key`, or None where there is no sound one."""
        path = self._path(key)
        if not path.exists():
            return None
        try:
            data = read_bytes(path, _LARGEST_ENTRY)
        except PersistenceError as error:  # too many open files, a network drive that is away
            self._warn(f"{error} It is left as it is, and the image is encoded again.")
            return None
        try:
            header, tensors = unpack(data, str(path))
            if header != self._header(key):
                raise PersistenceError(f"{path} is the embedding of another image.")
            embedding = tensors.get("embedding", np.empty(0))
            if embedding.size == 0 or embedding.dtype.kind != "f" or not np.isfinite(embedding).all():
                raise PersistenceError(f"{path} holds no embedding.")
            return embedding
        except PersistenceError as error:
            self._warn(f"{error} The image is encoded again.")
            with contextlib.suppress(OSError):
                path.unlink()
            return None

    def put(self, key: str, embedding: np.ndarray) -> None:
        """Keep the embedding of the image with a `content_key`.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not synced to the disk: what a power cut destroys is found by its checksum, and encoded again.
        data = pack(self._header(key), {"embedding": np.ascontiguousarray(embedding)})
        write_bytes(path, data, durable=False)

    def _put_all(self, keys: Sequence[str], embeddings: np.ndarray) -> None:
        try:
            for key, embedding in zip(keys, embeddings, strict=True):
                self.put(key, embedding)
        except OSError as error:
            self._warn(f"embeddings could not be cached, and will be computed again: {error}")

    @staticmethod
    def _warn(message: str) -> None:
        warn(message, CacheWarning)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key[2:]}{_SUFFIX}"

    def _header(self, key: str) -> dict[str, str]:
        return {"key": key, "namespace": self.namespace}


def encoding_of(backbone: Backbone, local: bool = False) -> str:
    """A short name of everything an embedding depends on beside the image.

    Parameters
    ----------
    backbone : Backbone
        Its weights, how it prepares images, and the precision it computes in; not its name or device.
    local : bool, default=False
        Whether patches are embedded as well.

    Returns
    -------
    str
        Hexadecimal.
    """
    facts = [backbone.weights_sha256, backbone.settings, str(backbone.image_tower._dtype), bool(local)]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def content_key(image: Any) -> str:
    """The sha256 of what is to be seen, the same for a file, its bytes and its pixels.

    Parameters
    ----------
    image : PIL image, or float tensor of shape (3, height, width)
        As the items of an `ImageSequence`.

    Returns
    -------
    str
        Hexadecimal.
    """
    if isinstance(image, Image.Image):
        return hashlib.sha256(f"{image.mode} {image.size} ".encode() + image.tobytes()).hexdigest()
    pixels = image.detach().cpu().float().numpy()
    return hashlib.sha256(f"tensor {pixels.shape} ".encode() + pixels.tobytes()).hexdigest()


def _keys(images: Sequence[Any]) -> list[str]:
    with read_ahead(lambda i: content_key(images[i]), len(images)) as keys:
        return list(keys)


def _encode_some(
    images: ImageSequence, rows: Sequence[int], encode: Callable[[Sequence[Any]], np.ndarray]
) -> np.ndarray:
    try:
        # At full size, as they were recognised: an entry must not depend on who was first to encode it.
        return encode(ImageSequence(len(rows), images.take(rows).__getitem__))
    except ImageError as error:
        raise error.at(rows[error.index]) from error

"""Embeddings on a disk, so that an image is encoded once however often it is asked for."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ._eviction import make_room, size_limit, space, used_now, why_not_kept
from ._files import UNFINISHED, alone, as_path, pack, read_bytes, unpack, write_bytes
from ._utils import check_at_least, warn
from .errors import ImageError, InputTypeError, PersistenceError, SknegWarning
from .images import ImageSequence
from .images._ahead import read_ahead

if TYPE_CHECKING:
    from .backbone import Backbone

_SUFFIX = ".safetensors"
_FORMAT = 1  # of entries: versions of skneg that write others do not meet in a folder
_ENTRY = re.compile(rf"[0-9a-f]{{62}}{_SUFFIX}|\..*{UNFINISHED}")  # what may be removed
_LARGEST_ENTRY = 2**26  # bytes: 8,000 patches of 2,048 float32 each
_CHUNK = 512  # images encoded between two writes: what an interrupted run loses


class CacheWarning(SknegWarning):
    """A cached embedding is damaged, or the cache cannot be written; the embeddings given are right."""


class EmbeddingCache:
    """Embeddings by the content of the image, in one folder for each way of encoding.

    Entries are safetensors files with a sha256, each written in whole or not at all. A damaged one is
    never used: it warns, and the image is encoded again. To empty a cache, delete its folder.

    Above ``max_bytes`` those entries go first that were used longest ago. All that is wrong with a cache, a
    full or read-only disk too, is one `CacheWarning` a call; the embeddings are right without it.

    Any number of processes may share a folder. While one encodes what is missing, others wait and then
    read it, so that each image is encoded once. Where file locks do nothing, as on some network drives,
    two processes may encode the same image; both get the same embedding.

    Parameters
    ----------
    folder : str or os.PathLike
        Made when the first embedding is written.
    namespace : str
        What the embeddings depend on beside the image; see `encoding_of`.
    max_bytes : int, optional
        Space on the disk that all embeddings of `folder` may take, in blocks of 4 KiB. By default what the
        environment variable ``SKNEG_CACHE_SIZE`` says, such as ``"500 MB"``, or 10 GiB: two million images
        of 512 numbers. A process with a smaller limit removes what others have kept.

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

    def __init__(self, folder: str | os.PathLike, namespace: str, max_bytes: int | None = None) -> None:
        if not isinstance(folder, str | os.PathLike):
            raise InputTypeError(f"cache must be a folder, got {folder!r}.")
        self.max_bytes = size_limit() if max_bytes is None else max_bytes
        check_at_least("max_bytes", self.max_bytes, 0, Integral)
        self.folder = as_path(folder) / namespace
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
        troubles: list[str] = []
        found = {key: self._find(key, troubles) for key in position}
        missing = [key for key, embedding in found.items() if embedding is None]
        for start in range(0, len(missing), _CHUNK):
            chunk = missing[start : start + _CHUNK]
            with alone(self.folder / ".lock"):
                found.update((key, self._find(key, [])) for key in chunk)  # by another process, meanwhile
                chunk = [key for key in chunk if found[key] is None]
                if chunk:
                    encoded = _encode_some(images, [position[key] for key in chunk], encode)
                    found.update(zip(chunk, encoded, strict=True))
                    self._put_all(chunk, encoded, troubles)
        if troubles:
            self._warn(f"{troubles[0]} ({len(troubles)} such cases)" if troubles[1:] else troubles[0])
        if len(shapes := {kept.shape for kept in found.values() if kept is not None}) > 1:
            raise PersistenceError(
                f"{self.folder} holds embeddings of different shapes ({sorted(shapes)}): delete it."
            )
        return np.stack([found[key] for key in keys])  # type: ignore[misc]  # none is None any more

    def get(self, key: str) -> np.ndarray | None:
        """The embedding of the image with a `content_key`, or None where there is no sound one."""
        troubles: list[str] = []
        embedding = self._find(key, troubles)
        if troubles:
            self._warn(troubles[0])
        return embedding

    def _find(self, key: str, troubles: list[str]) -> np.ndarray | None:
        path = self._path(key)
        if not os.path.exists(path):
            return None
        try:
            data = read_bytes(path, _LARGEST_ENTRY)
        except PersistenceError as error:  # too many open files, a network drive that is away
            if os.path.exists(path):  # else it was removed to make room
                troubles.append(f"{error} It is left as it is, and the image is encoded again.")
            return None
        try:
            header, tensors = unpack(data, str(path))
            if header != self._header(key):
                raise PersistenceError(f"{path} is the embedding of another image.")
            embedding = tensors.get("embedding", np.empty(0))
            if embedding.size == 0 or embedding.dtype.kind != "f" or not np.isfinite(embedding).all():
                raise PersistenceError(f"{path} holds no embedding.")
        except PersistenceError as error:
            troubles.append(f"{error} The image is encoded again.")
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        used_now(path)
        return embedding

    def put(self, key: str, embedding: np.ndarray) -> None:
        """Keep the embedding of the image with a `content_key`.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        make_room(self.folder.parent, self._write(key, embedding), self.max_bytes, self._removable)

    def _write(self, key: str, embedding: np.ndarray) -> int:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not synced to the disk: what a power cut destroys is found by its checksum, and encoded again.
        data = pack(self._header(key), {"embedding": np.ascontiguousarray(embedding)})
        write_bytes(path, data, durable=False)
        return space(path)

    def _put_all(self, keys: Sequence[str], embeddings: np.ndarray, troubles: list[str]) -> None:
        added = 0
        try:
            for key, embedding in zip(keys, embeddings, strict=True):
                added += self._write(key, embedding)
        except OSError as error:
            troubles.append(
                f"embeddings could not be cached in {self.folder}, and will be computed again: "
                f"{why_not_kept(error)}."
            )
        if added:
            make_room(self.folder.parent, added, self.max_bytes, self._removable)

    def _removable(self) -> Iterator[Path]:
        """Entries of all ways of encoding, and nothing else that may lie in the folder."""
        for beginning in self.folder.parent.glob("*/[0-9a-f][0-9a-f]"):
            with contextlib.suppress(OSError):
                yield from (Path(e.path) for e in os.scandir(beginning) if _ENTRY.fullmatch(e.name))

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
    facts = [
        _FORMAT,
        backbone.weights_sha256,
        backbone.settings,
        str(backbone.image_tower._dtype),
        bool(local),
    ]
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

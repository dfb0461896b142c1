"""What the encoders share: any images in, unit-norm rows out, with a cache."""

from __future__ import annotations

import os
from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from ._sklearn import DOC_LINK
from ._utils import check_at_least, check_option, check_switch
from .errors import ImageError, InputError
from .images import as_image_sequence
from .images._unreadable import warn_of_skipped

if TYPE_CHECKING:
    from .backbone import Backbone


class ImageEncoder(TransformerMixin, BaseEstimator):
    """Encode images with a frozen model; a subclass says in `_model` which one."""

    _doc_link_module = "skneg"
    _doc_link_template = DOC_LINK

    device: str
    precision: str
    batch_size: int
    cache: str | os.PathLike | None
    max_pixels: int
    on_error: str
    verbose: bool | int
    local: bool = False

    def _model(self) -> tuple[str, str | None]:
        """`model` and `pretrained` of `skneg.backbone.load_backbone`."""
        raise TypeError(f"{type(self).__name__} must define _model.")

    def fit(self, X: Any, y: Any = None) -> Self:
        """Do nothing: the tower is frozen.

        Parameters
        ----------
        X : sequence of images
            Not looked at.
        y : None
            Ignored.

        Returns
        -------
        self
        """
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Encode images, in order.

        Parameters
        ----------
        X : sequence of images
            As in `NegPromptDetector.fit`, without embeddings.

        Returns
        -------
        ndarray of shape (n, d) or (n, 1 + patches, d), float32
            Unit-norm embeddings; with ``on_error="skip"``, rows of NaN for images that cannot be read.

        Raises
        ------
        ImageError
            If images cannot be read, or none with ``on_error="skip"``; its ``errors`` has one for each.
        InputError, InputTypeError
            If X is no sequence of images, or holds floats that are not normalised.
        BackboneError
            If the model cannot be had.
        """
        images = as_image_sequence(X, self.max_pixels)
        check_at_least("batch_size", self.batch_size, 1, Integral)
        check_switch("verbose", self.verbose)
        check_switch("local", self.local)
        check_option("on_error", self.on_error, ("raise", "skip"))
        if self.cache is None:
            return self._encode(images, self.on_error)
        from .cache import EmbeddingCache, encoding_of

        cache = EmbeddingCache(self.cache, encoding_of(self.backbone(), self.local))
        try:
            return cache.encode_through(images, self._encode)
        except ImageError as error:
            bad = self.backbone().image_tower.unreadable(images) or [error]
            good = np.setdiff1d(np.arange(len(images)), [e.index for e in bad]).tolist()
            if not good:
                raise ImageError.of(bad) from error
            # Also where all that follows is an error: the next run then finds them.
            encoded = cache.encode_through(images.take(good), self._encode)
            if self.on_error == "raise":
                raise ImageError.of(bad) from error
        rows = np.full((len(images), *encoded.shape[1:]), np.nan, dtype=encoded.dtype)
        rows[good] = encoded
        warn_of_skipped(bad)
        return rows

    def backbone(self) -> Backbone:
        """The model, loaded when first needed and once in a process."""
        from .backbone import load_backbone

        return load_backbone(*self._model(), self.device, self.precision)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns that `transform` gives; loads no weights.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        ndarray of shape (d,), object
            The name of the class and a number: ``clipimageencoder0``, ``clipimageencoder1`` and so on.
        """
        if self.local:
            raise InputError("local=True gives a 3-D array, which has no columns to name; take local=False.")
        from .backbone import embedding_width

        width, prefix = embedding_width(*self._model()), type(self).__name__.lower()
        return np.array([f"{prefix}{column}" for column in range(width)], dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def _encode(self, images: Any, on_error: str = "raise") -> np.ndarray:
        encode, local = self.backbone().image_tower.encode, bool(self.local)
        return encode(images, self.batch_size, bool(self.verbose), local=local, on_error=on_error)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags

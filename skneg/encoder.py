"""Images to embeddings as a scikit-learn transformer."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin

from .embedding import EmbeddingMixin


class CLIPImageEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, EmbeddingMixin, BaseEstimator):
    """Encode images with a frozen CLIP image tower.

    In a Pipeline in front of a detector, with ``memory=`` set, each image is encoded once in a whole
    search. It learns nothing, so it works without `fit`.

    Parameters
    ----------
    model, pretrained, device, precision
        See `skneg.backbone.load_backbone`.
    batch_size : int, default=64
        Images per forward pass.
    local : bool, default=False
        Whether to give the embeddings of the image's patches as well, for the detectors that look at
        them. The output is then (n, 1 + patches, d), index 0 of the second axis the whole image.
    verbose : bool, default=False
        Whether to show a progress bar.

    See Also
    --------
    NegPromptDetector : Takes images too, and then encodes them in the same way.

    Examples
    --------
    >>> from skneg import CLIPImageEncoder
    >>> from skneg.datasets import make_scenes
    >>> X, _ = make_scenes(4, random_state=0)
    >>> CLIPImageEncoder(model="skneg-tiny").fit_transform(X).shape
    (4, 128)
    """

    def __init__(
        self,
        *,
        model: str = "ViT-B-16",
        pretrained: str | None = None,
        device: str = "auto",
        precision: str = "auto",
        batch_size: int = 64,
        local: bool = False,
        verbose: bool | int = False,
    ) -> None:
        self.model = model
        self.pretrained = pretrained
        self.device = device
        self.precision = precision
        self.batch_size = batch_size
        self.local = local
        self.verbose = verbose

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
            Unit-norm embeddings.

        Raises
        ------
        ImageError
            If an image cannot be read; has its ``index``.
        BackboneError
            If the model cannot be had.
        """
        return self._encode_images(X, local=self.local)

    @property
    def _n_features_out(self) -> int:
        return self._backbone().text_tower.embed_dim

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.two_d_array = False
        return tags

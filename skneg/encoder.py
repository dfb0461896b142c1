"""Images to embeddings as scikit-learn transformers."""

from __future__ import annotations

import os
from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from ._sklearn import DOC_LINK
from ._utils import check_at_least, check_option, check_switch
from .errors import ImageError, InputError
from .images import MAX_PIXELS, as_image_sequence
from .images._unreadable import warn_of_skipped

if TYPE_CHECKING:
    from .backbone import Backbone


class _ImageEncoder(TransformerMixin, BaseEstimator):
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


class CLIPImageEncoder(_ImageEncoder):
    """Encode images with a frozen CLIP image tower.

    It learns nothing, so it works without `fit`. With ``cache=`` each image is encoded once, in a whole
    search and in the next one: a Pipeline's ``memory=`` does not do that, since it keeps a fold's
    training images together, and its test images not at all.

    Parameters
    ----------
    model, pretrained, device, precision
        See `skneg.backbone.load_backbone`.
    batch_size : int, default=64
        Images per forward pass; on a CPU at most 8 for each of its threads.
    local : bool, default=False
        Whether to give the embeddings of the image's patches as well, for the detectors that look at
        them. The output is then (n, 1 + patches, d), index 0 of the second axis the whole image.
    cache : str or os.PathLike, optional
        A folder that keeps embeddings by the content of the image and the weights of the model, so that
        an image is encoded once, however often and by however many processes it is asked for; see
        `skneg.cache.EmbeddingCache`. Large JPEG files are then decoded at full size. None keeps none.
    max_pixels : int, default=178_956_970
        An image that has more pixels is refused before it is decoded: it may be a small file that fills the
        memory. Pillow needs 4 bytes for each, and up to 8 images are decoded at a time; a service should set
        what its images have.
    on_error : {"raise", "skip"}, default="raise"
        What to do with images that cannot be read. An `ImageError` names all of them; with ``cache=`` the
        others are encoded and kept first, so that the next run need not. With "skip" their rows are NaN, with
        an `InputWarning`: no row is left out, and detectors refuse such rows. ``~np.isnan(Z).any(axis=1)``
        are those to keep, with their labels. `skneg.streams.predict_stream` answers with an error a row.
    verbose : bool, default=False
        Whether to show a progress bar.

    See Also
    --------
    TimmImageEncoder : The same with an image model that knows no texts, such as DINOv2.
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
        cache: str | os.PathLike | None = None,
        max_pixels: int = MAX_PIXELS,
        on_error: str = "raise",
        verbose: bool | int = False,
    ) -> None:
        self.model = model
        self.pretrained = pretrained
        self.device = device
        self.precision = precision
        self.batch_size = batch_size
        self.local = local
        self.cache = cache
        self.max_pixels = max_pixels
        self.on_error = on_error
        self.verbose = verbose

    def _model(self) -> tuple[str, str | None]:
        return self.model, self.pretrained


class TimmImageEncoder(_ImageEncoder):
    """Encode images with a frozen image model of timm, such as DINOv2, DINOv3 or ConvNeXt.

    It has no text tower, so it goes with detectors that compare images: `KNNDetector`, `MahalanobisDetector`,
    `LinearProbeDetector` and ``NegPromptDetector(evidence="images")``. All of them also take the model
    themselves, as ``model="timm:<model>"``; docs/image-models.md shows both.

    An embedding is what timm's model gives without its classifier (``reset_classifier(0)``), scaled to length
    1. Images are prepared as `timm.data.resolve_data_config` says of the model.

    Parameters
    ----------
    model : str, default="vit_base_patch14_dinov2.lvd142m"
        A name of timm that has weights (``timm.list_pretrained()``), ``"hf-hub:<id>"``, or
        ``"local-dir:<folder>"`` with ``config.json`` and ``model.safetensors``, as timm's ``save_for_hf``
        writes them. Nothing in a folder is run (docs/security.md), and a model without weights is an error.
    device : str, default="auto"
        See `skneg.backbone.load_backbone`, also for `precision`.
    precision : {"auto", "fp32", "bf16", "fp16"}, default="auto"
    batch_size : int, default=64
        As of `CLIPImageEncoder`, as are `cache`, `max_pixels`, `on_error` and `verbose`.
    cache : str or os.PathLike, optional
        May be the folder of other encoders: embeddings of one model are never taken for those of another.
    max_pixels : int, default=178_956_970
    on_error : {"raise", "skip"}, default="raise"
    verbose : bool, default=False

    See Also
    --------
    CLIPImageEncoder : The same with CLIP, whose embeddings can be compared with texts.

    References
    ----------
    .. [1] Wightman, "PyTorch Image Models", https://github.com/huggingface/pytorch-image-models.

    Examples
    --------
    A small model without training, in timm's layout, stands in for a real one:

    >>> import tempfile
    >>> import timm
    >>> from skneg import TimmImageEncoder
    >>> from skneg.datasets import make_scenes
    >>> X, _ = make_scenes(4, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     timm.models.save_for_hf(timm.create_model("test_vit"), folder, safe_serialization=True)
    ...     TimmImageEncoder(model=f"local-dir:{folder}").transform(X).shape
    (4, 64)
    """

    def __init__(
        self,
        *,
        model: str = "vit_base_patch14_dinov2.lvd142m",
        device: str = "auto",
        precision: str = "auto",
        batch_size: int = 64,
        cache: str | os.PathLike | None = None,
        max_pixels: int = MAX_PIXELS,
        on_error: str = "raise",
        verbose: bool | int = False,
    ) -> None:
        self.model = model
        self.device = device
        self.precision = precision
        self.batch_size = batch_size
        self.cache = cache
        self.max_pixels = max_pixels
        self.on_error = on_error
        self.verbose = verbose

    def _model(self) -> tuple[str, str | None]:
        if not isinstance(self.model, str) or not self.model:
            raise InputError(f"model must be the name of a model of timm, got {self.model!r}.")
        return f"timm:{self.model.removeprefix('timm:')}", None

"""What detectors share that look at an image's patches as well as at the whole."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..bank import TextBank
from ..embedding import unit_rows
from ..errors import InputError
from ..images import is_embeddings
from ..scores import class_posterior, local_mcm, mcm


class LocalFeaturesMixin:
    """Represents images as (n, 1 + patches, d): the whole image's embedding, then those of its patches.

    Such an array, from ``CLIPImageEncoder(local=True)``, is taken in the place of images; a matrix of
    whole-image embeddings is refused, since the patches cannot be had from it.
    """

    temperature_: float
    text_bank_: TextBank
    score_temperature: float
    local_weight: float

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        return tags

    def _count(self, X: Any) -> int:
        return len(X) if _is_local(X) or is_embeddings(X) else super()._count(X)  # type: ignore[misc]

    def _represent(self, X: Any, reset: bool = False) -> np.ndarray:
        if is_embeddings(X):
            raise InputError(
                f"{type(self).__name__} looks at image patches, which a 2-D matrix of embeddings does not "
                "hold: give images, or the 3-D output of CLIPImageEncoder(local=True)."
            )
        if not _is_local(X):
            return self._encode_images(X, local=True)  # type: ignore[attr-defined]
        if len(X) == 0:
            raise InputError("X holds no images (found array with 0 sample(s)).")
        width = self._model_width() if reset else self.text_bank_.positive.shape[1]  # type: ignore[attr-defined]
        if X.shape[2] != width:
            raise InputError(f"X has embeddings of {X.shape[2]} columns, the model's have {width}.")
        return unit_rows(X)

    def _posterior(self, Z: np.ndarray) -> np.ndarray:
        return class_posterior(Z[:, 0] @ self.text_bank_.positive.T, self.temperature_)

    def _score(self, Z: np.ndarray, bank: TextBank | None = None) -> np.ndarray:
        """MCM of the whole image plus ``local_weight`` times that of its best patch (GL-MCM)."""
        bank = self.text_bank_ if bank is None else bank
        whole = np.exp(mcm(Z[:, 0] @ bank.positive.T, self.score_temperature))
        if self.local_weight == 0:
            return whole
        # One image at a time: the cosines of all patches to all classes would fill the memory.
        best = [local_mcm(z[None, 1:] @ bank.positive.T, self.score_temperature)[0] for z in Z]
        return whole + self.local_weight * np.array(best, dtype=np.float64)


def _is_local(X: Any) -> bool:
    return isinstance(X, np.ndarray) and X.ndim == 3 and X.dtype.kind == "f"

"""How estimators turn images into embeddings: by the name of a backbone, loaded when first used."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from ._validation import check_at_least
from .images import as_image_sequence

if TYPE_CHECKING:
    from .backbone import Backbone


class EmbeddingMixin:
    """Images to embeddings with the backbone that `model`, `pretrained`, `device`, `precision` name."""

    model: str
    pretrained: str | None
    device: str
    precision: str
    batch_size: int
    verbose: bool | int

    def _backbone(self) -> Backbone:
        from .backbone import load_backbone

        return load_backbone(self.model, self.pretrained, self.device, self.precision)

    def _encode_images(self, X: Any, local: bool = False) -> np.ndarray:
        images = as_image_sequence(X)
        check_at_least("batch_size", self.batch_size, 1, Integral)
        return self._backbone().image_tower.encode(images, self.batch_size, bool(self.verbose), local=local)

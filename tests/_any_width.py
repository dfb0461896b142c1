"""What lets scikit-learn's checks loose on skneg: they choose the width of X, and know no pictures."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import open_clip
import torch
from sklearn.utils import check_array

from skneg import (
    CLIPImageEncoder,
    GLMCMDetector,
    IDLikeDetector,
    LocalPromptDetector,
    LoCoOpDetector,
    ODINDetector,
    SCTDetector,
    ZOCDetector,
)
from skneg.backbone import Backbone, ImageTower, TextTower
from skneg.images import as_image_sequence

_CONTEXT_LENGTH, _SIZE = 20, 8

# Names far enough apart, and the two of `check_decision_proba_consistency` on either side of its data: then
# the check fails for each detector for the reason that is expected, instead of passing for some by chance.
_SPREAD, _FIRST_SEED = 50, 340


@lru_cache
def backbone_of_width(width: int, seed: int = 0) -> Backbone:
    """A real CLIP, random and as small as can be, that embeds in `width` dimensions."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_FIRST_SEED + seed)
        network = open_clip.CLIP(
            embed_dim=width,
            vision_cfg={"layers": 1, "width": 8, "head_width": 8, "patch_size": 4, "image_size": _SIZE},
            text_cfg={"context_length": _CONTEXT_LENGTH, "width": 8, "heads": 1, "layers": 1},
        )
    network.eval().requires_grad_(False)
    # CLIP's own would magnify the rounding of float32 a hundredfold, beyond what the checks tolerate.
    network.logit_scale.zero_()
    network.token_embedding.weight.mul_(_SPREAD)
    open_clip.set_model_preprocess_cfg(
        network.visual, {"size": _SIZE, "mean": (0.5,) * 3, "std": (0.25,) * 3}
    )
    cpu, tokenizer = torch.device("cpu"), open_clip.SimpleTokenizer(context_length=_CONTEXT_LENGTH)
    return Backbone(
        f"test-{width}",
        ImageTower(network, cpu, torch.float32),
        TextTower(network, tokenizer, cpu, torch.float32),
    )


def pictures_of(rows: np.ndarray) -> np.ndarray:
    """A small picture (n, 8, 8, 3) uint8 for each row of numbers between -1 and 1."""
    grey = np.round(127.5 * (rows + 1)).astype(np.uint8)
    return np.stack([np.resize(row, (_SIZE, _SIZE, 3)) for row in grey])


class _WordsOf:
    """Stands in for a caption model; a test is called by its `repr`, which has no address in it."""

    def __call__(self, images: list) -> list[list[str]]:
        return [["circle"] if np.asarray(image).mean() > 120 else ["square", "cube"] for image in images]

    def __repr__(self) -> str:
        return "words_of"


words_of = _WordsOf()


class _OnRows:
    """A detector that refuses 2-D embeddings, behind a view of each row as what it does take."""

    def _view(self, Z: np.ndarray) -> Any:
        return as_image_sequence(pictures_of(Z))

    def _represent(self, images: Any) -> Any:
        return super()._represent(self._view(images))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags


class _OnLocalRows(_OnRows):
    """The row as the whole image's embedding, and backwards as that of its only patch."""

    def _view(self, Z: np.ndarray) -> np.ndarray:
        return np.stack([Z, Z[:, ::-1]], axis=1)


class ODINOnRows(_OnRows, ODINDetector):
    pass


class IDLikeOnRows(_OnRows, IDLikeDetector):
    def _embed(self, images: Any) -> np.ndarray:  # by a model as wide as the rows
        return self._backbone().image_tower.encode(images, self.batch_size)


class ZOCOnRows(_OnRows, ZOCDetector):
    pass


class GLMCMOnRows(_OnLocalRows, GLMCMDetector):
    pass


class LoCoOpOnRows(_OnLocalRows, LoCoOpDetector):
    pass


class SCTOnRows(_OnLocalRows, SCTDetector):
    pass


class LocalPromptOnRows(_OnLocalRows, LocalPromptDetector):
    """With two patches: one of each kind."""

    def _view(self, Z: np.ndarray) -> np.ndarray:
        return np.stack([Z, Z[:, ::-1], Z], axis=1)


class EncoderOnRows(CLIPImageEncoder):
    """Validates rows as little as the encoder does: in `transform` only."""

    def transform(self, X: Any) -> np.ndarray:
        return super().transform(pictures_of(np.tanh(check_array(X, dtype=np.float64))))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = False
        tags.input_tags.two_d_array = True
        tags.no_validation = True
        return tags

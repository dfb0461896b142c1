"""What the positives and the negatives of NegPrompt minimise."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from ..backbone import TextTower
from .losses import complementary, nis, nnd, npd, textual_outliers
from .recipe import PromptRecipe

# Words that stand for images at each step: the nearest to the names, and as many drawn from all.
_OUTLIERS = 300


class Objective:
    """NegPrompt's loss terms on one set of images; see `skneg.prompts.training.train_prompts`."""

    def __init__(
        self,
        tower: TextTower,
        recipe: PromptRecipe,
        embeddings: np.ndarray,
        targets: np.ndarray,
        anchors: np.ndarray | None,
        words: np.ndarray | None,
        generator: torch.Generator,
    ) -> None:
        def tensor(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(np.array(array)).to(tower.device)

        self.images = tensor(embeddings)
        self.labels = tensor(targets).long()
        self.rows = torch.arange(len(self.images), device=tower.device)
        self._recipe, self._generator = recipe, generator
        self._temperature = recipe.train_temperature or tower.temperature
        self._anchors = self._word_logits = self._near = self._outliers = None
        if anchors is not None:
            self._anchors = tensor(anchors)
        if words is not None and len(words):
            bank = tensor(words)
            # Rows in groups: images by words can be large.
            logits = [(x @ bank.T / self._temperature).logsumexp(1) for x in self.images.split(1024)]
            self._word_logits = torch.cat(logits)[:, None]
            if anchors is not None and recipe.outlier_weight:
                self._near, self._outliers = _as_images(bank, tensor(anchors), self.images, self.labels)

    def of_positives(
        self,
        positives: torch.Tensor,
        x: torch.Tensor,
        rows: torch.Tensor,
        classes: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Terms of positives on some images.

        Parameters
        ----------
        positives : Tensor of shape (m, d)
            Of all classes, or of `classes`.
        x : Tensor of shape (b, d)
            Images of these classes alone, `rows` of all.
        rows : Tensor of shape (b,), int
        classes : Tensor of shape (m,), int, optional
            The classes that count in this step, in ascending order; all by default.

        Returns
        -------
        dict of str to scalar Tensor
        """
        logits = x @ positives.T / self._temperature
        if self._word_logits is not None:
            logits = torch.cat([logits, self._word_logits[rows]], dim=1)
        terms = {"cross_entropy": functional.cross_entropy(logits, self._labels(rows, classes))}
        if self._anchors is not None and self._recipe.anchor_weight:
            anchors = self._anchors if classes is None else self._anchors[classes]
            distance = 1 - (positives * anchors).sum(dim=1).mean()
            terms["anchor"] = self._recipe.anchor_weight * distance
        return terms

    def _labels(self, rows: torch.Tensor, classes: torch.Tensor | None) -> torch.Tensor:
        """Which of the classes that count each image is of."""
        labels = self.labels[rows]
        return labels if classes is None else torch.searchsorted(classes, labels)

    def of_negatives(
        self,
        positives: torch.Tensor,
        negatives: torch.Tensor,
        x: torch.Tensor,
        rows: torch.Tensor,
        classes: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Terms of negatives (p, m, d) beside positives (m, d) on some images; see `of_positives`."""
        recipe, flat = self._recipe, negatives.flatten(0, 1)
        to_positives, to_negatives = x @ positives.T / self._temperature, x @ flat.T / self._temperature
        terms = {}
        if recipe.nis_over is not None:
            terms["nis"] = nis(to_negatives, to_positives, over=recipe.nis_over)
        terms["npd"] = recipe.beta * npd(negatives, positives)
        terms["nnd"] = recipe.gamma * nnd(negatives)
        if recipe.complementary_weight:
            of_classes = to_negatives.unflatten(1, negatives.shape[:2])
            loss = complementary(to_positives, of_classes, self._labels(rows, classes), recipe.n_rivals)
            terms["complementary"] = recipe.complementary_weight * loss
        if self._outliers is not None and self._near is not None:
            drawn = torch.randint(len(self._outliers), (_OUTLIERS,), generator=self._generator)
            terms["outliers"] = torch.zeros((), device=x.device)
            for outliers in (self._near, self._outliers[drawn.to(x.device)]):
                outlier_logits = (outliers @ side.T / self._temperature for side in (positives, flat))
                loss = textual_outliers(to_positives, to_negatives, *outlier_logits)
                terms["outliers"] = terms["outliers"] + recipe.outlier_weight * loss
        return terms


def _as_images(
    words: torch.Tensor, anchors: torch.Tensor, images: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Words in the place of images: those nearest to the names, and all."""
    gap = images.mean(dim=0) - anchors[labels.unique()].mean(dim=0)
    moved = functional.normalize(words + gap, dim=1)
    n_near = min(len(words), max(_OUTLIERS, 3 * len(anchors)))
    near = (words @ anchors.T).amax(dim=1).topk(n_near).indices
    return moved[near], moved

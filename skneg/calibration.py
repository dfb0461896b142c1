"""The threshold of a detector: which images set it, and how it follows the vocabulary."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from .bank import TextBank
from .errors import InputError
from .threshold import conformal_offset, smallest_calibration_set, split_holdout


class CalibrationWarning(UserWarning):
    """The threshold comes from images that cannot vouch for it."""


class CalibrationMixin:
    """Sets ``offset_`` from calibration images that are kept as ``calibration_embeddings_``."""

    contamination: float
    calibration: str
    calibration_fraction: float
    class_names_: list[str]
    calibration_embeddings_: Any
    calibration_names_: list[str] | None

    # Whether `fit` learns from the images, or only sets the threshold with them.
    _learns = True

    def _make_bank(self, names: Sequence[str]) -> TextBank:
        raise NotImplementedError

    def _score(self, Z: Any, bank: TextBank | None = None) -> np.ndarray:
        raise NotImplementedError

    def _split(
        self, targets: np.ndarray, random_state: np.random.RandomState
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows to train on, rows to calibrate on."""
        everything = np.arange(len(targets))
        needed = smallest_calibration_set(self.contamination)
        if self.calibration == "train" or not self._learns:
            return everything, everything
        train, held_out = split_holdout(targets, self.calibration_fraction, random_state)
        if len(held_out) >= needed:
            return train, held_out
        if self.calibration == "holdout":
            raise InputError(
                f"calibration='holdout' sets {len(held_out)} of {len(targets)} images aside, but "
                f"contamination={self.contamination} needs {needed}: give more images, a larger "
                "calibration_fraction or a larger contamination."
            )
        if len(targets) < needed:
            return everything, everything  # `_calibrate` warns
        warnings.warn(
            f"{len(targets)} images are too few to hold {needed} out for the threshold, so it comes from "
            "the training images and rejects more of the known classes than `contamination` says. Give "
            "more images, or a larger `contamination`.",
            CalibrationWarning,
            stacklevel=4,
        )
        return everything, everything

    def _bank_with(self, names: Sequence[str]) -> TextBank | None:
        """The bank with further classes at the end, or None where the detector cannot know them."""
        return self._make_bank([*self.class_names_, *names])

    def _calibrate(self) -> None:
        """Set ``offset_`` from the calibration images; see `set_vocabulary`."""
        try:
            scores = self._calibration_scores()
        except InputError as error:
            if not hasattr(self, "offset_"):
                raise
            warnings.warn(
                f"offset_ stays as it was: {error} Fit again on images of the new classes.",
                CalibrationWarning,
                stacklevel=3,
            )
            return
        try:
            self.offset_ = conformal_offset(scores, self.contamination)
        except InputError:
            warnings.warn(
                f"the threshold comes from {len(scores)} images, fewer than the "
                f"{smallest_calibration_set(self.contamination)} that can vouch for "
                f"contamination={self.contamination}; it is their smallest score.",
                CalibrationWarning,
                stacklevel=4,
            )
            self.offset_ = float(scores.min())

    def _calibration_scores(self) -> np.ndarray:
        known = set(self.class_names_)
        missing = sorted(set(self.calibration_names_ or ()) - known)
        if not missing:
            return self._score(self.calibration_embeddings_)
        names = np.array(self.calibration_names_)
        scores = np.empty(len(names))
        stays = ~np.isin(names, missing)
        scores[stays] = self._score(self.calibration_embeddings_[stays])
        union = self._bank_with(missing)
        if union is None:
            if not stays.any():
                raise InputError("none of the images that set the threshold belongs to a known class.")
            return scores[stays]
        k = len(self.class_names_)
        for number, name in enumerate(missing):
            rows = names == name
            bank = union.take([*range(k), k + number])
            scores[rows] = self._score(self.calibration_embeddings_[rows], bank)
        return scores

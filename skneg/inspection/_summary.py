"""What a fitted detector is, in a few lines."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._state import FittedState
from ..errors import InputError
from ..threshold import conformal_offset


def summary(detector: Any) -> str:
    """What was fitted, what sets the threshold, and what it promises, as text.

    Parameters
    ----------
    detector : fitted detector

    Returns
    -------
    str

    Examples
    --------
    >>> from skneg import MCMDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(40, shapes=["star", "heart"], random_state=0)
    >>> print(MCMDetector(model="skneg-tiny").fit(X, y).summary())
    MCMDetector with skneg-tiny
    2 classes: heart, star
    40 images set the threshold, -0.5538: about 5% of new images of these classes are rejected
    """
    state = detector._fitted()
    names, model = state.class_names_, (state.backbone or {}).get("name")
    told = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    how = "" if state.calibrator.shift is None else ", each scored without itself"
    lines = [
        type(detector).__name__ + (f" with {model}" if model else ", no model used"),
        f"{len(names)} class{'es' if len(names) > 1 else ''}: {told}",
        f"{len(state.calibrator.scores)} images set the threshold{how}, {state.offset_:.4f}: "
        f"{promise(detector, state)} of new images of these classes are rejected",
    ]
    weights = state.learned.get("evidence_weights_")
    if weights:
        lines.append("weights: " + ", ".join(f"{part} {weight:.2f}" for part, weight in weights.items()))
    return "\n".join(lines)


def promise(detector: Any, state: FittedState) -> str:
    """Which share of new images of the known classes is rejected, in words."""
    scores = state.calibrator.scores
    share = float(np.mean(scores < state.offset_))
    try:
        # `calibrate_unknown` may have put it elsewhere.
        is_usual = conformal_offset(scores, detector.contamination) == state.offset_
    except InputError:  # too few images: their smallest score
        is_usual, share = False, 1 / (len(scores) + 1)
    return f"about {100 * (detector.contamination if is_usual else share):.3g}%"

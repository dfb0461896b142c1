"""What a fitted detector is, in a few lines."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._state import FittedState
from ..errors import InputError
from ..threshold import conformal_offset
from ._explain import one_detector


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
    40 images set the threshold -0.5538: about 5% of new images of these classes are rejected
    """
    detector, _ = one_detector(detector, "summary")
    state = detector._fitted()
    names, model = state.class_names_, (state.backbone or {}).get("name")
    told = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    lines = [
        type(detector).__name__ + (f" with {model}" if model else ", no model used"),
        f"{len(names)} class{'es' if len(names) > 1 else ''}: {told}",
        f"{len(state.calibrator.scores)} images set the threshold {state.offset_:.4f}"
        f"{how_scored(detector, state)}: {promise(detector, state)}",
    ]
    weights = state.learned.get("evidence_weights_")
    if weights:
        lines.append("weights: " + ", ".join(f"{part} {weight:.2f}" for part, weight in weights.items()))
    return "\n".join(lines)


def how_scored(detector: Any, state: FittedState) -> str:
    """What to know of the images that have set the threshold, in words that go on a sentence."""
    if state.calibrator.shift is not None:
        return ", each scored without itself"
    has_learned = getattr(detector, "calibration", None) == "train"
    return ", some of which it may have learned from" if has_learned else ""


def promise(detector: Any, state: FittedState) -> str:
    """Which share of new images of the known classes is rejected, in words."""
    if state.unknown_label is None:
        return "nothing is rejected, since unknown_label is None"
    calibrator = state.calibrator
    share = float(np.mean(calibrator.scores < calibrator.offset))
    try:
        # `calibrate_unknown` may have put it elsewhere, and a new `contamination` awaits `calibrate`.
        if conformal_offset(calibrator.scores, detector.contamination) == calibrator.offset:
            share = detector.contamination
    except InputError:  # too few images: their smallest score
        share = 1 / (len(calibrator.scores) + 1)
    absent = set(state.class_names_) - set(calibrator.names or state.class_names_)
    guess = f" (a guess: {len(absent)} of them had no image for it)" if absent else ""
    return f"about {100 * share:.3g}% of new images of these classes are rejected{guess}"

"""What a fitted detector is, in a few lines."""

from __future__ import annotations

from typing import Any


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
        f"{len(state.calibrator.scores)} images set the threshold{how}, {state.offset_:.4f}: about "
        f"{detector.contamination:.0%} of new images of these classes are rejected",
    ]
    weights = state.learned.get("evidence_weights_")
    if weights:
        lines.append("weights: " + ", ".join(f"{part} {weight:.2f}" for part, weight in weights.items()))
    return "\n".join(lines)

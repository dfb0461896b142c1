"""Whether a graph answers as the detector that it was made of."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np

from .._utils import unit_rows
from ..errors import PersistenceError
from ._graph import onnx_package

_LARGEST = 2**31 - 1  # bytes of a file that holds its weights itself


def check(
    detector: Any, model: Any, inputs: dict[str, np.ndarray], Z: np.ndarray, tolerance: float = 1e-4
) -> None:
    """Refuse a graph that is not valid or, where onnxruntime is installed, answers otherwise.

    Parameters
    ----------
    detector : fitted detector
    model : onnx.ModelProto
    inputs : dict of str to ndarray
        What the graph takes.
    Z : ndarray of shape (n, d)
        The same as embeddings.
    tolerance : float, default=1e-4
        Of scores, relative to those above 1, and of probabilities. Answers must be equal, but where such
        differences as there are decide between two.

    Raises
    ------
    PersistenceError
        Names the output that differs.
    """
    name = type(detector).__name__
    if model.ByteSize() > _LARGEST:
        raise PersistenceError(
            f"{name} cannot be exported to ONNX: the file would have more than 2 GiB, which the format does "
            "not take in one file. images=False leaves the image tower out."
        )
    onnx_package("onnx.checker").check_model(model, full_check=True)
    if find_spec("onnxruntime") is None:
        return
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    told = dict(zip((out.name for out in session.get_outputs()), session.run(None, inputs), strict=True))
    state, Z = detector._fitted(), unit_rows(Z)
    score, posterior = detector._score(state, Z), detector._posterior(state, Z)
    off_score = np.abs(told["score"] - score)
    off_posterior = np.abs(told["posterior"] - posterior).max(axis=1)
    chosen = posterior[np.arange(len(Z)), told["class_index"]]
    rejected = (score < state.offset_) & (state.unknown_label is not None)
    holds = {
        "score": off_score <= tolerance * np.maximum(1, np.abs(score)),
        "posterior": off_posterior <= tolerance,
        "class_index": posterior.max(axis=1) - chosen <= 2 * off_posterior,
        "is_unknown": (told["is_unknown"] == rejected) | (np.abs(score - state.offset_) <= off_score),
    }
    for output, right in holds.items():
        if not right.all():
            row = int(np.argmin(right))
            raise PersistenceError(
                f"the ONNX graph of {name} gives {told[output][row]} as {output!r} of an image that has the "
                f"score {score[row]} and the posterior {posterior[row]}: nothing was written; report it."
            )

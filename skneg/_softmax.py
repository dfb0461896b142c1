"""The softmax, its logarithm, and the log of its denominator.

Generic functions: an array type of ours registers its own, such as `skneg.export._traced`. Everything else
that scores are made of is called through numpy's protocols.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np
from scipy import special

from .errors import InputError

log_softmax = singledispatch(special.log_softmax)
softmax = singledispatch(special.softmax)


def scaled(logits: Any, temperature: float) -> Any:
    """Logits divided by a temperature, float64.

    Raises
    ------
    InputError
        If the temperature is not positive.
    """
    if temperature is None or not temperature > 0:
        raise InputError(f"temperature must be positive, got {temperature!r}.")
    return np.divide(logits, temperature, dtype=np.float64)


@singledispatch
def logsumexp(logits: Any, axis: int, temperature: float = 1.0) -> Any:
    """``log sum exp(logits / temperature)`` along an axis, float64.

    The terms are computed in the type of the logits, and summed in float64: with float32 at a third of the
    time of scipy's function, which is not much more than that of the product the logits come from
    (benchmarks/scoring.py). What float32 loses is far below the rounding of such a product, since the largest
    is taken off before anything else.
    """
    logits = np.asarray(logits)
    if logits.dtype != np.float32:
        logits = logits.astype(np.float64, copy=False)
    largest = logits.max(axis=axis, keepdims=True)
    largest[np.isinf(largest)] = 0
    lead, terms = scaled(largest, temperature), logits - largest
    terms /= temperature
    np.exp(terms, out=terms)
    with np.errstate(divide="ignore"):  # nothing but -inf
        total = np.log(terms.sum(axis=axis, dtype=np.float64))
    return total + lead.squeeze(axis)

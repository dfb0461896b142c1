"""The softmax, its logarithm and the log of its denominator: scipy's.

Generic functions, since scipy's take arrays of numpy only: an array type of ours registers its own, such as
`skneg.export._traced`. Everything else that scores are made of is called through numpy's protocols.
"""

from __future__ import annotations

from functools import singledispatch

from scipy import special

log_softmax = singledispatch(special.log_softmax)
logsumexp = singledispatch(special.logsumexp)
softmax = singledispatch(special.softmax)

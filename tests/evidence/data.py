"""Small sets of embeddings."""

import numpy as np

from skneg.evidence import ImageEvidence, folds_of_classes
from skneg.evidence import cross_fit as cross_fit_by


def clusters(counts, d=16, seed=0, spread=0.3):
    """Unit-norm embeddings around random directions, and their classes."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(counts)), counts)
    X = rng.normal(size=(len(counts), d))[y] / np.sqrt(d) + spread * rng.normal(size=(len(y), d)) / np.sqrt(d)
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32), y


def cross_fit(X, y, rows, rng, groups=None):
    """Image evidence of some images, by those of other folds."""
    return cross_fit_by(ImageEvidence.of, X, y, rows, folds_of_classes(y, rng, groups))

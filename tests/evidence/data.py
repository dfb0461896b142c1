"""Small sets of embeddings."""

import numpy as np


def clusters(counts, d=16, seed=0, spread=0.3):
    """Unit-norm embeddings around random directions, and their classes."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(counts)), counts)
    X = rng.normal(size=(len(counts), d))[y] / np.sqrt(d) + spread * rng.normal(size=(len(y), d)) / np.sqrt(d)
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32), y

"""Displays: `plot` draws with matplotlib, `frame` hands the numbers back. matplotlib is optional."""

from .._utils import attach

_HOMES = {
    "ConfusionDisplay": "_confusion",
    "EmbeddingMapDisplay": "_embedding_map",
    "ImageGridDisplay": "_image_grid",
    "OODRocDisplay": "_roc",
    "ScoreHistogramDisplay": "_histogram",
    "SimilarityDisplay": "_similarity",
    "TrainingCurveDisplay": "_training_curve",
}

__all__ = sorted(_HOMES)

__getattr__, __dir__ = attach(__name__, _HOMES)

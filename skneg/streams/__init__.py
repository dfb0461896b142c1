"""Answers to any number of images or embeddings, a table at a time, in constant memory."""

from .._utils import attach

__all__ = ["Predictions", "predict_stream"]

__getattr__, __dir__ = attach(__name__, {"Predictions": "_predictions", "predict_stream": "_predict"})

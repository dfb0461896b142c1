"""Answers to very many images on many machines, by Ray Data."""

from .._utils import attach

__all__ = ["predict"]

__getattr__, __dir__ = attach(__name__, {"predict": "_job"})

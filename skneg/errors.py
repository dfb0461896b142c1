"""The errors skneg raises, each a `SknegError` and the builtin that fits, and its warnings."""

from __future__ import annotations


class SknegError(Exception):
    """Base class of every error that skneg raises on purpose."""


class InputError(SknegError, ValueError):
    """A parameter or an input value that cannot be used; the message names it."""


class InputTypeError(SknegError, TypeError):
    """An input of a kind that skneg does not take; the message says which kinds it does."""


class ImageError(InputError):
    """An image that cannot be read.

    Attributes
    ----------
    index : int
        Position of the image in the input.
    """

    def __init__(self, message: str, index: int) -> None:
        super().__init__(message)
        self.index = index

    def at(self, index: int) -> ImageError:
        """The same error of an image that stands elsewhere in another sequence."""
        told = str(self).replace(f"image {self.index} ", f"image {index} ", 1)
        return type(self)(told, index)

    def __reduce__(self):
        # The default would rebuild from `args`, which holds the message alone.
        return type(self), (self.args[0], self.index)


class VocabularyError(InputError):
    """Class names that are missing, empty, duplicate, too long, or cannot be changed."""


class BackboneError(SknegError, OSError):
    """A CLIP model that cannot be had: unknown, not on this machine, or not reachable."""


class PersistenceError(SknegError, OSError, ValueError):
    """A file that cannot be written, read or trusted, or a detector that a file cannot hold."""


class MissingDependencyError(SknegError, ImportError):
    """An optional package that a feature needs is not installed; the message says how to get it."""


class SknegWarning(UserWarning):
    """Base class of every warning that skneg gives."""


class InputWarning(SknegWarning):
    """Images, labels or names that look wrong; the message names them and the way out."""


class CalibrationWarning(SknegWarning):
    """The threshold comes from too few images, or from images that are not of the known classes."""

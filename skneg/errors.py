"""The errors skneg raises, each a `SknegError` and the builtin that fits, and its warnings."""

from __future__ import annotations

from collections.abc import Sequence

_SHOWN = 10  # errors that a message holds


class SknegError(Exception):
    """Base class of every error that skneg raises on purpose."""


class InputError(SknegError, ValueError):
    """A parameter or an input value that cannot be used; the message names it."""


class InputTypeError(SknegError, TypeError):
    """An input of a kind that skneg does not take; the message says which kinds it does."""


class ImageError(InputError):
    """Images that cannot be read: one, or all of an input.

    Attributes
    ----------
    index : int
        Position of the image in the input; of the first where there are several.
    errors : tuple of ImageError
        One for each image that cannot be read, in their order; the message holds ten of them at most.
    """

    def __init__(self, message: str, index: int, errors: Sequence[ImageError] = ()) -> None:
        super().__init__(message)
        self.index = index
        self._errors = tuple(errors)

    @property
    def errors(self) -> tuple[ImageError, ...]:
        """One for each image."""
        return self._errors or (self,)

    @classmethod
    def of(cls, errors: Sequence[ImageError]) -> ImageError:
        """One error for all images that cannot be read."""
        ordered = sorted(errors, key=lambda error: error.index)
        if len(ordered) == 1:
            return ordered[0]
        told = "; ".join(str(error).rstrip(".") for error in ordered[:_SHOWN])
        more = len(ordered) - _SHOWN
        rest = f"; and {more} more, all in the error's attribute `errors`" if more > 0 else ""
        return cls(f"{len(ordered)} images cannot be read: {told}{rest}.", ordered[0].index, ordered)

    def among(self, rows: Sequence[int]) -> ImageError:
        """The same error of images that stand at these places of another sequence."""
        return self.of([error.at(int(rows[error.index])) for error in self.errors])

    def at(self, index: int) -> ImageError:
        """The same error of an image that stands elsewhere in another sequence."""
        told = str(self).replace(f"image {self.index} ", f"image {index} ", 1)
        return type(self)(told, index)

    def __reduce__(self):
        # The default would rebuild from `args`, which holds the message alone.
        return type(self), (self.args[0], self.index, self._errors)


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

"""Errors: ours, and the builtin that fits."""

import copy
import pickle

import pytest

from skneg import errors
from skneg.errors import ImageError, SknegError

BUILTINS = {
    "InputError": ValueError,
    "InputTypeError": TypeError,
    "ImageError": ValueError,
    "VocabularyError": ValueError,
    "BackboneError": OSError,
    "PersistenceError": OSError,
    "MissingDependencyError": ImportError,
}


def test_every_error_is_caught_as_ours_and_as_the_builtin():
    found = {
        name
        for name, cls in vars(errors).items()
        if isinstance(cls, type) and issubclass(cls, SknegError) and cls is not SknegError
    }
    assert found == set(BUILTINS)
    for name, builtin in BUILTINS.items():
        assert issubclass(getattr(errors, name), (builtin,))


@pytest.mark.parametrize("move", [copy.copy, lambda e: pickle.loads(pickle.dumps(e))])
def test_an_image_error_keeps_its_index_between_processes(move):
    error = move(ImageError("image 3 is broken", 3))
    assert type(error) is ImageError
    assert (str(error), error.index) == ("image 3 is broken", 3)


@pytest.mark.parametrize("name", ["CalibrationWarning", "InputWarning"])
def test_every_warning_is_caught_as_ours(name):
    assert issubclass(getattr(errors, name), errors.SknegWarning)
    assert issubclass(errors.SknegWarning, UserWarning)

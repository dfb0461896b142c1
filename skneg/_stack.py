"""Where warnings point to: whoever called skneg, however deep in it and in scikit-learn they arise."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import sklearn

_INSIDE = tuple(f"{Path(file).parent}{os.sep}" for file in (__file__, sklearn.__file__))


def stacklevel_outside() -> int:
    """The `stacklevel` for a warning given in the calling function."""
    # `warnings.warn` has `skip_file_prefixes` for this from Python 3.12 on.
    frame, level = sys._getframe(1), 1
    while frame.f_code.co_filename.startswith(_INSIDE) and frame.f_back is not None:
        frame, level = frame.f_back, level + 1
    return level

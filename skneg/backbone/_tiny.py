"""Where the shipped model lies, and the check that it is the one we shipped."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..errors import BackboneError

TINY_NAME = "skneg-tiny"
TINY_FOLDER = Path(__file__).parent / "skneg-tiny"
WEIGHTS_NAME = "open_clip_model.safetensors"


def verified_tiny_folder(folder: Path = TINY_FOLDER) -> Path:
    """The folder of ``skneg-tiny``, after its weights' sha256 has been compared with the recorded one.

    Raises
    ------
    BackboneError
        If a file is missing or the weights are not those that were recorded.
    """
    try:
        recorded = (folder / "SHA256SUMS").read_text().split()[0]
        found = hashlib.sha256((folder / WEIGHTS_NAME).read_bytes()).hexdigest()
    except (OSError, IndexError) as error:
        raise BackboneError(
            f"The shipped model in {folder} is incomplete ({error}); reinstall skneg."
        ) from error
    if found != recorded:
        raise BackboneError(
            f"The weights in {folder} have sha256 {found}, recorded is {recorded}: the file is damaged; "
            "reinstall skneg, or rebuild it with `python -m skneg.datasets.train_tiny`."
        )
    return folder

"""Which backbone and which other weights a detector stands on: recorded by hash, checked on loading."""

from __future__ import annotations

import warnings
from typing import Any

from .._stack import stacklevel_outside
from ..errors import BackboneError, InputError, PersistenceError
from ._file import sha256_of_file


def describe_backbone(detector: Any) -> dict[str, Any] | None:
    """Name, sha256 and settings of the detector's backbone; None where it has never used one."""
    fitted_with = getattr(detector, "backbone_", None)
    if fitted_with is None:
        return None
    backbone = detector._backbone()
    if backbone.name != fitted_with:
        raise PersistenceError(
            f"the detector was fitted with the model {fitted_with!r}, but its parameters now name "
            f"{backbone.name!r}: set them back, or fit again."
        )
    return {"name": backbone.name, "sha256": backbone.weights_sha256, "settings": backbone.settings}


def check_backbone(detector: Any, recorded: dict[str, Any] | None) -> None:
    """Refuse a backbone that is not the recorded one.

    Raises
    ------
    BackboneError
        If it cannot be had, or has other weights or settings; names both.
    """
    if recorded is None:
        return
    try:
        backbone = detector._backbone()
    except BackboneError as error:
        raise BackboneError(
            f"the file needs the model {recorded['name']!r}: {error} If its weights lie elsewhere now: "
            "skneg.load(path, model='local-dir:/path/to/folder')."
        ) from error
    if backbone.weights_sha256 != recorded["sha256"]:
        raise BackboneError(
            f"the file needs the model {recorded['name']!r} with weights of sha256 {recorded['sha256']}; "
            f"{backbone.name!r} has weights of sha256 {backbone.weights_sha256}."
        )
    for name, value in backbone.settings.items():
        if recorded["settings"].get(name, value) != value:
            raise BackboneError(
                f"the file needs the model {recorded['name']!r} with {name}={recorded['settings'][name]!r}; "
                f"{backbone.name!r} has the same weights, but {name}={value!r}."
            )
    detector.backbone_ = backbone.name


def describe_files(detector: Any) -> dict[str, str]:
    """The sha256 of each file that a parameter names and the detector reads weights from."""
    digests = {}
    for name, path in detector._weight_files().items():
        try:
            digests[name] = sha256_of_file(path)
        except OSError as error:
            raise PersistenceError(f"{name}={str(path)!r} cannot be read ({error}).") from error
    return digests


def check_files(detector: Any, recorded: dict[str, str]) -> None:
    """Refuse files that are gone or not the recorded ones."""
    for name, path in detector._weight_files().items():
        hint = f"If it lies elsewhere now: skneg.load(path, {name}='/path/to/file')."
        try:
            found = sha256_of_file(path)
        except OSError as error:
            raise PersistenceError(f"{name}={str(path)!r} cannot be read ({error}). {hint}") from error
        if found != recorded.get(name):
            raise PersistenceError(
                f"{name}={str(path)!r} has sha256 {found}, recorded is {recorded.get(name)}. {hint}"
            )


def settle_device(detector: Any) -> None:
    """Replace a device that this machine lacks, with a warning."""
    if detector.device in ("auto", "cpu"):
        return  # without importing torch
    from ..backbone._loading import resolve_device

    try:
        resolve_device(detector.device)
    except InputError:
        warnings.warn(
            f"the detector was saved with device={detector.device!r}, which this machine lacks; it now has "
            "device='auto'. Say where it shall run with skneg.load(path, device='cpu').",
            UserWarning,
            stacklevel=stacklevel_outside(),
        )
        detector.device = "auto"

"""Which model and which other weights a detector stands on: recorded by hash, checked when they are used."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Any

from .._files import open_regular, with_home
from .._utils import warn
from ..errors import BackboneError, InputError, PersistenceError, SknegWarning


def describe_models(detector: Any, fitted_with: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Name, sha256 and settings of the detector's model, and the sha256 of its weight files.

    None where `fit` has used no model. What a file has said of it before is kept, without loading it.
    """
    if fitted_with is None or "sha256" in fitted_with:
        return None if fitted_with is None else dict(fitted_with)
    backbone = detector._encoder().backbone()
    if backbone.name != fitted_with["name"]:
        raise PersistenceError(
            f"the detector was fitted with the model {fitted_with['name']!r}, but its parameters now name "
            f"{backbone.name!r}: set them back, or fit again."
        )
    files = {
        name: _sha256_of(name, getattr(detector, name), "")
        for name in type(detector).weight_files
        if getattr(detector, name) is not None
    }
    return {
        "name": backbone.name,
        "sha256": backbone.weights_sha256,
        "settings": backbone.settings,
        "files": files,
    }


def check_backbone(backbone: Any, recorded: Mapping[str, Any]) -> None:
    """Refuse a model that is not the one which a file needs.

    Raises
    ------
    BackboneError
        If it has other weights or settings; names both.
    """
    if "sha256" not in recorded:
        return
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


def check_weight_file(name: str, path: Any, recorded: Mapping[str, Any] | None) -> None:
    """Refuse a weight file of a parameter that is gone or not the one which a file needs."""
    expected = ((recorded or {}).get("files") or {}).get(name)
    hint = f" If it lies elsewhere now: skneg.load(path, {name}='/path/to/file')."
    if expected is not None and (found := _sha256_of(name, path, hint)) != expected:
        raise PersistenceError(f"{name}={str(path)!r} has sha256 {found}, recorded is {expected}.{hint}")


def settle_device(detector: Any, was_asked_for: bool) -> None:
    """Replace a device that this machine lacks, with a warning; an error where the user has asked for it."""
    if isinstance(detector.device, str) and detector.device in ("auto", "cpu"):
        return  # without importing torch
    from ..backbone._loading import resolve_device

    try:
        resolve_device(detector.device)
    except InputError:
        if was_asked_for:
            raise
        warn(
            f"the detector was saved with device={detector.device!r}, which this machine lacks; it now has "
            "device='auto'. To choose one: skneg.load(path, device='cpu').",
            SknegWarning,
        )
        detector.device = "auto"


def _sha256_of(name: str, path: str | os.PathLike, hint: str) -> str:
    if not isinstance(path, str | os.PathLike):
        raise PersistenceError(f"{name} must be the path of a file, got {path!r:.200}.{hint}")
    try:
        with open_regular(with_home(path)) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:  # a name that no file can have
        raise PersistenceError(f"{name}={str(path)!r} cannot be read ({error}).{hint}") from error

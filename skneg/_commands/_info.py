"""``skneg info``: without scikit-learn and torch, so that it answers at once."""

from __future__ import annotations

import json
from typing import Any

from ..errors import PersistenceError
from ..persistence import read_header


def info(options: Any) -> None:
    header = read_header(options.file)
    if options.json:
        print(json.dumps(header, indent=1))
        return
    try:
        lines = _lines(header)
    except (KeyError, TypeError, AttributeError) as error:
        raise PersistenceError(f"{options.file}: its header does not describe a detector.") from error
    for name, value in lines.items():
        # What a file says may not steer the terminal.
        print(f"{name:14}{''.join(c if c.isprintable() else '?' for c in str(value))}")


def _lines(header: dict[str, Any]) -> dict[str, Any]:
    record = header["detector"]
    kind = record["class"]
    while inner := _held(record):
        record, kind = inner, f"{kind} of {inner['class']}"
    attributes, backbone = record.get("attributes", {}), record.get("backbone") or {}
    names = attributes.get("class_names_") or []
    told = ", ".join(map(str, names[:8])) + (", ..." if len(names) > 8 else "")
    return {
        "detector": kind,
        "model": backbone.get("name", "none"),
        "classes": f"{len(names)} ({told})" if names else "unknown",
        "contamination": _plain(record["parameters"].get("contamination")),
        "threshold": _plain(attributes.get("offset_")),
        "written by": f"skneg {header['versions']['skneg']}, format {header['format']}",
    }


def _held(record: dict[str, Any]) -> dict[str, Any] | None:
    """The detector that another holds, or the first of several; None where it holds none."""
    attributes = record.get("attributes", {})
    return attributes.get("detector_") or next(iter(attributes.get("detectors_", [])), None)


def _plain(node: Any) -> Any:
    """The number that a node of a header is; numpy's own numbers have their type beside it."""
    return node["value"] if isinstance(node, dict) and "value" in node else node

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
    attributes, backbone = record.get("attributes", {}), record.get("backbone") or {}
    names = attributes.get("class_names_") or []
    told = ", ".join(map(str, names[:8])) + (", ..." if len(names) > 8 else "")
    return {
        "detector": record["class"],
        "model": backbone.get("name", "none"),
        "classes": f"{len(names)} ({told})" if names else "unknown",
        "contamination": record["parameters"].get("contamination"),
        "threshold": attributes.get("offset_"),
        "written by": f"skneg {header['versions']['skneg']}, format {header['format']}",
    }

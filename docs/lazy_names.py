"""Names that packages of skneg import when they are first used, for the reference pages.

Griffe reads source without running it, so it does not see them. The tables that say which module holds a
name are dictionaries of strings in each package's ``__init__.py``, and those of `skneg._registry`.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from griffe import Alias, Extension, Module


def tables(file: Path) -> dict[str, str]:
    """All entries of a module's dictionaries of strings."""
    dicts = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Dict)]
    pairs = [(key, value) for node in dicts for key, value in zip(node.keys, node.values, strict=True)]
    return {
        key.value: value.value
        for key, value in pairs
        if isinstance(key, ast.Constant) and isinstance(value, ast.Constant)
    }


class LazyNames(Extension):
    """Give each package the names of its tables."""

    def on_package(self, *, pkg: Module, **_: Any) -> None:  # noqa: D102
        if pkg.name != "skneg":
            return
        attach(pkg, {**tables(pkg.filepath), **tables(pkg.filepath.parent / "_registry.py")})
        for module in pkg.modules.values():
            if not module.is_alias and module.is_init_module:
                attach(module, tables(module.filepath))


def attach(package: Module, homes: dict[str, str]) -> None:
    """Add an alias for each name that the package does not have yet."""
    for name, home in homes.items():
        if name not in package.members:
            path = home if home.startswith("skneg.") else f"{package.path}.{home}"
            package.set_member(name, Alias(name, f"{path}.{name}", parent=package))

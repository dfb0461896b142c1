"""The picture of docs/layout.md, read from the package: ``make pictures``.

Floors are those of tests/test_layout.py, which checks that imports run downwards only; what stands beside a
room is the first line of its module. The test of this file compares the stored picture with a new one.
"""

from __future__ import annotations

import ast
import re
import sys
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.test_layout import FLOORS  # noqa: E402

PICTURE = ROOT / "docs" / "images" / "layout.svg"
WIDTH, LINE, GAP = 850, 22, 14


def room(name: str) -> tuple[str, str]:
    """How a room is written, and the first words of its module."""
    folder = ROOT / "skneg" / name
    file = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    first, *_ = ast.get_docstring(ast.parse(file.read_text())).splitlines()
    said = re.split(r"[:;]| ``|\. ", first)[0].removesuffix(".").replace("`", "")
    return (f"{name}/" if folder.is_dir() else f"{name}.py"), said


def svg() -> str:
    """The house, the highest floor first; on each floor a room may import those below it."""
    parts, y = [], GAP
    for number, floor in reversed(list(enumerate(FLOORS))):
        height = LINE * len(floor) + GAP
        parts.append(
            f'<rect x="44" y="{y}" width="{WIDTH - 58}" height="{height}" rx="6" fill="#eef3f8"/>'
            f'<text x="14" y="{y + height / 2 + 6:g}" class="floor">{number}</text>'
        )
        for line, name in enumerate(reversed(floor)):
            written, said = room(name)
            base = y + GAP / 2 + LINE * line + 16
            parts.append(
                f'<text x="56" y="{base:g}" class="room">{escape(written)}</text>'
                f'<text x="206" y="{base:g}">{escape(said)}</text>'
            )
        y += height + GAP
    style = (
        "text{font:13px sans-serif;fill:#222}.room{font:bold 13px monospace;fill:#005b91}"
        ".floor{font:bold 18px sans-serif;fill:#666}"
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}">'
    paper = f'<rect width="{WIDTH}" height="{y}" rx="8" fill="white"/>'
    return "\n".join([head, f"<style>{style}</style>", paper, *parts, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(svg())

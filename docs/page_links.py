"""Links from docstrings to pages: where a docstring says "docs/searches.md", the site shows the page's title.

So the text reads well in `help`, and the strict build finds a page that is gone. Docstrings are shown on
the pages of docs/reference, hence the place that the links start from.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from griffe import Extension, Object

DOCS = Path(__file__).parent
PAGE = re.compile(r"\bdocs/([\w-]+\.md)\b")


def link(match: re.Match[str]) -> str:
    """The title of a page, as a link to it."""
    page = DOCS / match[1]
    title = page.read_text().partition("\n")[0].removeprefix("# ") if page.exists() else match[0]
    return f"[{title}](../{match[1]})"


class PageLinks(Extension):
    """Make names of pages links."""

    def on_object(self, *, obj: Object, **_: Any) -> None:  # noqa: D102
        if obj.docstring:
            obj.docstring.value = PAGE.sub(link, obj.docstring.value)

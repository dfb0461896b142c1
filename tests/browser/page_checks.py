"""What every page must keep, the pages of the site and the reports of skneg alike, in a browser.

No error in the console, no request to another host, no page wider than its window, no serious violation of
the accessibility rules of axe-core in the light and in the dark, and a keyboard that reaches everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

WIDTHS = {"wide": 1280, "narrow": 390}
SCHEMES = ("light", "dark")
SERIOUS = ("serious", "critical")

# Colours are measured at rest.
STILL = "*, ::before, ::after { transition: none !important; animation: none !important; }"

SCROLL = "() => document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"

# What has the focus: where in the page, how large, and whether one sees that it has it.
FOCUS = """() => {
  const all = [...document.querySelectorAll('*')], it = document.activeElement;
  if (!it || it === document.body || it === document.documentElement) return null;
  // A hidden switch hands its focus to a label.
  const shows = [it, ...(it.labels ?? []), ...(it.type === 'radio' ? [it.nextElementSibling] : [])];
  const seen = shows.filter(other => {
    const box = other.getBoundingClientRect();
    return box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight;
  });
  const shown = seen.some(other => {
    const style = getComputedStyle(other);
    return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0 || style.boxShadow !== 'none'
      || other.matches('input[type=text], input[type=search], textarea');  // the caret
  });
  return {place: all.indexOf(it), html: it.outerHTML.slice(0, 120), seen: seen.length > 0, shown};
}"""


def check_page(browser, page: str | Path, excepted: Mapping[str, str] | None = None) -> list[str]:
    """What is wrong with a page, one line each; an empty list if nothing is.

    Parameters
    ----------
    browser : playwright.sync_api.Browser
    page : str or Path
        An address, or a self-contained HTML file.
    excepted : mapping, optional
        Rules of axe-core that are not asked for, each with the reason.
    """
    url = page.resolve().as_uri() if isinstance(page, Path) else page
    found = []
    for scheme in SCHEMES:
        with browser.new_context(color_scheme=scheme, viewport={"width": 1280, "height": 800}) as context:
            tab = context.new_page()
            heard = listen(tab, url)
            tab.goto(url, wait_until="networkidle")
            tab.add_style_tag(content=STILL)
            for name, width in WIDTHS.items():
                tab.set_viewport_size({"width": width, "height": 800})
                problems = [*too_wide(tab), *violations(tab, excepted or {}), *keyboard(tab)]
                found += [f"{scheme}, {name}: {problem}" for problem in problems]
            found += [f"{scheme}: {problem}" for problem in heard]
    return found


def listen(tab, url: str) -> list[str]:
    """A list that fills while the page lives: errors, failed requests and requests to elsewhere."""
    heard: list[str] = []
    tab.on("console", lambda m: heard.append(f"console: {m.text}") if m.type == "error" else None)
    tab.on("pageerror", lambda error: heard.append(f"script: {error}"))
    tab.on("response", lambda r: heard.append(f"HTTP {r.status}: {r.url}") if r.status >= 400 else None)
    tab.on("requestfailed", lambda r: heard.append(f"failed: {r.url}"))
    tab.on("request", lambda r: None if is_own(r.url, url) else heard.append(f"outside request: {r.url}"))
    return heard


def is_own(requested: str, url: str) -> bool:
    """Whether a request stays with the page's host; a file asks for nothing but itself."""
    if requested.startswith(("data:", "blob:")):
        return True
    if url.startswith("file:"):
        return requested.partition("#")[0] == url.partition("#")[0]
    return urlsplit(requested)[:2] == urlsplit(url)[:2]


def too_wide(tab) -> list[str]:
    surplus = tab.evaluate(SCROLL)
    return [f"the page is {surplus} px wider than its window"] if surplus > 0 else []


def violations(tab, excepted: Mapping[str, str]) -> list[str]:
    """Serious and critical violations of axe-core's rules."""
    from axe_playwright_python.sync_playwright import Axe

    options = {"resultTypes": ["violations"], "rules": {rule: {"enabled": False} for rule in excepted}}
    return [
        f"axe {rule['id']}: {node['target'][0]}: {node['failureSummary'].splitlines()[-1].strip()}"
        for rule in Axe().run(tab, options=options).response["violations"]
        if rule["impact"] in SERIOUS
        for node in rule["nodes"]
    ]


def keyboard(tab, presses: int = 40) -> list[str]:
    """What the Tab key shows from the top of the page on: it moves, and one sees to where."""
    tab.evaluate("() => { document.activeElement?.blur(); window.scrollTo(0, 0); }")
    places, found = [], []
    for _ in range(presses):
        tab.keyboard.press("Tab")
        focus = tab.evaluate(FOCUS)
        if focus is None or focus["place"] in places[:-1]:
            break  # round the page once
        if places and focus["place"] == places[-1]:
            return [*found, f"keyboard: held by {focus['html']}"]
        places.append(focus["place"])
        if not focus["seen"]:
            found.append(f"keyboard: focus out of sight on {focus['html']}")
        elif not focus["shown"]:
            found.append(f"keyboard: nothing shows the focus on {focus['html']}")
    return found if places else ["keyboard: reaches nothing"]

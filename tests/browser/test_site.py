"""The site as a reader's browser shows it, made by mkdocs and by zensical from the same files."""

from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest

from .conftest import ROOT

DOCS = ROOT / "docs"


def address_of(source):
    """Where the site has a page of docs/."""
    place = source.relative_to(DOCS).with_suffix("")
    place = place.parent if place.name == "index" else place
    return f"{place}/" if place.name else ""


PAGES = ["404.html", *(address_of(source) for source in sorted(DOCS.rglob("*.md")))]

# zensical draws the same sources with the same styles: one page of each kind is enough there.
KINDS = ["404.html", "", "command-line/", "study/", "reference/inspection/"]
DRAWN = [*(("mkdocs", page) for page in PAGES), *(("zensical", page) for page in KINDS)]


@pytest.mark.parametrize(("folder", "page"), DRAWN, indirect=["folder"], scope="session")
def test_a_page_loads_and_can_be_read_by_everybody(folder, page, site, page_checks):
    page_checks(site + page)


class Anchors(HTMLParser):
    """Where a page leads to, and the places in it that can be led to."""

    def __init__(self, text):
        super().__init__()
        self.targets, self.places = set(), {"", "__search"}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.targets |= {given[key] for key in ("href", "src") if given.get(key)}
        self.places |= {given[key] for key in ("id", "name") if given.get(key)}


def test_no_link_of_the_site_is_dead(folder):
    host = "http://site/"
    pages = {host + str(f.relative_to(folder)): Anchors(f.read_text()) for f in folder.rglob("*.html")}
    dead, followed = [], 0
    for address, page in pages.items():
        for target in page.targets:
            url, fragment = urldefrag(urljoin(address, target))
            if not url.startswith(host):
                continue
            file = folder / unquote(urlsplit(url).path).lstrip("/")
            file = file / "index.html" if file.is_dir() else file
            other = pages.get(host + str(file.relative_to(folder)))
            followed += 1
            if not file.is_file() or (other and unquote(fragment) not in other.places):
                dead.append(f"{address}: {target}")
    assert dead == []
    assert followed > 1000


def test_every_page_of_the_sources_is_in_the_site(folder):
    built = {str(f.relative_to(folder)).removesuffix("index.html") for f in folder.rglob("*.html")}
    assert built == set(PAGES)


@pytest.mark.parametrize(
    ("words", "page"), [("threshold", "thresholds/"), ("MahalanobisDetector", "reference/detectors/")]
)
def test_the_search_leads_to_the_page(words, page, site, tab):
    tab.goto(site, wait_until="networkidle")
    tab.keyboard.press("/")
    tab.keyboard.type(words, delay=20)
    result = tab.locator(f":is(dialog, [role=dialog]) a[href*='{page}']:visible").first
    result.click(timeout=10_000)
    tab.wait_for_url(f"**/{page}**")
    assert words.lower() in tab.locator("main").inner_text().lower()


def test_the_keyboard_skips_to_the_content(site, tab):
    tab.goto(site + "thresholds/", wait_until="networkidle")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.querySelector('main article').contains(document.activeElement)")


def test_the_keyboard_reaches_the_search(site, tab):
    tab.goto(site, wait_until="networkidle")
    for _ in range(8):
        tab.keyboard.press("Tab")
        if tab.evaluate("document.activeElement.matches('.md-search__input, .md-search__button')"):
            break
    else:
        pytest.fail("eight steps from the top, and no search")

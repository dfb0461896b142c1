"""A browser, the built sites on this machine's own address, and the checks that every page must pass."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from .page_checks import check_page

ROOT = Path(__file__).parents[2]
SITES = {"mkdocs": ROOT / "site", "zensical": ROOT / "build" / "zensical"}
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items):
    """Everything in this folder needs a browser, and may talk to this machine alone."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.allow_hosts(["127.0.0.1"]))


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    chromium = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def serve():
    """A function: a folder to the address at which its files are served."""
    with ExitStack() as stack:

        def start(folder: Path) -> str:
            server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}/"

        yield start


@pytest.fixture(scope="session", params=SITES)
def folder(request) -> Path:
    """The folder of the site as each of its two builders makes it."""
    built = SITES[request.param]
    assert (built / "index.html").is_file(), f"{built} is missing: `make docs-test` builds it"
    return built


@pytest.fixture(scope="session")
def site(folder, serve) -> str:
    """The address of that site."""
    return serve(folder)


@pytest.fixture
def tab(browser):
    """An empty page of the browser."""
    with browser.new_context(viewport={"width": 1280, "height": 800}) as context:
        yield context.new_page()


@pytest.fixture(scope="session")
def page_checks(browser):
    """A function that fails with all that is wrong with a page, an address or a self-contained file."""

    def check(page: str | Path, excepted=None) -> None:
        problems = check_page(browser, page, excepted)
        assert not problems, "\n".join([str(page), *problems])

    return check

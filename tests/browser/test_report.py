"""A report in a browser, as a user opens it: a file, with no server behind it."""

import numpy as np
import pytest

from skneg import KNNDetector, MCMDetector
from skneg.datasets import SHAPE_NAMES, make_far_ood, make_scenes
from skneg.report import html

KNOWN, STRANGE = SHAPE_NAMES[0:36:3], SHAPE_NAMES[1:36:3]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    X, y = make_scenes(192, shapes=KNOWN, random_state=0)
    names = {label: f"<b>{label} with a long name & no end" for label in np.unique(y)}
    detector = MCMDetector(model="skneg-tiny", class_names=names).fit(X, y)
    X_new, y_new = make_scenes(96, shapes=KNOWN, random_state=1)
    ood = {"<script>alert(1)</script>": make_scenes(40, shapes=STRANGE, random_state=2)[0]}
    ood["far"] = make_far_ood(40, random_state=3)
    path = tmp_path_factory.mktemp("report") / "report.html"
    return html(detector, X_new, y_new, ood=ood, path=path, words=list(SHAPE_NAMES))


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """Of embeddings, without labels, OOD images and rejections."""
    X, y = np.random.default_rng(0).standard_normal((60, 128)), np.arange(60) % 2
    detector = KNNDetector(model="skneg-tiny", unknown_label=None, random_state=0).fit(X, y)
    return html(detector, X, path=tmp_path_factory.mktemp("report") / "bare.html", words=None)


def test_a_report_passes_what_every_page_must(report, page_checks):
    page_checks(report)


def test_a_bare_report_does_so_too(bare, page_checks):
    page_checks(bare)


def test_names_run_no_script_and_pictures_are_seen(report, tab):
    dialogs = []
    tab.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    tab.goto(report.as_uri())
    assert dialogs == []
    assert tab.locator("text=<script>alert(1)</script>").first.is_visible()
    sizes = tab.eval_on_selector_all("img", "all => all.map(it => it.naturalWidth)")
    assert len(sizes) > 20
    assert min(sizes) > 0


def test_the_sections_are_reached_by_their_links(report, tab):
    tab.goto(report.as_uri())
    for link in tab.locator("nav a").all():
        link.click()
        assert tab.evaluate("() => document.querySelector(location.hash) !== null")

"""The page: all of it in one file, nothing of the user's data is markup, numbers are the detector's."""

import os
import re
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

import skneg
from skneg import (
    CLIPImageEncoder,
    KNNDetector,
    LoCoOpDetector,
    MCMDetector,
    NegPromptDetector,
    ODINDetector,
    PromptRecipe,
    ScoreEnsemble,
)
from skneg.datasets import SHAPE_NAMES, make_scenes
from skneg.errors import ImageError, InputError, InputTypeError, PersistenceError
from skneg.prompts import CoOpRecipe
from skneg.report import _html, html

WORDS = list(SHAPE_NAMES)
FEW_STEPS = PromptRecipe(positive_steps=3, negative_steps=5)


class Balanced(HTMLParser):
    """Collects tags that are closed wrongly, and addresses that a page asks for."""

    void = frozenset(["meta", "img", "br", "link", "input"])

    def __init__(self, text):
        super().__init__()
        self.open, self.wrong, self.asked, self.tags = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.asked += [value for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def section(page, name):
    found = re.search(rf'<h2 id="{name}">.*?(?=<h2|</main>)', page, re.S)
    return found and " ".join(unescape(re.sub(r"<[^>]+>", " ", found[0])).split())


@pytest.fixture(scope="module")
def page(detector, known, unknown, tmp_path_factory):
    file = tmp_path_factory.mktemp("report") / "report.html"
    assert html(detector, *known, ood={"<script>x": unknown}, path=file, words=WORDS) == file
    return file.read_text("utf-8")


@pytest.fixture
def written(tmp_path):
    """A function that gives the text of a page."""
    return lambda *given, **also: html(*given, path=tmp_path / "a.html", **also).read_text("utf-8")


def test_is_whole_and_asks_for_nothing_outside(page):
    parsed = Balanced(page)
    assert parsed.wrong == parsed.open == []
    assert {address.partition(":")[0] for address in parsed.asked if not address.startswith("#")} == {"data"}
    assert not {"script", "iframe", "object", "form", "i"} & set(parsed.tags)
    assert not re.search(r"url\(|@import|http", re.sub(r"data:image/jpeg;base64,[\w+/=]+", "", page))


def test_names_are_text(page):
    assert re.search(r"&lt;i&gt;\d+&amp;\.png", page)
    assert "&lt;script&gt;x" in page
    assert "<script>" not in page


def test_says_what_was_fitted(page, detector):
    text = section(page, "fitted")
    assert f"{detector.offset_:.4f}, by 120 images" in text
    assert "about 5% of new images" in text
    assert all(f"{part} {weight:.2f}" in text for part, weight in detector.evidence_weights_.items())
    assert all(name in text for name in detector.class_names_)


def test_numbers_are_those_of_the_detector(page, detector, known, unknown):
    known_scores, strange = detector.score_samples(known[0]), detector.score_samples(unknown)
    rejected = 100 * np.mean(strange < detector.offset_)
    assert f"<script>x 40 {rejected:.1f} %" in section(page, "scores")
    auroc = 100 * skneg.metrics.auroc(known_scores, strange)
    assert f"{auroc:.1f} [" in section(page, "ranking")
    n = np.sum(known_scores < detector.offset_) + np.sum(strange < detector.offset_)
    assert f"{n} images were rejected" in section(page, "rejected")


def test_lists_wrong_labels_first(page):
    names = re.findall(r"<i>(\d+)&\.png", section(page, "labels"))
    assert {"5", "17", "30"} <= set(names[:4])


def test_suggests_names_for_the_unknown(page):
    text = section(page, "names")
    assert "Groups of rejected images" in text
    assert any(name in text for name in ("fish", "ladder", "crown", "tree"))


def test_is_the_same_page_again(page, detector, known, unknown, tmp_path):
    file = html(detector, *known, ood={"<script>x": unknown}, path=tmp_path / "again.html", words=WORDS)
    undated = [re.sub(r"\d{4}-\d\d-\d\d", "", text) for text in (file.read_text("utf-8"), page)]
    assert undated[0] == undated[1]


def test_images_of_fit_take_no_part_in_the_figures(detector, scenes, known, unknown, written):
    text = written(detector, *scenes, ood=unknown, words=None)
    assert "120 of 120 known images were in" in text
    calibration = 100 * skneg.metrics.auroc(detector.calibration_scores_, detector.score_samples(unknown))
    assert f"{calibration:.1f} [" in section(text, "ranking")
    assert "since all known images of X were in fit" in section(text, "ranking")
    assert "Of the images that were in fit nothing is said" in section(text, "labels") or not section(
        text, "labels"
    )


def test_where_the_images_of_fit_are_not_kept_the_page_says_so(scenes, known, unknown, written):
    detector = NegPromptDetector(model="skneg-tiny", recipe=FEW_STEPS, calibration=0.4, random_state=0)
    text = written(detector.fit(*scenes), *scenes, ood=unknown, words=None)
    assert "cannot tell" in section(text, "scores")
    assert "not in fit" not in section(text, "ranking")
    text = written(MCMDetector(model="skneg-tiny").fit(*scenes), *scenes, words=None)
    assert "cannot tell" not in section(text, "scores")  # it learns nothing from images


def test_labels_are_not_needed(detector, known, written):
    text = written(detector, known[0], words=None)
    assert section(text, "answers") is section(text, "labels") is section(text, "ranking") is None


def test_rows_labelled_unknown_are_a_set(detector, known, unknown, written):
    labels = [*known[1], *["unknown"] * len(unknown)]
    text = written(detector, [*known[0], *unknown], labels, words=None)
    assert "OOD 40" in section(text, "scores")


def test_embeddings_give_a_page_without_pictures(detector, embedded, written):
    text = written(detector, *embedded, words=None)
    assert "<img" not in text
    assert "row " in section(text, "rejected")


def test_a_pipeline_that_embeds_gives_pictures(scenes, known, unknown, written):
    pipeline = make_pipeline(CLIPImageEncoder(model="skneg-tiny"), MCMDetector(model="skneg-tiny")).fit(
        *scenes
    )
    text = written(pipeline, *known, ood=unknown, words=None)
    assert "<img" in text


def test_detectors_that_know_classes_by_images_have_one_too(scenes, known, unknown, written):
    detector = KNNDetector(model="skneg-tiny", random_state=0).fit(*scenes)
    text = written(detector, *known, ood=unknown, words=WORDS)
    assert "clarity" not in section(text, "rejected")
    assert section(text, "names")


def test_one_known_class_that_is_never_rejected(scenes, written):
    X = scenes[0][scenes[1] == "star"]
    detector = KNNDetector(model="skneg-tiny", random_state=0, unknown_label=None).fit(X, ["star"] * len(X))
    text = written(detector, X, ["star"] * len(X))
    assert "No image was rejected" in text
    assert "nothing is rejected, since unknown_label is None" in text


def test_many_classes_are_told_by_right_and_wrong(written):
    X, y = make_scenes(100, shapes=SHAPE_NAMES[:25], random_state=0)
    detector = MCMDetector(model="skneg-tiny").fit(X, y)
    answers = section(written(detector, X, y, words=None), "answers")
    assert "unknown own class another class" in answers
    assert "5 more are not shown" in answers


def test_file_names_that_are_no_text_are_written(detector, scenes, tmp_path):
    (tmp_path / "b").mkdir()
    name = os.fsdecode(os.fsencode(tmp_path / "b") + b"/caf\xe9.png")
    Image.fromarray(scenes[0][0]).save(tmp_path / "plain.png")
    os.rename(tmp_path / "plain.png", name)
    html(detector, [name] * 3, path=tmp_path / "a.html", words=None)


def test_odin_has_a_report_too(scenes, unknown, written):
    detector = ODINDetector(model="skneg-tiny").fit(scenes[0][:30], scenes[1][:30])
    text = written(detector, unknown[:10], ood={"set the threshold": unknown[10:20]}, words=WORDS)
    # In the legend, beside the images that set the threshold.
    assert re.findall(r"</bdi> \((\d+)\)</li>", text) == ["10", "10", "30"]


def test_patches_of_training_images_are_known_again(scenes, written):
    detector = LoCoOpDetector(model="skneg-tiny", recipe=CoOpRecipe(n_epochs=1), random_state=0)
    text = written(detector.fit(scenes[0][:60], scenes[1][:60]), scenes[0][:60], words=None)
    assert "60 of 60 known images were in" in section(text, "scores")


def test_images_that_set_the_threshold_are_told(scenes, written):
    text = written(MCMDetector(model="skneg-tiny").fit(*scenes), *scenes, words=None)
    assert "120 of 120 known images have set the threshold" in section(text, "scores")


def test_scores_that_hardly_differ_are_drawn(embedded, written):
    detector = MCMDetector(model="skneg-tiny", score_temperature=1e15).fit(*embedded)
    assert section(written(detector, *embedded, words=None), "scores")


def test_an_image_that_is_gone_costs_its_picture_only(detector, scenes, tmp_path, monkeypatch):
    Image.fromarray(scenes[0][0]).save(tmp_path / "gone.png")
    see = _html.see

    def see_and_delete(*given):
        seen = see(*given)
        (tmp_path / "gone.png").unlink()
        return seen

    monkeypatch.setattr(_html, "see", see_and_delete)
    file = html(detector, [tmp_path / "gone.png"] * 3, path=tmp_path / "a.html", words=None)
    assert "<img" not in file.read_text()


def test_embeddings_of_another_model_get_no_names(embedded, written):
    X, X_new = np.random.default_rng(0).standard_normal((2, 60, 40)) + 9
    detector = KNNDetector(model="skneg-tiny", contamination=0.3, random_state=0)
    assert "Words need" in section(written(detector.fit(X, np.arange(60) % 3), X_new), "names")


def test_mistakes_of_both_kinds_are_shown(page, detector, known, unknown):
    text = section(page, "rejected")
    n_rejected = int(np.sum(detector.decision_function(known[0]) < 0))
    n_accepted = int(np.sum(detector.decision_function(unknown) >= 0))
    assert f"Known images that were rejected: {n_rejected}" in text
    assert f"Unknown images that were accepted: {n_accepted}" in text


def test_images_that_became_a_class_are_no_unknown_ones_any_more(scenes, known, unknown, written):
    detector = KNNDetector(model="skneg-tiny", random_state=0).fit(*scenes)
    detector.set_vocabulary([*detector.class_names_, "new"], unknown[:20], ["new"] * 20)
    text = section(written(detector, *known, ood=unknown, words=None), "ranking")
    assert "20 images of the OOD sets have been made images of a class since" in text
    assert "OOD 20" in text
    text = written(detector, *known, ood=unknown[:20], words=None)
    assert section(text, "ranking") is None


class TestWhatIsRefused:
    def test_before_any_image_is_encoded(self, detector, known, tmp_path, monkeypatch):
        monkeypatch.setattr(_html, "see", lambda *given: pytest.fail("encoded"))
        path = tmp_path / "a.html"
        for error, given, match in (
            (PersistenceError, {"path": tmp_path / "none" / "a.html"}, "make it first"),
            (PersistenceError, {"path": tmp_path / ("a" * 300)}, "cannot be written"),
            (PersistenceError, {"path": "\ud800.html"}, "file name"),
            (InputTypeError, {"path": path, "words": 42}, "words must be"),
            (InputError, {"path": path, "ood": {"mean": known[0]}}, "'mean'"),
            (InputError, {"path": path, "y": [["star", "key"]] * 60}, "y must be 1-D"),
        ):
            with pytest.raises(error, match=match):
                html(detector, known[0], **given)

    def test_an_ood_set_is_named(self, detector, known, tmp_path):
        with pytest.raises(InputError, match=r"ood\['bad'\]: X holds no images"):
            html(detector, known[0][:3], ood={"good": known[0][:2], "bad": []}, path=tmp_path / "a.html")
        with pytest.raises(ImageError, match=r"ood\['bad'\]: image 1") as caught:
            html(detector, known[0][:3], ood={"bad": [known[0][0], b""]}, path=tmp_path / "a.html")
        assert caught.value.index == 1

    def test_an_ensemble(self, embedded, scenes):
        ensemble = ScoreEnsemble([MCMDetector(model="skneg-tiny").fit(*embedded)])
        with pytest.raises(InputTypeError, match="give one of its detectors"):
            html(ensemble, scenes[0])

    def test_what_is_not_fitted(self, scenes):
        with pytest.raises(NotFittedError):
            html(MCMDetector(model="skneg-tiny"), scenes[0])

    def test_labels_of_no_class(self, detector, embedded):
        with pytest.raises(InputError, match="zebra"):
            html(detector, embedded[0], ["zebra"] * len(embedded[0]))

    def test_an_old_report_survives(self, detector, known, tmp_path):
        (tmp_path / "report.html").write_text("old")
        with pytest.raises(ImageError):
            html(detector, [*known[0][:3], b"broken"], path=tmp_path / "report.html", words=None)
        with pytest.raises(PersistenceError):
            html(detector, known[0][:3], path=tmp_path, words=None)
        assert (tmp_path / "report.html").read_text() == "old"

"""Names to embeddings, word lists, and which words become negatives."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

import skneg.words
from skneg import NegPromptDetector, Words
from skneg.backbone import load_backbone
from skneg.cache import CacheWarning
from skneg.errors import InputError, VocabularyError
from skneg.prompts import PromptRecipe
from skneg.words import _slot, as_words, cache_folder, class_means, embed_names, embed_words, image_rank

from .conftest import run_python

WORDS = ("circle", "hexagon", "rusty old gate")
TEMPLATES = ("a photo of a {}", "a drawing of a {}")


@pytest.fixture(scope="module")
def backbone():
    return load_backbone("skneg-tiny")


def unit(X):
    return X / np.linalg.norm(X, axis=-1, keepdims=True)


def test_templates_are_averaged_and_the_mean_has_unit_length(backbone):
    tower = backbone.text_tower
    parts = [tower.encode([template.format(word) for word in WORDS]) for template in TEMPLATES]
    np.testing.assert_allclose(embed_names(tower, WORDS, TEMPLATES), unit(sum(parts)), atol=1e-6)


def test_a_shared_prefix_changes_no_more_than_the_rounding(backbone):
    tower = backbone.text_tower
    whole = embed_names(tower, WORDS, TEMPLATES)
    np.testing.assert_allclose(embed_names(tower, WORDS, TEMPLATES, shared_prefix=True), whole, atol=1e-5)


class TestKeptWords:
    @pytest.fixture(autouse=True)
    def _own_folder(self, tmp_path, monkeypatch):
        monkeypatch.setenv("SKNEG_CACHE", str(tmp_path))
        _slot.cache_clear()

    def test_they_are_rounded_before_anything_sees_them(self, backbone):
        embeddings = embed_words(backbone, WORDS, TEMPLATES)
        np.testing.assert_array_equal(embeddings, embeddings.astype(np.float16).astype(np.float32))
        assert not embeddings.flags.writeable

    def test_another_process_encodes_nothing(self, backbone):
        made = embed_words(backbone, WORDS, TEMPLATES)
        code = (
            "import skneg.words as w; from skneg.backbone import load_backbone;"
            "w._embed = None;"
            f"print(w.embed_words(load_backbone('skneg-tiny'), {WORDS!r}, {TEMPLATES!r}).tobytes().hex())"
        )
        assert run_python(code) == made.tobytes().hex()

    def test_other_words_and_templates_are_kept_apart(self, backbone):
        for words, templates in ((WORDS, TEMPLATES), (WORDS[:2], TEMPLATES), (WORDS, TEMPLATES[:1])):
            embed_words(backbone, words, templates)
        assert len(list((cache_folder() / "words").glob("*.safetensors"))) == 3

    def test_a_damaged_file_is_made_again(self, backbone):
        made = embed_words(backbone, WORDS, TEMPLATES)
        (file,) = (cache_folder() / "words").glob("*.safetensors")
        file.write_bytes(file.read_bytes()[:-1])
        _slot.cache_clear()
        np.testing.assert_array_equal(embed_words(backbone, WORDS, TEMPLATES), made)

    def test_lists_that_were_used_longest_ago_go_above_the_limit(self, backbone, monkeypatch):
        monkeypatch.setenv("SKNEG_CACHE_SIZE", "8 KB")
        for age, words in ((300, WORDS), (200, WORDS[:2]), (0, WORDS[1:])):
            embed_words(backbone, words, TEMPLATES)
            for file in (cache_folder() / "words").glob("*.safetensors"):
                if time.time() - file.stat().st_mtime < 100:
                    os.utime(file, (time.time() - age,) * 2)
        assert len(list((cache_folder() / "words").glob("*.safetensors"))) == 1

    def test_a_folder_that_cannot_be_written_costs_time_only(self, backbone, tmp_path, monkeypatch):
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("SKNEG_CACHE", str(tmp_path / "file"))
        with pytest.warns(CacheWarning, match="Not a directory.*SKNEG_CACHE") as caught:
            assert embed_words(backbone, WORDS, TEMPLATES).shape == (3, 128)
        assert len(caught) == 1


class TestChoice:
    names = ("star", "heart")
    positive = np.eye(2, 4)
    embeddings = unit(np.array([[9, 1, 5, 0], [1, 1, 9, 0], [0, 3, 9, 0], [1, 0, 0, 9]], dtype=float))
    words = ("sun", "gate", "love", "Star")

    def choose(self, **settings):
        kept = {**{"max_cosine": 0.8}, **settings}
        return Words(list(self.words), **kept).choose(self.words, self.embeddings, self.positive, self.names)

    def test_words_near_a_class_or_named_like_one_are_left_out(self):
        assert self.choose().tolist() == [1, 2]
        assert self.choose(max_cosine=1.01).tolist() == [0, 1, 2]

    def test_a_share_keeps_the_words_least_like_the_classes(self):
        assert self.choose(fraction=0.25).tolist() == [1]
        assert self.choose(fraction=0.5).tolist() == [1, 2]

    def test_nothing_left_says_what_to_change(self):
        with pytest.raises(VocabularyError, match="max_cosine=-0.5"):
            self.choose(max_cosine=-0.5)

    @pytest.mark.parametrize(
        "setting", [{"fraction": 0}, {"quantile": 1}, {"selection": "pixels"}, {"max_cosine": -2}]
    )
    def test_unusable_settings_are_named(self, setting):
        with pytest.raises(InputError, match=next(iter(setting))):
            Words(["a"], **setting).check()


def test_jobs_that_start_at_the_same_time_embed_a_list_once(backbone, tmp_path, monkeypatch):
    monkeypatch.setenv("SKNEG_CACHE", str(tmp_path))
    embedded, original = [], skneg.words._embed

    def counting(*arguments, **options):
        embedded.append(threading.get_ident())
        time.sleep(0.2)  # so that all have looked for the file by then
        return original(*arguments, **options)

    monkeypatch.setattr(skneg.words, "_embed", counting)
    listed = ("one", "two", "of these alone")
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: embed_words(backbone, listed, ("a {}",)), range(3)))
    assert len(embedded) == 1
    assert all((other == found[0]).all() for other in found)


def test_words_by_images_are_those_less_like_every_class_than_its_name():
    rng = np.random.default_rng(0)
    words, positive = unit(rng.normal(size=(60, 6))), unit(rng.normal(size=(2, 6)))
    targets = np.repeat([0, 1], 10)
    Z = unit(2 * positive[targets] + rng.normal(size=(20, 6)))
    means = np.stack([unit(Z[targets == c].mean(axis=0)) for c in (0, 1)])
    np.testing.assert_allclose(class_means(Z, targets), means)
    gaps = np.array([[positive[c] @ means[c] - word @ means[c] for c in (0, 1)] for word in words])
    allowed = [i for i in range(60) if (gaps[i] > 0).all()]
    assert 0 < len(allowed) < 60
    expected = sorted(allowed, key=lambda i: -gaps[i].mean())
    assert image_rank(words, Z, targets, positive).tolist() == expected


def test_words_by_images_need_labels():
    with pytest.raises(InputError, match="give y to fit"):
        image_rank(np.eye(3), np.eye(3), None, np.eye(3))


def test_a_list_alone_takes_the_other_settings_of_the_default():
    default = Words(max_cosine=0.5)
    assert as_words(None, default) is default
    taken = as_words(["gate", "love"], default)
    assert taken.get_params() == {**default.get_params(), "words": ["gate", "love"]}
    assert default.words == "nouns"


def test_a_search_goes_over_the_settings_of_words(mixed_embeddings):
    words = ["gate", "love", "fish", "tree"]
    recipe = PromptRecipe(positive_steps=1, negative_steps=1)
    detector = NegPromptDetector(
        model="skneg-tiny", contamination=0.1, random_state=0, calibration="train", words=Words(words),
        recipe=recipe,
    )  # fmt: skip
    search = GridSearchCV(detector, {"words__fraction": [0.5, 1.0]}, scoring="ood_auroc", cv=2)
    search.fit(*mixed_embeddings)
    assert sorted(p["words__fraction"] for p in search.cv_results_["params"]) == [0.5, 1.0]
    assert len(search.best_estimator_.text_bank_.common) == 4 * search.best_params_["words__fraction"]


def test_a_part_of_a_word_list_is_set_without_touching_the_default():
    for words, expected in (("nouns", "nouns"), (["gate", "love"], ["gate", "love"])):
        detector = NegPromptDetector(words=words).set_params(words__fraction=0.5)
        assert (detector.words.words, detector.words.fraction) == (expected, 0.5)
    assert NegPromptDetector.default_words.fraction == 1.0


def test_long_lists_have_a_bar_where_it_is_asked_for(capfd):
    tower = load_backbone("skneg-tiny").text_tower
    names = [f"thing {number}" for number in range(5000)]
    quiet = embed_names(tower, names, ["a photo of a {}"], shared_prefix=True)
    assert capfd.readouterr().err == ""
    loud = embed_names(tower, names, ["a photo of a {}"], shared_prefix=True, verbose=True)
    assert "encoding words: 100%" in capfd.readouterr().err
    np.testing.assert_array_equal(quiet, loud)
    np.testing.assert_allclose(quiet, embed_names(tower, names, ["a photo of a {}"]), atol=1e-5)

"""Names are embedded once, however often the vocabulary changes."""

import copy
import pickle
import warnings

import numpy as np
import pytest

import skneg
from skneg import (
    CLIPNDetector,
    CoOpDetector,
    CSPDetector,
    EOEDetector,
    InterNegDetector,
    LSNDetector,
    MCMDetector,
    NegLabelDetector,
    NegPromptDetector,
    WordsDetector,
)
from skneg._texts import embedded_once, remembering
from skneg.backbone import TextTower, load_backbone
from skneg.backbone._no_tower import copy_text_tower, save_no_tower
from skneg.prompts import CoOpRecipe, PromptRecipe, encoding

from .conftest import KNOWN

NEW = ["tree", "zebra"]
COOP, NEGPROMPT = CoOpRecipe(n_epochs=1), PromptRecipe(positive_steps=2, negative_steps=2)
# How often a new name goes through a text tower: once for each template or context around it.
DETECTORS = {
    "MCM": (MCMDetector, {}, 1),
    "templates": (MCMDetector, {"templates": ["a photo of a {}", "a drawing of a {}"]}, 2),
    "words": (WordsDetector, {}, 1),
    "NegLabel": (NegLabelDetector, {"random_state": 0}, 1),
    "CSP": (CSPDetector, {"random_state": 0}, 1),
    "EOE": (EOEDetector, {"outlier_names": ["lamp", "gate"]}, 1),
    "InterNeg": (InterNegDetector, {"n_words": 100, "random_state": 0}, 1),
    "CLIPN": (CLIPNDetector, {}, 2),
    "CoOp": (CoOpDetector, {"recipe": COOP, "random_state": 0}, 1),
    "NegPrompt": (NegPromptDetector, {"recipe": NEGPROMPT, "random_state": 0}, 3),
    "no words": (NegPromptDetector, {"recipe": NEGPROMPT, "words": None, "random_state": 0}, 3),
}


@pytest.fixture(autouse=True)
def _few_steps_learn_little():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture
def passed(monkeypatch):
    """The texts that go through a text tower, call by call."""
    texts = []
    encode, encode_prompts = TextTower.encode, encoding.encode_prompts

    def watch(self, given):
        texts.append(list(given))
        return encode(self, given)

    def watch_prompts(tower, contexts, names, **options):
        texts.append(list(names))
        return encode_prompts(tower, contexts, names, **options)

    monkeypatch.setattr(TextTower, "encode", watch)
    monkeypatch.setattr(encoding, "encode_prompts", watch_prompts)
    return texts


def build(name, folder):
    kind, parameters, _ = DETECTORS[name]
    if kind is CLIPNDetector:
        file = folder / "no.safetensors"
        save_no_tower(copy_text_tower(load_backbone("skneg-tiny").text_tower), file)
        parameters = {"no_encoder": file}
    return kind(model="skneg-tiny", **parameters)


@pytest.mark.parametrize("name", DETECTORS)
def test_a_new_vocabulary_embeds_its_new_names_once(name, embedded, passed, tmp_path):
    detector = build(name, tmp_path).fit(*embedded)
    anew = copy.deepcopy(detector)
    passed.clear()
    detector.set_vocabulary([*sorted(KNOWN), *NEW])
    assert len(passed) == DETECTORS[name][2]
    for texts in passed:
        assert len(texts) == 2
        assert texts[0].endswith(NEW[0])
        assert texts[1].endswith(NEW[1])
    anew.set_vocabulary([*sorted(KNOWN), *NEW])
    for part in ("positive", "negative", "common"):
        expected = getattr(anew.text_bank_, part)
        np.testing.assert_allclose(getattr(detector.text_bank_, part), expected, atol=1e-6)
    np.testing.assert_allclose(
        detector.score_samples(embedded[0]), anew.score_samples(embedded[0]), atol=1e-5
    )
    passed.clear()
    detector.set_vocabulary(sorted(KNOWN))
    assert passed == []


@pytest.mark.parametrize("name", ["MCM", "NegLabel", "CLIPN", "CoOp", "NegPrompt"])
def test_images_of_classes_that_left_are_scored_by_what_is_known_of_them(name, embedded, passed, tmp_path):
    detector = build(name, tmp_path).fit(*embedded)
    passed.clear()
    detector.set_vocabulary([*sorted(KNOWN)[1:], *NEW])
    assert {text for texts in passed for text in texts if KNOWN[0] in text} == set()
    passed.clear()
    detector.calibrate()
    assert passed == []


def test_contexts_of_a_class_follow_it(embedded, passed):
    detector = LSNDetector(model="skneg-tiny", recipe=COOP, random_state=0).fit(*embedded)
    names, bank = detector.class_names_, detector.text_bank_
    passed.clear()
    detector.set_vocabulary(names[2:])
    assert passed == []
    expected = bank.take(range(2, len(names)))
    np.testing.assert_array_equal(detector.text_bank_.positive, expected.positive)
    np.testing.assert_array_equal(detector.text_bank_.negative, expected.negative)


def test_other_templates_are_other_texts(embedded):
    detector = MCMDetector(model="skneg-tiny").fit(*embedded)
    detector.set_params(templates="a drawing of a {}").set_vocabulary([*sorted(KNOWN), *NEW])
    tower = load_backbone("skneg-tiny").text_tower
    expected = tower.encode([f"a drawing of a {name}" for name in detector.class_names_])
    np.testing.assert_allclose(detector.text_bank_.positive, expected, atol=1e-6)


def test_what_is_known_does_not_grow_and_is_in_no_file(embedded, tmp_path):
    detector = MCMDetector(model="skneg-tiny").fit(embedded[0], class_names=sorted(KNOWN))
    for number in range(5):
        detector.set_vocabulary([KNOWN[0], f"thing {number}"])
    assert len(detector._state.texts) <= len(detector.class_names_) + len(KNOWN)
    detector.save(tmp_path / "a.skneg")
    for again in (skneg.load(tmp_path / "a.skneg"), pickle.loads(pickle.dumps(detector))):
        assert not again._state.texts
        np.testing.assert_array_equal(
            again.set_vocabulary(KNOWN).predict(embedded[0]),
            copy.copy(detector).set_vocabulary(KNOWN).predict(embedded[0]),
        )


def test_only_unknown_texts_are_embedded_and_only_those_used_are_kept():
    asked = []

    def embed(new):
        asked.append(new)
        return np.array([[float(number)] for number in new])

    with remembering({"a": np.array([7.0]), "gone": np.array([9.0])}) as used:
        assert embedded_once(["b", "a", "c"], embed).ravel().tolist() == [0, 7, 2]
        assert embedded_once(["c", "b"], embed).ravel().tolist() == [2, 0]
    assert asked == [[0, 2]]
    assert {text: row.tolist() for text, row in used.items()} == {"b": [0], "a": [7], "c": [2]}


def test_outside_of_a_change_everything_is_embedded():
    assert embedded_once(["a", "a"], lambda new: np.array(new)[:, None]).ravel().tolist() == [0, 1]
    with remembering({}), pytest.raises(ZeroDivisionError):
        embedded_once(["a"], lambda new: np.array([[1 / 0]]))
    assert embedded_once(["a"], lambda new: np.ones((1, 2))).shape == (1, 2)

import pickle
from decimal import Decimal

import numpy as np
import pytest
import torch
from sklearn.base import clone

from skneg import CLIPImageEncoder, TextBank
from skneg.backbone import load_backbone
from skneg.backbone._no_tower import copy_text_tower, load_no_tower, save_no_tower
from skneg.datasets import SHAPE_NAMES, make_scenes
from skneg.detectors._clipn import CLIPNDetector
from skneg.errors import BackboneError, InputError, InputTypeError, VocabularyError
from skneg.metrics import auroc
from skneg.prompts.no_training import no_losses, train_no_encoder
from skneg.scores import clipn_atd, clipn_ctw

from ..conftest import KNOWN, STRANGE


@pytest.fixture(scope="module")
def pairs() -> tuple[np.ndarray, list[str]]:
    """Embedded scenes of all shapes but the strange ones, with captions."""
    seen = [name for name in SHAPE_NAMES if name not in STRANGE]
    X, _, captions = make_scenes(400, shapes=seen, return_captions=True, random_state=2)
    return CLIPImageEncoder(model="skneg-tiny").transform(X), captions.tolist()


def quick(pairs, n=400, **parameters):
    """A "no" tower that trains for a second or two."""
    defaults = {"model": "skneg-tiny", "n_epochs": 3, "learning_rate": 1e-3, "random_state": 0}
    return train_no_encoder(pairs[0][:n], pairs[1][:n], **{**defaults, **parameters})


@pytest.fixture(scope="module")
def no_file(tmp_path_factory):
    return tmp_path_factory.mktemp("clipn") / "no.safetensors"


@pytest.fixture(scope="module")
def no_tower(pairs, no_file):
    return quick(pairs, out=no_file)


@pytest.fixture(scope="module")
def untrained_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("clipn") / "untrained.safetensors"
    save_no_tower(copy_text_tower(load_backbone("skneg-tiny").text_tower), path)
    return path


@pytest.fixture(scope="module")
def fitted(no_tower, no_file, embedded):
    return CLIPNDetector(model="skneg-tiny", no_encoder=no_file).fit(*embedded)


@pytest.fixture
def bank() -> TextBank:
    positive, negative = np.random.default_rng(0).normal(size=(2, len(KNOWN), 128)).astype(np.float32)
    return TextBank(positive, negative, per_class=1)


class TestScores:
    @pytest.mark.parametrize("temperature", [1e-6, 1e-3, 0.01, 1.0, 1e6])
    def test_they_are_the_published_sums(self, temperature):
        yes, no = np.random.default_rng(0).uniform(-1, 1, size=(2, 40, 5))
        atd, ctw = [], []
        for row_yes, row_no in zip(yes, no, strict=True):
            e_yes = [(Decimal(float(z)) / Decimal(temperature)).exp() for z in row_yes]
            e_no = [(Decimal(float(z)) / Decimal(temperature)).exp() for z in row_no]
            p_yes = [a / (a + b) for a, b in zip(e_yes, e_no, strict=True)]
            atd.append(float(sum(e / sum(e_yes) * p for e, p in zip(e_yes, p_yes, strict=True)).ln()))
            ctw.append(float(p_yes[int(row_yes.argmax())].ln()))
        np.testing.assert_allclose(clipn_atd(yes, no, temperature), atd, rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(clipn_ctw(yes, no, temperature), ctw, rtol=1e-9, atol=1e-15)

    @pytest.mark.parametrize(("score", "function"), [("atd", clipn_atd), ("ctw", clipn_ctw)])
    @pytest.mark.parametrize("temperature", [1e-5, 0.01, 1e5])
    def test_the_detector_scores_cosines_to_its_bank(self, embedded, bank, score, function, temperature):
        X, y = embedded
        detector = CLIPNDetector(text_bank=bank, score_func=score, score_temperature=temperature).fit(X, y)
        positive, negative = (
            rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (bank.positive, bank.negative)
        )
        expected = function(X @ positive.T, X @ negative.T, temperature)
        assert np.isfinite(expected).all()
        np.testing.assert_allclose(detector.score_samples(X), expected, rtol=1e-3, atol=1e-7)


class TestDetecting:
    @pytest.mark.parametrize("score", ["atd", "ctw"])
    def test_it_tells_shapes_that_no_tower_was_trained_on(
        self, no_tower, no_file, untrained_file, embedded, strange_scenes, score
    ):
        strange = CLIPImageEncoder(model="skneg-tiny").transform(strange_scenes)

        def area(file):
            detector = CLIPNDetector(model="skneg-tiny", no_encoder=file, score_func=score).fit(*embedded)
            return auroc(detector.score_samples(embedded[0]), detector.score_samples(strange))

        assert area(no_file) > 0.95
        assert area(no_file) > area(untrained_file) + 0.05

    def test_bank_has_one_no_for_each_class_in_order(self, fitted, no_tower):
        assert fitted.text_bank_.per_class == 1
        expected = no_tower.encode([f"a photo without {name}" for name in sorted(KNOWN)])
        np.testing.assert_allclose(fitted.text_bank_.negative, expected, atol=1e-6)
        yes = load_backbone("skneg-tiny").text_tower.encode(
            [f"a photo of a {name}" for name in sorted(KNOWN)]
        )
        np.testing.assert_allclose(fitted.text_bank_.positive, yes, atol=1e-6)

    def test_several_no_templates_are_averaged_and_none_takes_the_templates(
        self, no_tower, no_file, embedded
    ):
        several = ["not {}", "no {} here"]
        given = CLIPNDetector(model="skneg-tiny", no_encoder=str(no_file), no_templates=several)
        total = sum(no_tower.encode([t.format(name) for name in sorted(KNOWN)]) for t in several)
        total /= np.linalg.norm(total, axis=1, keepdims=True)
        np.testing.assert_allclose(given.fit(*embedded).text_bank_.negative, total, atol=1e-6)
        same = CLIPNDetector(model="skneg-tiny", no_encoder=no_file, no_templates=None, templates="the {}")
        expected = no_tower.encode([f"the {name}" for name in sorted(KNOWN)])
        np.testing.assert_allclose(same.fit(*embedded).text_bank_.negative, expected, atol=1e-6)

    def test_labels_are_not_needed(self, no_tower, no_file, fitted, embedded):
        unlabelled = CLIPNDetector(model="skneg-tiny", no_encoder=no_file)
        unlabelled.fit(embedded[0], class_names=sorted(KNOWN))
        assert unlabelled.offset_ == fitted.offset_

    def test_new_names_and_back(self, fitted, embedded, strange_scenes):
        moved = pickle.loads(pickle.dumps(fitted)).set_vocabulary(STRANGE)
        assert moved.text_bank_.negative.shape == (len(STRANGE), 128)
        assert auroc(moved.score_samples(strange_scenes), moved.score_samples(embedded[0])) > 0.9
        moved.set_vocabulary(fitted.class_names_)
        assert moved.offset_ == pytest.approx(fitted.offset_, abs=1e-6)

    def test_a_fitted_detector_predicts_without_its_file(self, no_tower, tmp_path, embedded):
        file = tmp_path / "moved.safetensors"
        save_no_tower(no_tower, file)
        detector = CLIPNDetector(model="skneg-tiny", no_encoder=file).fit(*embedded)
        expected = detector.score_samples(embedded[0])
        file.unlink()
        data = pickle.dumps(detector)
        assert len(data) < 200_000
        np.testing.assert_array_equal(pickle.loads(data).score_samples(embedded[0]), expected)

    def test_parameters_survive_cloning(self, no_file):
        detector = CLIPNDetector(no_encoder=no_file, score_func="ctw", no_templates=["not {}"], batch_size=3)
        assert clone(detector).get_params() == detector.get_params()


class TestReadyBank:
    def test_it_needs_neither_a_file_nor_a_model(self, embedded, bank):
        detector = CLIPNDetector(model="no such model", text_bank=bank).fit(*embedded)
        assert detector.score_samples(embedded[0]).shape == (len(embedded[0]),)
        rows = TextBank(bank.positive[:3], bank.negative[:3], per_class=1)
        assert detector.set_vocabulary(sorted(KNOWN)[:3], text_bank=rows).text_bank_.per_class == 1

    def test_it_must_have_one_no_for_each_class(self, embedded, bank):
        positive, negative = bank.positive, bank.negative
        for bad in (
            positive,
            TextBank.from_positives(positive),
            TextBank(positive, negative),
            TextBank(positive, np.concatenate([negative, negative]), per_class=2),
        ):
            with pytest.raises(InputError, match="one negative for each class.*per_class=1"):
                CLIPNDetector(text_bank=bad).fit(*embedded)
        with pytest.raises(VocabularyError, match="6 rows for 2 class names"):
            CLIPNDetector(text_bank=bank).fit(embedded[0], class_names=["a", "b"])


class TestBadParameters:
    @pytest.mark.parametrize(
        ("parameters", "error", "message"),
        [
            ({}, InputError, "no_encoder must be.*train_no_encoder"),
            ({"no_encoder": 5}, InputTypeError, "no_encoder must be the path.*got a int"),
            ({"no_encoder": "gone.pt"}, BackboneError, "gone.pt.*train_no_encoder"),
            ({"no_encoder": "x", "score_func": "max"}, InputError, "score_func must be one of"),
            ({"no_encoder": "x", "no_templates": "not"}, InputError, "no_templates holds 'not'"),
            ({"no_encoder": "x", "no_templates": [3]}, InputError, "no_templates holds 3"),
            ({"no_encoder": "x", "no_templates": []}, InputError, "no_templates is empty"),
            ({"no_encoder": "x", "score_temperature": 0}, InputError, "score_temperature"),
        ],
    )
    def test_they_are_named(self, embedded, parameters, error, message):
        with pytest.raises(error, match=message):
            CLIPNDetector(model="skneg-tiny", **parameters).fit(*embedded)


class TestLosses:
    def test_they_are_the_published_means(self):
        rng = np.random.default_rng(0)
        image, text, no_text = rng.normal(size=(3, 6, 16))
        image, text, no_text = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (image, text, no_text))
        text[4] = text[1]  # the same caption
        matching = np.eye(6, dtype=bool)
        matching[1, 4] = matching[4, 1] = True
        yes, no = np.exp(image @ text.T / 0.1), np.exp(image @ no_text.T / 0.1)
        p_yes = yes / (yes + no)
        distances = [2 - np.sqrt(2 - 2 * t @ n + 1e-4) for t, n in zip(text, no_text, strict=True)]
        terms = no_losses(*map(torch.from_numpy, (image, text, no_text, matching)), temperature=0.1)
        assert float(terms["yes"]) == pytest.approx(-np.log(p_yes[matching]).mean())
        assert float(terms["no"]) == pytest.approx(-np.log(1 - p_yes[~matching]).mean())
        assert float(terms["tso"]) == pytest.approx(np.mean(distances))

    @pytest.mark.parametrize("temperature", [1e-6, 1e6])
    def test_they_and_their_gradients_stay_finite(self, temperature):
        rows = torch.nn.functional.normalize(torch.randn(4, 8, generator=torch.Generator().manual_seed(0)))
        no_text = rows.clone().requires_grad_()
        for matching in (torch.eye(4, dtype=torch.bool), torch.ones(4, 4, dtype=torch.bool)):
            total = sum(no_losses(rows, rows, no_text, matching, temperature).values())
            total.backward()
            assert torch.isfinite(total)
            assert torch.isfinite(no_text.grad).all()


class TestTraining:
    def test_every_term_of_the_loss_falls(self, no_tower):
        assert set(no_tower.history) == {"yes", "no", "tso", "total"}
        for values in no_tower.history.values():
            assert values.shape == (3 * 7,)
            assert values[-5:].mean() < 0.8 * values[:2].mean()

    def test_same_seed_same_bits(self, pairs):
        first, again, other = (quick(pairs, n=100, n_epochs=1, random_state=s) for s in (0, 0, 1))
        for p, q in zip(first.module.parameters(), again.module.parameters(), strict=True):
            assert torch.equal(p, q)
        assert (first.encode(["a star"]) != other.encode(["a star"])).any()

    def test_the_saved_file_is_the_tower(self, no_tower, no_file):
        loaded = load_no_tower(load_backbone("skneg-tiny"), no_file)
        np.testing.assert_array_equal(loaded.encode(["not a key"]), no_tower.encode(["not a key"]))

    def test_only_the_no_tower_learns(self, pairs):
        backbone = load_backbone("skneg-tiny")
        before = {k: v.clone() for k, v in backbone.text_tower.module.state_dict().items()}
        tower = quick(pairs, n=64, n_epochs=1)
        for key, value in backbone.text_tower.module.state_dict().items():
            assert torch.equal(value, before[key])
        assert not any(p.requires_grad for p in tower.module.parameters())
        assert (tower.encode(["a star"]) != backbone.text_tower.encode(["a star"])).any()

    def test_images_and_their_embeddings_train_alike(self):
        X, _, captions = make_scenes(40, return_captions=True, random_state=3)
        embeddings = CLIPImageEncoder(model="skneg-tiny").transform(X)
        towers = [quick((given, captions), n_epochs=1) for given in (X, 3 * embeddings)]
        encoded = [tower.encode(["a photo without a star"]) for tower in towers]
        np.testing.assert_allclose(*encoded, atol=1e-3)

    def test_one_caption_for_all_images_is_no_error(self, pairs):
        tower = quick((pairs[0][:33], ["a star"] * 33), n_epochs=1, batch_size=32)
        assert (tower.history["no"] == 0).all()

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda X, c: (X, c[:-1]), "10 images, 9 captions"),
            (lambda X, c: (X[:0], []), "empty"),
            (lambda X, c: ([], []), "no images"),
            (lambda X, c: (X, [*c[:4], None, *c[5:]]), r"captions\[4\] is None"),
            (lambda X, c: (X, [*c[:4], " ", *c[5:]]), r"captions\[4\]"),
            (lambda X, c: (X, "a star"), "sequence of strings"),
            (lambda X, c: (X, [*c[:9], "star " * 40]), "too long"),
            (lambda X, c: (X[:, :5], c), "5 columns.*128"),
            (lambda X, c: (np.where(np.arange(10)[:, None] == 3, np.nan, X), c), "row 3"),
            (lambda X, c: (np.where(np.arange(10)[:, None] == 6, 0, X), c), "row 6"),
        ],
    )
    def test_bad_pairs_are_named(self, pairs, change, message):
        images, captions = change(pairs[0][:10], pairs[1][:10])
        with pytest.raises(InputError, match=message):
            train_no_encoder(images, captions, model="skneg-tiny")

    @pytest.mark.parametrize(
        "parameter",
        [
            {"n_epochs": 0}, {"batch_size": 1}, {"learning_rate": 0}, {"no_templates": []},
            {"no_templates": ["not"]}, {"out": "no.pt"}, {"out": "/nowhere/no.safetensors"},
        ],
        ids=str,
    )  # fmt: skip
    def test_bad_parameters_are_named(self, pairs, parameter):
        with pytest.raises(InputError, match=next(iter(parameter))):
            quick(pairs, n=10, **parameter)

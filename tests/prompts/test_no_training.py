"""Training of the "no" text tower: its losses, and what it learns from a few pairs."""

import numpy as np
import pytest
import torch

from skneg import CLIPImageEncoder
from skneg.backbone import load_backbone
from skneg.backbone._no_tower import load_no_tower
from skneg.datasets import make_scenes
from skneg.errors import InputError
from skneg.prompts.no_training import no_losses, train_no_encoder


@pytest.fixture(scope="module")
def pairs() -> tuple[np.ndarray, list[str]]:
    """Embedded scenes with captions."""
    X, _, captions = make_scenes(400, return_captions=True, random_state=2)
    return CLIPImageEncoder(model="skneg-tiny").transform(X), captions.tolist()


def quick(pairs, n=400, **parameters):
    """A "no" tower that trains for a second or two."""
    defaults = {"model": "skneg-tiny", "n_epochs": 3, "learning_rate": 1e-3, "random_state": 0}
    return train_no_encoder(pairs[0][:n], pairs[1][:n], **{**defaults, **parameters})


@pytest.fixture(scope="module")
def no_file(tmp_path_factory):
    return tmp_path_factory.mktemp("no") / "no.safetensors"


@pytest.fixture(scope="module")
def no_tower(pairs, no_file):
    return quick(pairs, out=no_file)


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

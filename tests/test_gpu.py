"""What a CUDA GPU computes is what the CPU computes: run by hand where there is one, `pytest -m gpu`."""

import numpy as np
import pytest
import torch

import skneg
from skneg import CLIPImageEncoder, NegPromptDetector, PromptRecipe
from skneg._registry import DETECTORS, detector_class
from skneg.backbone import load_backbone

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU"),
]

# Words of a language model, a second tower, a caption model.
NEED_MORE = ("EOEDetector", "CLIPNDetector", "ZOCDetector")
SETTINGS = {"model": "skneg-tiny", "precision": "fp32"}


def test_embeddings(scenes):
    X = scenes[0]
    of_cpu, of_gpu = (CLIPImageEncoder(model="skneg-tiny", precision="fp32", device=d).transform(X)
                      for d in ("cpu", "cuda"))  # fmt: skip
    np.testing.assert_allclose(of_gpu, of_cpu, atol=1e-3)  # convolutions are in TF32
    halved = CLIPImageEncoder(model="skneg-tiny", device="cuda").transform(X)
    assert (halved * of_cpu).sum(axis=1).min() > 0.995


@pytest.mark.parametrize("name", [name for name in DETECTORS if name not in NEED_MORE])
def test_detectors(name, scenes, strange_scenes):
    """Scores on both devices order images alike; a longer training drifts apart in its last bits."""
    X, y = scenes
    Z = np.concatenate([X, strange_scenes])
    cls = detector_class(name)
    settings = {**SETTINGS, **({"random_state": 0} if "random_state" in cls().get_params() else {})}
    of_cpu, of_gpu = (cls(**settings, device=d).fit(X, y).score_samples(Z) for d in ("cpu", "cuda"))
    assert np.corrcoef(of_cpu, of_gpu)[0, 1] > 0.99


@pytest.mark.parametrize("evidence", ["both", "text", "images"])
def test_default_predicts_alike_and_moves_to_the_cpu(evidence, scenes, strange_scenes, tmp_path):
    Z = np.concatenate([scenes[0], strange_scenes])
    detector = NegPromptDetector(**SETTINGS, random_state=0, evidence=evidence, device="cuda").fit(*scenes)
    on_cpu = NegPromptDetector(**SETTINGS, random_state=0, evidence=evidence, device="cpu").fit(*scenes)
    assert (detector.predict(Z) == on_cpu.predict(Z)).mean() > 0.97
    detector.save(tmp_path / "gpu.skneg")
    moved = skneg.load(tmp_path / "gpu.skneg", device="cpu")
    np.testing.assert_allclose(moved.score_samples(Z), detector.score_samples(Z), atol=0.02)


def test_a_batch_that_does_not_fit_is_halved(scenes):
    """The card's memory is short for one batch of 120 images, and enough for a part of it."""
    encoder = CLIPImageEncoder(model="skneg-tiny", precision="fp32", device="cuda", batch_size=120)
    expected = encoder.transform(scenes[0])
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2**23) / total)
    try:
        np.testing.assert_allclose(
            encoder.transform(scenes[0]), expected, atol=1e-3
        )  # convolutions are in TF32
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_a_stream_gives_the_answers_of_predict(scenes, strange_scenes):
    """One row at a time or all at once: rounding of another batch size is all that differs."""
    Z = np.concatenate([scenes[0], strange_scenes])
    detector = NegPromptDetector(**SETTINGS, random_state=0, device="cuda").fit(*scenes)
    tables = list(detector.predict_stream(Z, 7))
    np.testing.assert_allclose(
        np.concatenate([table.score for table in tables]), detector.score_samples(Z), atol=1e-2
    )


def test_steps_that_draw_classes(scenes, strange_scenes):
    """Which classes a step draws does not depend on the device."""
    Z = np.concatenate([scenes[0], strange_scenes])
    recipe = PromptRecipe(classes_per_step=2, positive_steps=10, negative_steps=10)
    of_cpu, of_gpu = (
        NegPromptDetector(**SETTINGS, recipe=recipe, random_state=0, evidence="text", device=d)
        .fit(*scenes).score_samples(Z) for d in ("cpu", "cuda")
    )  # fmt: skip
    assert np.corrcoef(of_cpu, of_gpu)[0, 1] > 0.99


def test_words_and_new_names(scenes):
    """What a text tower embeds by length is what it embeds on the CPU."""
    texts = ["star", "a photo of a very small lightning bolt on a dark background", "key"] * 40
    of_cpu, of_gpu = (
        load_backbone("skneg-tiny", device=d, precision="fp32").text_tower.encode(texts)
        for d in ("cpu", "cuda")
    )
    np.testing.assert_allclose(of_gpu, of_cpu, atol=1e-3)

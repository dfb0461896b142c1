"""What scores of embeddings cost, beside the bare matrix products on the same numbers.

    OMP_NUM_THREADS=1 python benchmarks/scoring.py [--rows 20000]

Random embeddings of 512 numbers, and random texts; a text tower of one layer for `NegPromptDetector`, whose
scores cost the same with any tower. Memory is what a call allocates at most, beside X.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import open_clip
from _measure import best, peak, row, show
from safetensors.torch import save_file

from skneg import (
    KNNDetector,
    LinearProbeDetector,
    MahalanobisDetector,
    MCMDetector,
    NegLabelDetector,
    NegPromptDetector,
    PromptRecipe,
    TextBank,
    Words,
)
from skneg.evidence import ImageEvidence

D, NEGATIVES = 512, 7_506


def unit(rng: np.random.Generator, n: int) -> np.ndarray:
    """Random rows (n, D) of length 1, float32."""
    rows = rng.standard_normal((n, D), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@contextmanager
def small_model() -> Iterator[str]:
    """A CLIP model of random weights with one layer a tower, and embeddings of D numbers."""
    text = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1}
    vision = {"layers": 1, "width": 64, "head_width": 64, "patch_size": 32, "image_size": 64}
    config = {"embed_dim": D, "vision_cfg": vision, "text_cfg": text}
    with TemporaryDirectory() as folder:
        network = open_clip.CLIP(**config)
        save_file(network.state_dict(), Path(folder, "open_clip_model.safetensors"))
        Path(folder, "open_clip_config.json").write_text(
            json.dumps({"model_cfg": config, "preprocess_cfg": {"size": 64}})
        )
        yield f"local-dir:{folder}"


def compare(
    work: str, detector: Any, Z: np.ndarray, anchor: str, product: Callable[[], Any], repeats: int
) -> None:
    calls = {name: getattr(detector, name) for name in ("score_samples", "predict")}
    seconds = {name: best(lambda call=call: call(Z), repeats) for name, call in calls.items()}
    row(
        work, seconds["score_samples"], anchor, best(product, repeats),
        predict_s=round(seconds["predict"], 3), x_mib=round(Z.nbytes / 2**20),
        **{f"{name}_mib": round(peak(lambda call=call: call(Z))) for name, call in calls.items()},
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--classes", type=int, default=1_000)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # random rows are far from those of fit, and names say nothing of them
    rng, n, k = np.random.default_rng(0), args.rows, args.classes
    Z, texts, negatives = unit(rng, n), unit(rng, k), unit(rng, NEGATIVES)
    names = [f"class {number}" for number in range(k)]
    every = np.concatenate([texts, negatives])
    compare(
        f"scores: {k} classes, {NEGATIVES} negatives",
        NegLabelDetector(
            text_bank=TextBank(texts, negatives), class_names=names, n_groups=1, random_state=0,
            words=Words(fraction=1.0, max_cosine=1.01),
        ).fit(Z[:500]),
        Z, "float32 product", lambda: Z @ every.T, args.repeats,
    )  # fmt: skip
    compare(
        f"scores: MCM, {k} classes",
        MCMDetector(text_bank=texts, class_names=names).fit(Z[:500]),
        Z, "float32 product", lambda: Z @ texts.T, args.repeats,
    )  # fmt: skip
    y = np.arange(4 * 100) % 100
    X = texts[:100][y] + 0.5 * unit(rng, len(y))
    X = X / np.linalg.norm(X, axis=1, keepdims=True)
    square = unit(rng, D).astype(np.float64)
    whitened = texts[:100].astype(np.float64)
    compare(
        "scores: Mahalanobis, 100 classes", MahalanobisDetector(random_state=0).fit(X, y), Z,
        "whitened product, float64", lambda: (Z.astype(np.float64) @ square) @ whitened.T, args.repeats,
    )  # fmt: skip
    evidence, blocks = ImageEvidence.of(X, y), np.split(Z, range(4096, n, 4096))
    row(
        "evidence of images, 100 classes", best(lambda: [evidence(block) for block in blocks]),
        "whitened product, float64", best(lambda: (Z.astype(np.float64) @ square) @ whitened.T),
    )  # fmt: skip
    compare(
        "scores: KNN, 400 images", KNNDetector(random_state=0).fit(X, y), Z,
        "float32 product", lambda: Z @ X.T, args.repeats,
    )  # fmt: skip
    compare(
        "scores: linear probe, 100 classes", LinearProbeDetector(random_state=0).fit(X, y), Z,
        "float32 product", lambda: Z @ texts[:100].T, args.repeats,
    )  # fmt: skip
    with small_model() as model:
        recipe = PromptRecipe(positive_steps=1, negative_steps=1)
        fitted = NegPromptDetector(model=model, recipe=recipe, words=Words(max_cosine=1.01), random_state=0)
        fitted.fit(X, [f"class {number}" for number in y])
        bank = fitted.text_bank_
        every = np.concatenate([bank.positive, bank.negative, bank.common])
        n_words = len(bank.common)
        compare(
            f"scores: NegPrompt, words and images, 100 classes, {n_words} words", fitted, Z,
            "float32 product with the texts, whitened product",
            lambda: (Z @ every.T, (Z.astype(np.float64) @ square) @ whitened.T), args.repeats,
        )  # fmt: skip
        seconds = best(lambda: [fitted.predict(Z[i : i + 1]) for i in range(200)], args.repeats) / 200
        show(work=f"one embedding: predict, 100 classes, {n_words} words", ours_ms=round(1000 * seconds, 2))


if __name__ == "__main__":
    main()

"""What training prompts for many classes costs in time and memory.

    OMP_NUM_THREADS=1 python benchmarks/training.py [--device cuda]
    OMP_NUM_THREADS=1 python benchmarks/training.py --fit [--device cuda]

A text tower of ViT-B-16's size with random weights (speed does not depend on them). Without `--fit`: one
step of the negative stage, complementary loss and words included, with 256 classes drawn and with all, of
1,000 and of 10,000. text_encoding.py has the same encoding beside the full-length pass.
With `--fit`: the whole fit of `NegPromptDetector` on 1,000 classes of 16 embeddings near their names, with
cross-fitting and the complementary loss; the word list is embedded before, and counted apart.

Seconds of a step are those of the processor, of a fit those of the clock as well. Each figure has a process
of its own, whose peak memory it is, with the libraries and the tower in it (on a GPU: clock seconds, and what
torch has allocated there).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from typing import Any
from unittest import mock

import numpy as np
import torch
from _measure import clock, now, peak_gib, row, show
from text_encoding import build_backbone, build_tower, class_names

from skneg import NegPromptDetector, SknegWarning, Words
from skneg._utils import unit_rows
from skneg.backbone import Backbone, _loading
from skneg.prompts import PromptEncoder, PromptRecipe
from skneg.prompts.objective import Objective
from skneg.prompts.training import batches_of_classes
from skneg.words import embed_names

MODEL, WORDS = "ViT-B-16", 5500
TEMPLATE = "a photo of a {}"
SAID = {"all": "all of them", "drawn": "256 drawn"}


def step(way: str, k: int, n_ctx: int, device: str) -> dict[str, Any]:
    """Seconds and memory of one step for k classes: all, or some drawn."""
    tower, rng = build_tower(MODEL, device), np.random.default_rng(0)
    recipe = PromptRecipe(complementary_weight=1.0, classes_per_step=256 if way == "drawn" else None)
    names, y = class_names(k), np.arange(4 * k) % k
    anchors, words, images = (
        unit_rows(rng.standard_normal((n, tower.embed_dim), dtype=np.float32)) for n in (k, WORDS, len(y))
    )
    generator = torch.Generator().manual_seed(0)
    objective = Objective(tower, recipe, images, y, anchors, words, generator)
    encoder = PromptEncoder(tower, n_ctx, names)
    negative = (0.02 * torch.randn(recipe.n_negative, n_ctx, tower.width, generator=generator)).to(device)
    negative.requires_grad_()
    positives = torch.from_numpy(anchors).to(device)
    rows = torch.randperm(len(y), generator=generator)[: recipe.train_batch_size].to(device)
    drawn = None
    if recipe.classes_per_step is not None and k > recipe.classes_per_step:
        size = recipe.train_batch_size
        drawn, rows = next(
            batches_of_classes(objective.labels, k, recipe.classes_per_step, size, 1, generator)
        )

    def once() -> None:
        negatives = encoder(negative, normalize=True, rows=drawn)
        beside = positives if drawn is None else positives[drawn]
        terms = objective.of_negatives(beside, negatives, objective.images[rows], rows, drawn)
        torch.stack(list(terms.values())).sum().backward()

    quick = way == "drawn"
    seconds = []
    for _ in range(3 if quick else 1):
        start = clock(device)
        once()
        seconds.append(clock(device) - start)
    return {"step_s": round(min(seconds), 3), "peak_gib": peak_gib(device)}


def own_process(arguments: list[str]) -> dict[str, Any]:
    """What this script prints with other arguments."""
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def near_names(backbone: Backbone, names: list[str], shots: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit embeddings at a cosine of about 0.7 to the text of their class, and their classes."""
    texts = embed_names(backbone.text_tower, names, [TEMPLATE], shared_prefix=True)
    # A random tower puts all texts into one corner: without their mean they are as far apart as real ones.
    texts = unit_rows(texts - texts.mean(axis=0))
    y = np.repeat(np.arange(len(names)), shots)
    noise = np.random.default_rng(0).standard_normal((len(y), texts.shape[1]), dtype=np.float32)
    return unit_rows(texts[y] + unit_rows(noise)), y


def fit(k: int, shots: int, recipe: PromptRecipe, device: str) -> None:
    # Two classes of ImageNet have one name.
    backbone, names = build_backbone(MODEL, device), list(dict.fromkeys(class_names(k + 10)))[:k]
    X, y = near_names(backbone, names, shots)
    # Detectors find it where they look for a model that has been loaded already.
    key = (MODEL, _loading.DEFAULT_PRETRAINED[MODEL], device, torch.float32)
    with mock.patch.dict(_loading._loaded, {key: backbone}):
        start = now(device)
        words = Words(max_cosine=1.01)  # to a random tower all words are alike
        listed, _ = words.embed(backbone, [TEMPLATE])
        show(work=f"{len(listed)} words embedded", ours_s=round(now(device) - start, 1))
        detector = NegPromptDetector(
            model=MODEL, device=device, recipe=recipe, words=words, class_names=names, random_state=0
        )
        start, used = now(device), time.process_time()
        detector.fit(X, y)
        seconds, used = now(device) - start, time.process_time() - used
    show(
        work=f"fit of NegPromptDetector, {k:,} classes of {shots} embeddings", ours_s=round(seconds, 1),
        processor_s=round(used, 1), peak_gib=peak_gib(device),
        threads=torch.get_num_threads(), device=device, classes_per_step=recipe.classes_per_step,
        complementary_weight=recipe.complementary_weight,
        training_accuracy=round(float((detector.predict_proba(X).argmax(axis=1) == y).mean()), 3),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--n-ctx", type=int, default=16, help="context vectors of a single step")
    parser.add_argument("--classes", type=int, help="of one step by --way, or of --fit (1,000)")
    parser.add_argument("--way", choices=SAID, help="print one step alone")
    parser.add_argument("--fit", action="store_true", help="the whole fit")
    parser.add_argument("--shots", type=int, default=16, help="embeddings a class, for --fit")
    parser.add_argument("--steps", type=int, default=50, help="steps of each stage, for --fit")
    parser.add_argument("--per-step", type=int, default=256, help="classes a step, for --fit; 0 for all")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore", SknegWarning)
    if args.way:
        show(**step(args.way, args.classes or 1000, args.n_ctx, args.device))
        return
    if args.fit:
        recipe = PromptRecipe(
            complementary_weight=1.0, positive_steps=args.steps, negative_steps=args.steps,
            classes_per_step=args.per_step or None,
        )  # fmt: skip
        # The words of this random tower are nobody else's.
        with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, {"SKNEG_CACHE": folder}):
            fit(args.classes or 1000, args.shots, recipe, args.device)
        return
    common = ["--device", args.device, "--n-ctx", str(args.n_ctx), "--threads", str(args.threads)]
    for k in (1000, 10_000):
        every, drawn = (own_process([*common, "--way", way, "--classes", str(k)]) for way in SAID)
        row(
            f"training step, {k:,} classes, {SAID['drawn']}", drawn["step_s"], SAID["all"], every["step_s"],
            ours_gib=drawn["peak_gib"], anchor_gib=every["peak_gib"], n_ctx=args.n_ctx, device=args.device,
        )  # fmt: skip


if __name__ == "__main__":
    main()

"""Words as negatives: embedding the list once, reading it again, mining it, each beside a plain program.

    OMP_NUM_THREADS=1 python benchmarks/words.py [--words 5506] [--candidates 7506 70000] [--device cuda]

Processor seconds; with a GPU those of the wall, and of the embedding alone. The text tower is ViT-B-16's with
random weights, on which speed does not depend; mining is measured on random unit rows of 512 numbers, a tenth
of them near another.
"""

from __future__ import annotations

import argparse
import os
from tempfile import TemporaryDirectory

import numpy as np
import torch
from _measure import best, row, show
from text_encoding import build_backbone, class_names, trimmed_by_hand

from skneg import CSPDetector, TextBank, Words
from skneg.backbone import Backbone
from skneg.datasets import load_words
from skneg.words import _slot, embed_words

TEMPLATE = "a photo of a {}"
SHARE, QUANTILE = 0.15, 0.95  # the published choice of NegLabel and CSP


def embedding(n_words: int, device: str) -> None:
    backbone, words = build_backbone("ViT-B-16", device), tuple(load_words("nouns")[:n_words])
    texts = [TEMPLATE.format(word) for word in words]
    embed_words(backbone, words[:8], (TEMPLATE,))  # what only the first call costs
    first = best(lambda: embed_words(backbone, words, (TEMPLATE,)), 1, device)
    by_hand = best(lambda: trimmed_by_hand(backbone.text_tower, texts), 1, device)

    def again() -> None:
        _slot.cache_clear()  # as in another process
        embed_words(Backbone(backbone.name, backbone.image_tower, backbone.text_tower), words, (TEMPLATE,))

    row(f"{n_words} words, the first time", first, "one pass, trimmed to the longest", by_hand)
    row(f"{n_words} words, kept on the disk", best(again, device=device), "the first time", first)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def half_of_all_products(rows: np.ndarray, step: int = 256) -> None:
    """What no greedy choice can do without where it keeps nearly all: each row with those before it."""
    for start in range(0, len(rows), step):
        rows[start : start + step] @ rows[:start].T


def mining(n: int, k: int, d: int, repeats: int) -> None:
    rng = np.random.default_rng(0)
    candidates = unit(rng.standard_normal((n, d), dtype=np.float32))
    near = rng.choice(n, n // 10, replace=False)
    noise = rng.standard_normal((len(near), d), dtype=np.float32)
    candidates[near] = unit(candidates[rng.integers(n, size=len(near))] + 0.1 * unit(noise))
    positive, names = unit(rng.standard_normal((k, d), dtype=np.float32)), class_names(k)
    words = [f"word {number}" for number in range(n)]
    settings = Words(fraction=SHARE, max_cosine=1.01)
    detector = CSPDetector(text_bank=TextBank(positive, candidates))
    size = f"{n} x {k} x {d}"
    plain = best(lambda: np.partition(candidates @ positive.T, int(QUANTILE * (k - 1)), axis=1), repeats)
    neglabel = best(lambda: settings.choose(words, candidates, positive, names), repeats)
    row(f"mining for NegLabel, {size}", neglabel, "product and partition", plain)
    products = best(lambda: half_of_all_products(candidates), repeats)
    csp = best(lambda: detector._prepare({"group_seed_": 0}, names), repeats)
    show(size=size, product_and_partition_s=round(plain, 3), each_with_those_before_s=round(products, 3))
    row(f"mining for CSP, {size}", csp, "product, partition, each with those before", plain + products)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--words", type=int, default=5506)
    parser.add_argument("--candidates", type=int, nargs="*", default=[7506, 70_000])
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        os.environ["SKNEG_CACHE"] = folder
        embedding(args.words, args.device)
    for n in args.candidates if args.device == "cpu" else ():  # mining is numpy's
        mining(n, args.classes, args.width, args.repeats)


if __name__ == "__main__":
    main()

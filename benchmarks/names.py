"""Class names through the text tower: single ones, a list, and a new vocabulary, each beside a plain program.

    OMP_NUM_THREADS=1 python benchmarks/names.py [--classes 100 --new 10] [--device cuda]

Processor seconds (those of the wall on a GPU), on a text tower of ViT-B-16's size with random weights.
"""

from __future__ import annotations

import argparse
import copy
import warnings
from unittest import mock

import numpy as np
import torch
from _measure import best, row, show
from text_encoding import build_backbone, class_names, trimmed_by_hand

from skneg import NegPromptDetector
from skneg.backbone import TextTower, _loading
from skneg.prompts import PromptRecipe, encoding


def encode(tower: TextTower, n: int, repeats: int, device: str) -> None:
    texts = [f"a photo of a {name}" for name in class_names(n)]
    ours, by_hand = (
        best(lambda f=f: f(texts), repeats, device)
        for f in (tower.encode, lambda t: trimmed_by_hand(tower, t))
    )
    difference = np.abs(tower.encode(texts) - trimmed_by_hand(tower, texts)).max()
    what = f"encode {n} names in one call" if n > 1 else "encode one name"
    row(what, ours, "one pass, trimmed to the longest", by_hand, max_difference=float(difference))


def set_vocabulary(tower: TextTower, n_known: int, n_new: int, repeats: int, device: str) -> None:
    names = class_names(n_known + n_new)
    known, new = names[:n_known], names[n_known:]
    rng = np.random.default_rng(0)
    X = rng.standard_normal((4 * n_known, tower.embed_dim), dtype=np.float32)
    recipe = PromptRecipe(positive_steps=0, negative_steps=1)
    detector = NegPromptDetector(
        model="ViT-B-16",
        recipe=recipe,
        words=None,
        evidence="text",
        calibration="train",
        random_state=0,
        device=device,
    ).fit(X, np.arange(len(X)) % n_known, class_names=known)
    texts: list[str] = []
    plain = encoding.encode_prompts

    def watch(tower: TextTower, contexts: torch.Tensor, names: list[str], **options: bool) -> torch.Tensor:
        texts.extend(names)
        return plain(tower, contexts, names, **options)

    with mock.patch.object(encoding, "encode_prompts", watch):
        copy.copy(detector).set_vocabulary(names)
    ours = best(lambda: copy.copy(detector).set_vocabulary(names), repeats, device)
    contexts = [detector.positive_context_[None], detector.negative_context_]

    def by_hand() -> None:
        encoding.embed_behind(tower, "a photo of a", new)
        for learned in contexts:
            encoding.embed_contexts(tower, learned, new)

    show(
        names=len(names), new=n_new, texts_encoded=len(texts), of_new_names=sum(name in new for name in texts)
    )
    row(
        f"set_vocabulary of {len(names)} names, {n_new} of them new", ours,
        "the new names behind each context", best(by_hand, repeats, device),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--new", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # random rows and their labels agree by chance
    backbone = build_backbone("ViT-B-16", args.device)
    for n in (1, 10, args.classes):
        encode(backbone.text_tower, n, args.repeats, args.device)
    # Detectors find it where they look for a model that has been loaded already.
    precision = _loading._resolve_precision("auto", torch.device(args.device))
    key = ("ViT-B-16", _loading.DEFAULT_PRETRAINED["ViT-B-16"], args.device, precision)
    with mock.patch.dict(_loading._loaded, {key: backbone}):
        set_vocabulary(backbone.text_tower, args.classes, args.new, args.repeats, args.device)


if __name__ == "__main__":
    main()

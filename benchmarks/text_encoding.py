"""Shared-prefix prompt encoding against the full 77-token pass, both in one run.

    python benchmarks/text_encoding.py [--classes 1000] [--device cuda] ...

A text tower of ViT-B-16's size with random weights (speed does not depend on them), ImageNet's class
names, p negative contexts, forward and backward. Prints seconds, their ratio and the largest differences.
Seconds are those of the processor, with a GPU those of the wall. training.py has steps and whole fits.
"""

from __future__ import annotations

import argparse

import numpy as np
import open_clip
import torch
from _measure import clock, show
from torch.nn import functional

from skneg.backbone import Backbone, TextTower
from skneg.prompts import PromptEncoder


def build_tower(name: str, device: str) -> TextTower:
    torch.manual_seed(0)
    config = open_clip.get_model_config(name)
    # The image tower plays no part here.
    config["vision_cfg"] = {"layers": 1, "width": 64, "head_width": 32, "patch_size": 32, "image_size": 64}
    network = open_clip.CLIP(**config).eval().requires_grad_(False).to(device)
    return TextTower(network, open_clip.SimpleTokenizer(), torch.device(device), torch.float32)


def build_backbone(name: str, device: str) -> Backbone:
    """The same tower as a backbone, whose image tower is of no use."""
    tower = build_tower(name, device)
    tower._network.visual.preprocess_cfg = {}
    return Backbone(name, None, tower)


def trimmed_by_hand(tower: TextTower, texts: list[str], batch: int = 256) -> np.ndarray:
    """Unit-norm embeddings by a plain pass over the tokens up to the longest text's last."""
    network, tokens = tower._network, open_clip.tokenize(texts).to(tower.device)
    ends = tokens.argmax(dim=1)
    n, rows = int(ends.max()) + 1, []
    with torch.inference_mode():
        for ids, end in zip(tokens[:, :n].split(batch), ends.split(batch), strict=True):
            x = network.token_embedding(ids) + network.positional_embedding[:n]
            x = network.transformer(x, attn_mask=network.attn_mask[:n, :n])
            rows.append(network.ln_final(x)[torch.arange(len(x)), end] @ network.text_projection)
    return functional.normalize(torch.cat(rows), dim=-1).cpu().numpy()


def class_names(k: int) -> list[str]:
    """ImageNet's names, then pairs of them: 21,841 names of realistic length."""
    names = list(open_clip.IMAGENET_CLASSNAMES)
    return (names + [f"{a} {b}" for a in names[:30] for b in names])[:k]


def timed(
    encoder: PromptEncoder, contexts: torch.Tensor, repeats: int, device: str
) -> tuple[float, torch.Tensor, torch.Tensor]:
    """Best seconds of forward and backward, with the features and the gradient."""
    best = float("inf")
    for _ in range(repeats):
        leaf = contexts.clone().requires_grad_()
        start = clock(device)
        features = encoder(leaf)
        features.square().sum().backward()
        best = min(best, clock(device) - start)
    return best, features.detach(), leaf.grad


def compare(args: argparse.Namespace, tower: TextTower, contexts: torch.Tensor) -> dict[str, float]:
    names = class_names(args.classes)
    shared = PromptEncoder(tower, args.n_ctx, names)
    full = PromptEncoder(tower, args.n_ctx, names, method="full_length", max_tokens=10**9)
    timed(shared, contexts, 1, args.device)  # warm up
    fast, features, gradient = timed(shared, contexts, args.repeats, args.device)
    slow, expected, expected_gradient = timed(full, contexts, 1, args.device)
    return {
        "shared_prefix_s": round(fast, 3),
        "full_length_s": round(slow, 2),
        "speedup": round(slow / fast, 1),
        "max_feature_difference": float((features - expected).abs().max()),
        "relative_gradient_difference": float(
            (gradient - expected_gradient).norm() / expected_gradient.norm()
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="ViT-B-16")
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--n-ctx", type=int, default=16)
    parser.add_argument("--n-negative", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    tower = build_tower(args.model, args.device)
    noise = torch.randn(args.n_negative, args.n_ctx, tower.width, generator=torch.Generator().manual_seed(0))
    contexts = (0.02 * noise).to(args.device)
    show(**compare(args, tower, contexts))


if __name__ == "__main__":
    main()

"""Shared-prefix prompt encoding against the full 77-token pass, both in one run.

    python benchmarks/text_encoding.py [--classes 1000 --step-only] [--device cuda] ...

A text tower of ViT-B-16's size with random weights (speed does not depend on them), ImageNet's class
names, p negative contexts, forward and backward. Prints seconds, their ratio, the largest differences,
the peak memory of one training step, and with `--training` the seconds of the whole default recipe. Seconds
are those of the processor, with a GPU those of the wall.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from functools import partial

import numpy as np
import open_clip
import torch
from _measure import clock, peak_gib, show
from torch.nn import functional

from skneg.backbone import Backbone, TextTower
from skneg.prompts import PromptEncoder, PromptRecipe
from skneg.prompts.losses import nis, nnd, npd
from skneg.prompts.training import train_prompts

IMAGES = 256  # embeddings per training step


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


def now() -> float:
    """Seconds, once a GPU has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


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


def training_step(args: argparse.Namespace, tower: TextTower, contexts: torch.Tensor) -> dict[str, float]:
    """One step of the negative stage on `IMAGES` embeddings, as `train_prompts` does it."""
    names = class_names(args.classes)
    encoder = PromptEncoder(tower, args.n_ctx, names)
    images = functional.normalize(torch.randn(IMAGES, tower.embed_dim), dim=-1).to(tower.device)
    with torch.no_grad():
        positives = encoder(contexts[:1], normalize=True)[0]
    negative = contexts.clone().requires_grad_()
    start = clock(args.device)
    negatives = encoder(negative, normalize=True)
    logits = images @ negatives.flatten(0, 1).T / 0.01
    loss = nis(logits) + 0.1 * npd(negatives, positives) + 0.05 * nnd(negatives)
    loss.backward()
    seconds = clock(args.device) - start
    return {"classes": args.classes, "step_s": round(seconds, 3), "peak_gib": peak_gib(args.device)}


def training(args: argparse.Namespace, tower: TextTower) -> dict[str, float]:
    """The default recipe, both stages, on 4 images a class and 5,000 words."""
    names, rng = class_names(args.classes), torch.Generator().manual_seed(0)
    unit = partial(functional.normalize, dim=-1)
    images = unit(torch.randn(4 * args.classes, tower.embed_dim, generator=rng)).numpy()
    anchors, words = (
        unit(torch.randn(n, tower.embed_dim, generator=rng)).numpy() for n in (args.classes, 5000)
    )
    targets = np.repeat(np.arange(args.classes), 4)
    start, used = now(), time.process_time()
    train_prompts(tower, names, images, targets, PromptRecipe(), anchors=anchors, words=words)
    # Those of the processor say more where a machine does other work besides.
    used = time.process_time() - used
    return {"classes": args.classes, "training_s": round(now() - start, 1), "processor_s": round(used, 1)}


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
    parser.add_argument("--step-only", action="store_true", help="time and weigh one training step")
    parser.add_argument("--training", action="store_true", help="time the whole training")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    tower = build_tower(args.model, args.device)
    noise = torch.randn(args.n_negative, args.n_ctx, tower.width, generator=torch.Generator().manual_seed(0))
    contexts = (0.02 * noise).to(args.device)
    if args.training:
        show(**training(args, tower))
        return
    if args.step_only:
        show(**training_step(args, tower, contexts))
        return
    show(**compare(args, tower, contexts))
    # A process of its own, whose peak memory is this step's.
    command = [sys.executable, __file__, "--step-only", "--classes", "1000"]
    command += ["--n-ctx", str(args.n_ctx), "--threads", str(args.threads), "--model", args.model]
    subprocess.run([*command, "--device", args.device], check=True)


if __name__ == "__main__":
    main()

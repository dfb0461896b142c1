"""Build ``skneg-tiny``, the CLIP model that ships with the package: ``python -m skneg.datasets.train_tiny``.

An open_clip model (a small ResNet beside a small causal text transformer) is trained from scratch on
`make_scenes` alone. On 2 CPU cores this takes about half an hour. The result is an ordinary open_clip
model folder (config, fp16 safetensors) with the sha256 of its weights beside it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from safetensors.torch import save_file
from torch import nn
from tqdm.auto import tqdm

from ..backbone._tiny import TINY_FOLDER, WEIGHTS_NAME
from ._scenes import SHAPE_NAMES, Scene, draw_caption, render_scenes, true_captions

logger = logging.getLogger(__name__)

MODEL_CFG: dict[str, Any] = {
    "embed_dim": 128,
    "vision_cfg": {"layers": [1, 1, 1, 1], "width": 16, "image_size": 64},
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 3},
}
PREPROCESS_CFG: dict[str, Any] = {
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
    "interpolation": "bilinear",
}
_VALIDATION_SEED = 2**20  # far from the seeds that users, tests and examples count up from 0


def contrastive_loss(
    image: torch.Tensor, text: torch.Tensor, scale: torch.Tensor, true: torch.Tensor
) -> torch.Tensor:
    """CLIP's symmetric cross-entropy where several captions may be true of one image.

    Parameters
    ----------
    image : Tensor of shape (n, d)
        Unit-norm image embeddings.
    text : Tensor of shape (m, d)
        Unit-norm embeddings of the batch's distinct captions.
    scale : Tensor, scalar
        Factor on the cosines.
    true : Tensor of shape (n, m), bool
        Which captions are true of which images; the target mass is spread evenly over them.
    """
    logits = scale * image @ text.T
    target = true.float()
    by_image = -(target / target.sum(1, keepdim=True) * logits.log_softmax(1)).sum(1).mean()
    by_text = -(target / target.sum(0, keepdim=True) * logits.log_softmax(0)).sum(0).mean()
    return (by_image + by_text) / 2


def _distinct(captions: list[str], scenes: list[Scene]) -> tuple[list[str], torch.Tensor]:
    texts = sorted(set(captions))
    position = {text: j for j, text in enumerate(texts)}
    true = torch.zeros(len(scenes), len(texts), dtype=torch.bool)
    for i, scene in enumerate(scenes):
        for text in true_captions(scene):
            if text in position:
                true[i, position[text]] = True
    return texts, true


def _to_tensor(images: np.ndarray) -> torch.Tensor:
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(PREPROCESS_CFG[k]).view(1, 3, 1, 1) for k in ("mean", "std"))
    return ((x - mean) / std).contiguous(memory_format=torch.channels_last)


def _parameter_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    # Decay would shrink the token embeddings of words that the captions never use.
    decayed = [p for name, p in model.named_parameters() if p.ndim >= 2 and "embedding" not in name]
    ids = {id(p) for p in decayed}
    rest = [p for p in model.parameters() if id(p) not in ids]
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]


@torch.no_grad()
def zero_shot_accuracy(model: Any, tokenizer: Any, n_samples: int = 3800) -> float:
    """Top-1 accuracy over all shape names, in [0, 1], on held-out renders."""
    model.eval()
    images, scenes, _ = render_scenes(n_samples, random_state=_VALIDATION_SEED)
    names = [f"a photo of a {name}" for name in SHAPE_NAMES]
    text = model.encode_text(tokenizer(names), normalize=True)
    predicted = torch.cat(
        [model.encode_image(batch, normalize=True) @ text.T for batch in _to_tensor(images).split(256)]
    ).argmax(1)
    truth = torch.tensor([SHAPE_NAMES.index(scene.shape) for scene in scenes])
    return float((predicted == truth).float().mean())


def train(
    n_images: int = 80_000,
    n_epochs: int = 12,
    batch_size: int = 256,
    max_lr: float = 2e-3,
    seed: int = 0,
) -> tuple[nn.Module, float]:
    """Train the model; returns it with its zero-shot accuracy on held-out renders."""
    torch.manual_seed(seed)
    model: Any = open_clip.CLIP(**MODEL_CFG).to(memory_format=torch.channels_last)
    context_length = MODEL_CFG["text_cfg"]["context_length"]
    tokenizer = open_clip.SimpleTokenizer(context_length=context_length)
    logger.info("rendering %d scenes", n_images)
    images, scenes, _ = render_scenes(n_images, random_state=seed)
    steps = n_images // batch_size
    optimizer = torch.optim.AdamW(_parameter_groups(model, weight_decay=0.05))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=max_lr, total_steps=steps * n_epochs, pct_start=0.1
    )
    rng = np.random.default_rng(seed)
    accuracy = 0.0
    for epoch in range(n_epochs):
        model.train()
        order = rng.permutation(n_images)[: steps * batch_size].reshape(steps, batch_size)
        progress = tqdm(order, desc=f"epoch {epoch + 1}/{n_epochs}", leave=False)
        for rows in progress:
            batch = images[rows]
            if rng.random() < 0.5:
                batch = batch[:, :, ::-1].copy()
            # A caption is drawn anew each time an image is seen.
            drawn = [scenes[i] for i in rows]
            captions = [draw_caption(scene, rng) for scene in drawn]
            texts, true = _distinct(captions, drawn)
            image = model.encode_image(_to_tensor(batch), normalize=True)
            text = model.encode_text(tokenizer(texts), normalize=True)
            loss = contrastive_loss(image, text, model.logit_scale.exp(), true)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                model.logit_scale.clamp_(max=np.log(100))  # as CLIP does
            progress.set_postfix(loss=f"{loss.item():.3f}")
        accuracy = zero_shot_accuracy(model, tokenizer)
        logger.info("epoch %d: loss %.3f, zero-shot accuracy %.4f", epoch + 1, loss.item(), accuracy)
    return model.eval(), accuracy


def save(model: nn.Module, folder: Path) -> str:
    """Write the open_clip folder; returns the sha256 of the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in model.state_dict().items()
    }
    save_file(weights, folder / WEIGHTS_NAME)
    config = {"model_cfg": MODEL_CFG, "preprocess_cfg": PREPROCESS_CFG}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=1) + "\n")
    digest = hashlib.sha256((folder / WEIGHTS_NAME).read_bytes()).hexdigest()
    (folder / "SHA256SUMS").write_text(f"{digest}  {WEIGHTS_NAME}\n")
    return digest


def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=TINY_FOLDER, help="folder to write")
    parser.add_argument("--images", type=int, default=80_000)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    model, accuracy = train(args.images, args.epochs, seed=args.seed)
    digest = save(model, args.out)
    logger.info("wrote %s: zero-shot accuracy %.4f, sha256 %s", args.out, accuracy, digest)


if __name__ == "__main__":
    main()

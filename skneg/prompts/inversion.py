"""Images turned into texts: for each, the pseudo-word that a prompt must hold to lie near it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from ..backbone import TextTower
from .encoding import PromptEncoder, context_from_text


def invert_images(
    text_tower: TextTower,
    images: np.ndarray,
    words: Sequence[str],
    away_from: np.ndarray,
    *,
    template: str = "a photo of a",
    steps: int = 30,
    learning_rate: float = 0.02,
    weight_decay: float = 0.01,
    away_weight: float = 0.3,
) -> np.ndarray:
    """Text embeddings near some images, by one learned token each behind a hand-written text [1]_.

    The loss of an image x with the text embedding g is
    ``1 - cos(x, g) + away_weight * mean_c(1 + cos(g, v_c))``, with v_c the rows of `away_from`: near the
    image, and not near the known classes. All images are trained at once by AdamW, on the engine of
    `skneg.prompts.encode_prompts`.

    Parameters
    ----------
    text_tower : TextTower
    images : ndarray of shape (n, d)
        Unit-norm image embeddings.
    words : sequence of str
        A word for each image; its token vectors' mean is where the learned token starts.
    away_from : ndarray of shape (c, d)
        Unit-norm embeddings, such as the mean images of the known classes; no rows leave the term out.
    template : str, default="a photo of a"
        Text in front of the learned token; a full stop stands behind it.
    steps, learning_rate, weight_decay, away_weight
        Of the training.

    Returns
    -------
    ndarray of shape (n, d), float32
        Unit-norm text embeddings.

    References
    ----------
    .. [1] "TINS: test-time inversion for negative semantics", arXiv 2605.10756, 2026; InterNeg, CVPR 2026.

    Examples
    --------
    >>> import numpy as np
    >>> from skneg.backbone import load_backbone
    >>> from skneg.prompts import invert_images
    >>> tower = load_backbone("skneg-tiny").text_tower
    >>> x = np.eye(2, tower.embed_dim, dtype=np.float32)
    >>> invert_images(tower, x, ["star", "fish"], x[:0], steps=2).shape
    (2, 128)
    """
    with torch.inference_mode(False), torch.enable_grad():  # whatever the caller has switched off
        return _invert(
            text_tower, images, words, away_from, template, steps, learning_rate, weight_decay, away_weight
        )


def _invert(
    text_tower: TextTower,
    images: np.ndarray,
    words: Sequence[str],
    away_from: np.ndarray,
    template: str,
    steps: int,
    learning_rate: float,
    weight_decay: float,
    away_weight: float,
) -> np.ndarray:
    device = text_tower.device
    prefix = context_from_text(text_tower, template)
    starts = {word: context_from_text(text_tower, word).mean(dim=0) for word in dict.fromkeys(words)}
    token = torch.stack([starts[word] for word in words])[:, None].clone().requires_grad_()
    encoder = PromptEncoder(text_tower, len(prefix) + 1, ["."])
    target, away = (torch.from_numpy(np.ascontiguousarray(Z)).to(device) for Z in (images, away_from))
    optimizer = torch.optim.AdamW([token], lr=learning_rate, weight_decay=weight_decay)

    def embed() -> torch.Tensor:
        contexts = torch.cat([prefix.expand(len(token), -1, -1), token], dim=1)
        return encoder(contexts, normalize=True)[:, 0]

    for _ in range(steps):
        g = embed()
        loss = (1 - functional.cosine_similarity(target, g)).sum()  # a sum: images do not see each other
        if len(away):
            loss = loss + away_weight * (1 + g @ away.T).mean(dim=1).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.no_grad():
        return embed().cpu().numpy()

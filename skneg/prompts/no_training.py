"""Training of CLIPN's "no" text tower [1]_ on captioned images.

References
----------
.. [1] Wang et al., "CLIPN for Zero-Shot OOD Detection: Teaching CLIP to Say No", ICCV 2023.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import nn
from torch.nn import functional

from .._utils import check_at_least, check_between, unit_rows
from ..backbone import Backbone, TextTower, load_backbone
from ..backbone._no_tower import NoTower, check_output_path, copy_text_tower, save_no_tower
from ..errors import InputError, VocabularyError
from ..images import as_image_sequence, is_embeddings
from .training import minimise

NO_TEMPLATES: tuple[str, ...] = (
    "a photo without {}",
    "there is no {} in this picture",
    "not {}",
    "this is not {}",
    "an image that does not show {}",
    "no {} to be seen",
    "a picture of something other than {}",
    "{} is missing here",
    "a scene with no {}",
    "anything but {}",
)

_WEIGHT_DECAY = 0.05
_CHUNK = 4096  # captions tokenized at a time


def train_no_encoder(
    images: Any,
    captions: Sequence[str],
    *,
    model: str = "ViT-B-16",
    pretrained: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    no_templates: Sequence[str] = NO_TEMPLATES,
    n_epochs: int = 10,
    batch_size: int = 64,
    learning_rate: float = 3e-4,
    out: str | os.PathLike | None = None,
    random_state: Any = None,
    verbose: bool = False,
) -> NoTower:
    """Teach a copy of the text tower to say "no", on images of all kinds with their captions ([1]_).

    The image tower and the text tower stay as they are, so each image and caption is encoded once.

    Parameters
    ----------
    images : sequence of images, or array-like of shape (n, d) of floats
        As in `NegPromptDetector.fit`.
    captions : sequence of str
        One for each image. They should speak of far more than the classes to be told apart later.
    model, pretrained, device, precision
        The CLIP model; see `skneg.backbone.load_backbone`.
    no_templates : sequence of str
        Turn a caption into its opposite; one is drawn for each caption at each step.
    n_epochs : int, default=10
        Passes over the pairs.
    batch_size : int, default=64
        Pairs per step; the other captions of a batch are what an image does not show.
    learning_rate : float, default=0.0003
        Of AdamW.
    out : str or path, optional
        A ``.safetensors`` file to save the tower in; what `CLIPNDetector` takes as ``no_encoder``.
    random_state : int, RandomState or None, default=None
        Decides batches and templates.
    verbose : bool, default=False
        Whether to show progress bars.

    Returns
    -------
    NoTower
        Its ``history`` has the terms of the loss at each step.

    Raises
    ------
    InputError
        If there are not as many captions as images, a caption is not a text that fits the tower, or a
        parameter is not usable.
    ImageError
        If an image cannot be read.
    BackboneError
        If the model cannot be had, or its text tower is not built like CLIP's own.
    SknegError
        If the loss stops being finite.

    Examples
    --------
    >>> from skneg.datasets import make_scenes
    >>> from skneg.prompts.no_training import train_no_encoder
    >>> X, _, captions = make_scenes(32, return_captions=True, random_state=0)
    >>> tower = train_no_encoder(X, captions, model="skneg-tiny", n_epochs=1, random_state=0)
    >>> tower.encode(["a photo without a star"]).shape
    (1, 128)
    """
    check_at_least("n_epochs", n_epochs, 1, Integral)
    check_at_least("batch_size", batch_size, 2, Integral)
    check_between("learning_rate", learning_rate, 0, np.inf)
    templates = _check_templates(no_templates)
    texts = _check_captions(
        captions, len(images) if is_embeddings(images) else len(as_image_sequence(images))
    )
    target = None if out is None else check_output_path(out, "out")
    seed = int(check_random_state(random_state).randint(np.iinfo(np.int32).max))

    backbone = load_backbone(model, pretrained, device, precision)
    tower = copy_text_tower(backbone.text_tower)
    _check_lengths(tower, texts, templates)
    embeddings = _embed(images, backbone, batch_size, verbose)
    tower.history = _minimise(
        tower,
        backbone.text_tower,
        torch.from_numpy(embeddings).to(tower.device),
        texts,
        templates,
        n_epochs=n_epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        generator=torch.Generator().manual_seed(seed),
        verbose=verbose,
    )
    if target is not None:
        save_no_tower(tower, target)
    return tower


def no_losses(
    image: torch.Tensor,
    text: torch.Tensor,
    no_text: torch.Tensor,
    matching: torch.Tensor,
    temperature: float,
) -> dict[str, torch.Tensor]:
    """The three terms of CLIPN's loss.

    Parameters
    ----------
    image, text, no_text : Tensor of shape (n, d)
        Unit-norm embeddings of images, their captions and their "no" captions.
    matching : Tensor of shape (n, n), bool
        Whether caption j is true of image i.
    temperature : float
        What cosines are divided by.

    Returns
    -------
    dict of str to Tensor, scalar
        ``"yes"``: matching pairs shall say yes; ``"no"``: the others no (together the binary
        opposite loss); ``"tso"``: a caption and its "no" shall lie far apart (text-semantic opposite).
    """
    # p_yes = sigmoid(lead); -log p_yes = softplus(-lead), -log(1 - p_yes) = softplus(lead).
    lead = (image @ text.T - image @ no_text.T) / temperature
    cosines = (text * no_text).sum(dim=1)
    return {
        "yes": functional.softplus(-lead[matching]).mean(),
        # A batch of one caption alone has no pair that does not match.
        "no": functional.softplus(lead[~matching]).sum() / (~matching).sum().clamp(min=1),
        # The small constant keeps the gradient finite where both are equal.
        "tso": (2 - (2 - 2 * cosines + 1e-4).sqrt()).mean(),
    }


def _minimise(
    tower: NoTower,
    yes_tower: TextTower,
    images: torch.Tensor,
    captions: list[str],
    templates: list[str],
    *,
    n_epochs: int,
    batch_size: int,
    learning_rate: float,
    generator: torch.Generator,
    verbose: bool,
) -> dict[str, np.ndarray]:
    """AdamW on all weights of `tower`; returns every term at every step."""
    distinct = {caption: number for number, caption in enumerate(dict.fromkeys(captions))}
    ids = torch.tensor([distinct[caption] for caption in captions])
    encoded = [yes_tower.encode(list(chunk)) for chunk in _chunks(list(distinct))]
    texts = torch.from_numpy(np.concatenate(encoded)).to(tower.device)

    tower.module.requires_grad_(True)
    optimizer = torch.optim.AdamW(_parameter_groups(tower.module), lr=learning_rate)
    steps = n_epochs * -(-len(captions) // batch_size)
    batches = _batches(len(captions), batch_size, n_epochs, generator)

    def terms(rows: torch.Tensor, _: torch.Tensor) -> dict[str, torch.Tensor]:
        drawn = torch.randint(len(templates), (len(rows),), generator=generator).tolist()
        no_captions = [templates[t].format(captions[i]) for t, i in zip(drawn, rows.tolist(), strict=True)]
        no_text = functional.normalize(tower.encode_tokens(tower.tokenize(no_captions)).float(), dim=-1)
        here = ids[rows]
        matching = (here[:, None] == here[None, :]).to(tower.device)
        return no_losses(
            images[rows.to(tower.device)],
            texts[here.to(tower.device)],
            no_text,
            matching,
            yes_tower.temperature,
        )

    history = minimise(terms, optimizer, ((rows, rows) for rows in batches), steps, "no", verbose)
    tower.module.requires_grad_(False)
    for parameter in tower.module.parameters():
        parameter.grad = None
    return {name.removeprefix("no/"): values for name, values in history.items()}


def _batches(n: int, batch_size: int, n_epochs: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    for _ in range(n_epochs):
        yield from torch.randperm(n, generator=generator).split(batch_size)


def _parameter_groups(module: nn.Module) -> list[dict[str, Any]]:
    # Decay would shrink the embeddings of words that the captions never use.
    named = [(name, p) for name, p in module.named_parameters() if not name.startswith("logit_")]
    decayed = [p for name, p in named if p.ndim >= 2 and "embedding" not in name]
    rest = [p for name, p in named if p.ndim < 2 or "embedding" in name]
    return [{"params": decayed, "weight_decay": _WEIGHT_DECAY}, {"params": rest, "weight_decay": 0.0}]


def _embed(images: Any, backbone: Backbone, batch_size: int, verbose: bool) -> np.ndarray:
    """Unit-norm float32 embeddings (n, d) of images or of embeddings."""
    if not is_embeddings(images):
        return backbone.image_tower.encode(as_image_sequence(images), batch_size, verbose)
    if hasattr(images, "detach"):
        images = images.detach().cpu().float().numpy()
    embeddings = np.asarray(images, dtype=np.float32)
    width = backbone.text_tower.embed_dim
    if embeddings.shape[1] != width:
        raise InputError(
            f"images has {embeddings.shape[1]} columns, but model={backbone.name!r} embeds in {width} "
            "dimensions."
        )
    return unit_rows(embeddings, "images")


def _check_captions(captions: Any, n_images: int) -> list[str]:
    if isinstance(captions, str) or not hasattr(captions, "__len__"):
        raise InputError(f"captions must be a sequence of strings, got {captions!r}.")
    texts = list(captions)
    if len(texts) != n_images:
        raise InputError(f"each image needs its caption: {n_images} images, {len(texts)} captions.")
    if not texts:
        raise InputError("images and captions are empty.")
    for row, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"captions[{row}] is {text!r}, expected a text.")
    return [str(text) for text in texts]


def _check_templates(templates: Any) -> list[str]:
    listed = [templates] if isinstance(templates, str) else list(templates)
    if not listed:
        raise InputError("no_templates is empty; give at least one, such as 'a photo without {}'.")
    for template in listed:
        if not isinstance(template, str) or template.count("{}") != 1:
            raise InputError(f"no_templates holds {template!r}; each must be a string with one '{{}}'.")
    return listed


def _check_lengths(tower: TextTower, captions: list[str], templates: list[str]) -> None:
    """Refuse a caption that is too long before training rather than amid it."""
    padding = tower.tokenize(["", *(template.format("") for template in templates)])
    lengths = (padding[1:] != padding[0, -1]).sum(dim=1)
    longest = templates[int(lengths.argmax())]
    try:
        for chunk in _chunks(list(dict.fromkeys(captions))):
            tower.tokenize([longest.format(caption) for caption in chunk], chunk)
    except VocabularyError as error:
        raise InputError(f"a caption is too long with the template {longest!r}: {error}") from error


def _chunks(items: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]

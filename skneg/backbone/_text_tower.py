"""Texts to embeddings, and what prompt learning needs to know of a text tower."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from open_clip.transformer import ResidualAttentionBlock
from torch import nn
from torch.nn import functional

from .._forks import cached_property
from ..errors import BackboneError, VocabularyError
from ._splitting import encode_splitting

_CHUNK = 256  # texts per forward pass
_FREE = 24  # tokens of padding that cost about what one more pass does: each reads all weights once


class _VectorReplacement:
    """A hook on the token embedding, idle but in a thread that is inside `TextTower.replaced_vectors`.

    All threads of a process share one tower, and only one of them wants its tokens replaced.
    """

    def __init__(self) -> None:
        self.local = threading.local()

    def __call__(self, module: nn.Module, inputs: tuple, output: torch.Tensor) -> torch.Tensor:
        current = getattr(self.local, "current", None)
        if current is None:
            return output
        vectors, start = current
        middle = vectors.to(output.dtype).expand(len(output), *vectors.shape[-2:])
        return torch.cat([output[:, :start], middle, output[:, start + vectors.shape[-2] :]], dim=1)

    def __deepcopy__(self, memo: dict) -> _VectorReplacement:
        return _VectorReplacement()


class NoTextTower:
    """In the place of the text tower of a model that has none: whatever is asked of it is an error."""

    def __init__(self, model: str) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # of Python's own tools, such as copy
            raise AttributeError(name)
        raise BackboneError(
            f"The model {self._model!r} sees images and reads no class names. Detectors that go by images do "
            "without: NegPromptDetector(evidence='images'), KNNDetector, MahalanobisDetector, "
            "LinearProbeDetector. Others need a CLIP model, such as 'ViT-B-16'."
        )


class TextTower:
    """The frozen text tower of a CLIP model.

    Attributes
    ----------
    context_length : int
        Number of tokens the tower sees, the start and end tokens included.
    causal : bool
        Whether a token's state depends on earlier tokens alone and the end-of-text token is pooled, in
        blocks of the standard kind. Then prompts can share the states of a common prefix exactly.
    """

    def __init__(
        self,
        network: Any,
        tokenizer: Any,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self._network = network
        self._tokenizer = tokenizer
        self.device = device
        self._dtype = dtype
        # CustomTextCLIP and CoCa keep the tower in `.text`, CLIP is its own text tower.
        self.module: Any = getattr(network, "text", network)
        self.context_length = int(tokenizer.context_length)
        self.causal = _is_causal(self.module)
        self._replacement = _VectorReplacement()
        self.token_embedding.register_forward_hook(self._replacement)

    @property
    def token_embedding(self) -> Any:
        """The module that turns token ids into vectors (width,)."""
        if hasattr(self.module, "token_embedding"):
            return self.module.token_embedding
        return self.module.transformer.get_input_embeddings()  # Hugging Face towers

    @property
    def width(self) -> int:
        """Length of a token vector, and so of a context vector."""
        return int(self.token_embedding.weight.shape[1])

    @cached_property
    def special_tokens(self) -> tuple[str, ...]:
        """What the tokenizer takes for the start or the end of a prompt, wherever it stands."""
        inner = getattr(self._tokenizer, "tokenizer", self._tokenizer)  # Hugging Face's is wrapped
        if hasattr(inner, "all_special_tokens"):
            return tuple(inner.all_special_tokens)
        return tuple(inner.decoder[i] for i in getattr(inner, "all_special_ids", ()))

    @cached_property
    def embed_dim(self) -> int:
        """Length of an embedding."""
        return self.encode(["a"]).shape[1]

    @property
    def temperature(self) -> float:
        """What cosines are divided by in training: 1 / exp(logit_scale)."""
        return float(torch.exp(-self._network.logit_scale.detach().float()).mean())

    def autocast(self) -> torch.autocast:
        """The context manager under which this tower computes."""
        return torch.autocast(self.device.type, self._dtype, enabled=self._dtype != torch.float32)

    def tokenize(self, texts: Sequence[str], names: Sequence[str] | None = None) -> torch.Tensor:
        """Token ids (n, context_length), with an error where the tokenizer would truncate.

        Underscores are read as blanks: "grand_piano" is two words.

        Parameters
        ----------
        texts : sequence of str
        names : sequence of str, optional
            What to call the texts in errors; the texts themselves by default.

        Raises
        ------
        VocabularyError
            If a text does not fit into the context length.
        """
        texts = [text.replace("_", " ") for text in texts]
        length = self.context_length
        # The tokenizer truncates without a word: a longer window shows whether there was more.
        window = self._tokenizer([*texts, ""], context_length=4 * length)
        padding = window[-1, -1]
        overlong = (window[:-1, length:] != padding).any(dim=1)
        if bool(overlong.any()):
            culprit = int(overlong.nonzero()[0, 0])
            named = (names or texts)[culprit]
            raise VocabularyError(
                f"class name {named!r} (number {culprit}) does not fit: with its context it has more than "
                f"the {length} tokens that the text tower takes."
            )
        return window[:-1, :length].to(self.device)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Unit-norm embeddings (n, d) float32 of full texts, in their order.

        A causal tower computes nothing behind the longest end of a batch, and texts of about one length
        make a batch, so that long texts do not make short ones slow. The result is that of open_clip's own
        pass up to the rounding of float32, in which the other texts of a call may make a difference.
        Batches are halved when the device runs out of memory.
        """
        tokens = self.tokenize(texts)
        with torch.inference_mode():
            if self.causal and len(tokens):
                lengths = self.pooled_positions(tokens) + 1
                order = lengths.argsort(stable=True)
                sizes = _batch_sizes(lengths[order].tolist())
                batches = zip(tokens[order].split(sizes), lengths[order].split(sizes), strict=True)
                features = _encoded(self._encode_trimmed, batches)[order.argsort()]
            else:
                features = _encoded(self.encode_tokens, ((chunk,) for chunk in tokens.split(_CHUNK)))
        return functional.normalize(features.float(), dim=-1).cpu().numpy()

    def _encode_trimmed(self, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """What `encode_tokens` gives, without the tokens behind the last that is pooled."""
        module, longest = self.module, int(lengths[-1])
        with self.autocast():
            x = module.token_embedding(tokens[:, :longest]) + module.positional_embedding[:longest]
            x = module.transformer(x, attn_mask=module.attn_mask[:longest, :longest])
            return self.project(x[torch.arange(len(x)), lengths - 1])

    def project(self, states: torch.Tensor) -> torch.Tensor:
        """Embeddings (..., d) of the last block's states (..., width) of pooled tokens; causal towers."""
        x, projection = self.module.ln_final(states), self.module.text_projection
        if projection is None:
            return x
        return projection(x) if isinstance(projection, nn.Module) else x @ projection

    def encode_tokens(self, tokens: torch.Tensor) -> torch.Tensor:
        """Embeddings (n, d), not normalised, of full-length token ids (n, context_length)."""
        with self.autocast():
            if hasattr(self._network, "_encode_text"):  # CoCa, which normalises by default
                return self._network.encode_text(tokens, normalize=False)
            return self._network.encode_text(tokens)

    @contextmanager
    def replaced_vectors(self, vectors: torch.Tensor, start: int) -> Iterator[None]:
        """Within this context, tokens from position `start` on enter the tower as `vectors`.

        Parameters
        ----------
        vectors : Tensor of shape (n_ctx, width) or (n, n_ctx, width)
        start : int
            Position of the first replaced token.
        """
        try:
            self._replacement.local.current = (vectors, start)
            yield
        finally:
            self._replacement.local.current = None

    def pooled_positions(self, tokens: torch.Tensor) -> torch.Tensor:
        """Where the pooled (end-of-text) token of each row stands; only for causal towers."""
        if _pool_type(self.module) == "argmax":
            return tokens.argmax(dim=1)
        return (tokens == _eos_id(self.module)).int().argmax(dim=1)


def _encoded(
    forward: Callable[..., torch.Tensor], batches: Iterable[tuple[torch.Tensor, ...]]
) -> torch.Tensor:
    size, pieces = _CHUNK, []
    for batch in batches:
        encoded, size = encode_splitting(forward, batch, size, "text")
        pieces += encoded
    return torch.cat(pieces)


def _batch_sizes(lengths: list[int]) -> list[int]:
    """How many texts, sorted by length, go into each batch: a new one begins where padding costs more."""
    sizes = [0]
    for before, length in zip([lengths[0], *lengths[:-1]], lengths, strict=True):
        if sizes[-1] == _CHUNK or sizes[-1] * (length - before) > _FREE:
            sizes.append(0)
        sizes[-1] += 1
    return sizes


def _pool_type(module: Any) -> str | None:
    return getattr(module, "text_pool_type", None) or getattr(module, "pool_type", None)


def _eos_id(module: Any) -> int:
    return module.text_eos_id if hasattr(module, "text_eos_id") else module.eos_id


def _is_causal(module: Any) -> bool:
    """Decide by looking at the tower: its mask, its pooling, its blocks."""
    mask = getattr(module, "attn_mask", None)
    if mask is None or getattr(module, "cls_emb", None) is not None:
        return False
    if not torch.equal(mask, torch.full_like(mask, float("-inf")).triu_(1)):
        return False
    if _pool_type(module) not in ("argmax", "eos"):
        return False
    return all(
        type(block) is ResidualAttentionBlock
        and type(block.attn) is nn.MultiheadAttention
        and block.attn.in_proj_weight is not None
        and block.attn.bias_k is None
        and not hasattr(block, "ln_1_kv")
        for block in module.transformer.resblocks
    )

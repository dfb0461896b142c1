"""Learnable contexts through a frozen text tower: exact, fast, in memory that names do not fill.

A causal text tower gives the states of [start, context] whatever class name follows, and pools the
end-of-text token. So the prefix is computed once per context, its keys and values are shared by all
names, and nothing behind the end-of-text token is computed at all. Towers of any other kind take the
plain, full-length pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from ..backbone import TextTower
from ..errors import InputError, InputTypeError

# Tokens whose activations are alive at a time: 0.3 GiB for 512, with the text tower of ViT-B/16. One chunk is
# computed once, several are computed twice: 100 names then cost 24 times less than full prompts, else 15
# times less (benchmarks/text_encoding.py).
_AT_ONCE, _CHUNK = 1024, 512

_PLACEHOLDER = "x"


def encode_prompts(
    text_tower: TextTower,
    contexts: torch.Tensor,
    class_names: Sequence[str],
    *,
    normalize: bool = False,
    method: str = "auto",
    max_tokens: int | None = None,
) -> torch.Tensor:
    """Embed every class name behind every learned context.

    Differentiable with respect to `contexts`. Where the names do not fit into one chunk, the graph is
    not kept: each chunk is computed again on the way back (gradient caching), so that the memory in use
    does not grow with the number of names.

    Parameters
    ----------
    text_tower : TextTower
        From `skneg.backbone.load_backbone`.
    contexts : Tensor of shape (n_contexts, n_ctx, width) or (n_contexts, k, n_ctx, width)
        Context vectors, shared by all names or one set for each name.
    class_names : sequence of str
        k names, which stand at the end of the prompts.
    normalize : bool, default=False
        Whether to return unit-norm embeddings; open_clip's ``encode_text`` does not by default.
    method : {"auto", "shared_prefix", "full_length"}, default="auto"
        ``"auto"`` shares prefixes where the tower is causal.
    max_tokens : int, optional
        Size of a chunk, in tokens. By default up to 1024 are one chunk, and more are chunks of 512.

    Returns
    -------
    Tensor of shape (n_contexts, k, d), float32

    Raises
    ------
    VocabularyError
        If a prompt is longer than the tower's context length; names the class.
    InputError
        If the contexts do not fit the tower, or `method` does not.

    Examples
    --------
    >>> import torch
    >>> from skneg.backbone import load_backbone
    >>> from skneg.prompts import encode_prompts
    >>> tower = load_backbone("skneg-tiny").text_tower
    >>> contexts = torch.zeros(2, 4, tower.width)
    >>> encode_prompts(tower, contexts, ["star", "lightning bolt", "heart"]).shape
    torch.Size([2, 3, 128])
    """
    if not isinstance(contexts, torch.Tensor) or not contexts.is_floating_point():
        raise InputTypeError(f"contexts must be a float tensor, got {type(contexts).__name__}.")
    if contexts.ndim not in (3, 4) or contexts.shape[-1] != text_tower.width:
        raise InputError(
            f"contexts has shape {tuple(contexts.shape)}; expected (n_contexts, n_ctx, {text_tower.width}) "
            f"or (n_contexts, {len(class_names)}, n_ctx, {text_tower.width})."
        )
    encoder = PromptEncoder(text_tower, contexts.shape[-2], class_names, method=method, max_tokens=max_tokens)
    return encoder(contexts, normalize=normalize)


class PromptEncoder:
    """`encode_prompts` for one vocabulary, tokenized once and called at every training step.

    Parameters
    ----------
    text_tower : TextTower
    n_ctx : int
        Number of context vectors in front of a name.
    class_names : sequence of str
    method, max_tokens
        See `encode_prompts`.
    """

    def __init__(
        self,
        text_tower: TextTower,
        n_ctx: int,
        class_names: Sequence[str],
        *,
        method: str = "auto",
        max_tokens: int | None = None,
    ) -> None:
        if method not in ("auto", "shared_prefix", "full_length"):
            raise InputError(f"method must be 'auto', 'shared_prefix' or 'full_length', got {method!r}.")
        if method == "shared_prefix" and not text_tower.causal:
            raise InputError("method='shared_prefix' needs a causal text tower, which this one is not.")
        self._tower = text_tower
        self._n_ctx = n_ctx
        self._shares = text_tower.causal and method != "full_length"
        self._max_tokens = max_tokens
        self._prompts = _tokenize(text_tower, n_ctx, class_names)

    def __call__(
        self, contexts: torch.Tensor, normalize: bool = False, rows: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Embeddings of the names behind `contexts`.

        Parameters
        ----------
        contexts : Tensor of shape (n_contexts, n_ctx, width) or (n_contexts, k, n_ctx, width)
        normalize : bool, default=False
            Whether to return unit-norm embeddings.
        rows : Tensor of shape (m,), int, optional
            Which of the k names to encode, in this order; all by default.

        Returns
        -------
        Tensor of shape (n_contexts, m, d), float32

        Raises
        ------
        InputError
            If contexts of single names are not those of all k.
        """
        contexts, prompts = contexts.float(), self._prompts
        if contexts.ndim == 4 and contexts.shape[1] != len(prompts):
            raise InputError(f"contexts holds sets for {contexts.shape[1]} names, there are {len(prompts)}.")
        if rows is not None:
            contexts, prompts = _of_names(contexts, rows), prompts.take(rows)
        encode, chunks = partial(self._encode, prompts), self._chunks(contexts, prompts)
        features = (
            encode(_of_names(contexts, chunks[0]), chunks[0])
            if len(chunks) == 1
            else _GradientCached.apply(contexts, encode, chunks)
        )
        # Chunks go by length; give the names back in the order they came.
        features = features[:, torch.cat(chunks).argsort()]
        return functional.normalize(features, dim=-1) if normalize else features

    def _chunks(self, contexts: torch.Tensor, prompts: _Prompts) -> list[torch.Tensor]:
        """Rows of the prompts, by length, in groups of so many tokens."""
        cost = prompts.lengths if self._shares else prompts.full_lengths
        if self._shares and contexts.ndim == 4:
            cost = cost + prompts.start + self._n_ctx
        order = prompts.lengths.argsort(stable=True)
        total = (cost[order] * len(contexts)).cumsum(0)
        size = self._max_tokens or (_AT_ONCE if total[-1] <= _AT_ONCE else _CHUNK)
        groups = (total - 1) // size
        return list(order.split(torch.unique_consecutive(groups, return_counts=True)[1].tolist()))

    def _encode(self, prompts: _Prompts, contexts: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Embeddings of some prompts; contexts of single names are those of these alone."""
        with self._tower.autocast():
            forward = _shared_prefix if self._shares else _full_length
            return forward(self._tower, contexts, prompts.take(rows)).float()


def _of_names(contexts: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Contexts of some names: shared ones are those of all."""
    return contexts[:, rows] if contexts.ndim == 4 else contexts


@dataclass(frozen=True)
class _Prompts:
    """Token ids (k, L) whose positions start .. start + n_ctx are placeholders for the context."""

    ids: torch.Tensor
    start: int
    n_ctx: int
    stops: torch.Tensor  # (k,) position behind the last token that matters

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: torch.Tensor) -> _Prompts:
        return _Prompts(self.ids[rows], self.start, self.n_ctx, self.stops[rows])

    @property
    def lengths(self) -> torch.Tensor:
        """Tokens behind the context: the name's and the end-of-text token."""
        return self.stops - self.start - self.n_ctx

    @property
    def full_lengths(self) -> torch.Tensor:
        return torch.full_like(self.stops, self.ids.shape[1])


def _tokenize(tower: TextTower, n_ctx: int, class_names: Sequence[str]) -> _Prompts:
    if isinstance(class_names, str):
        raise InputTypeError(f"class_names is one string, {class_names!r}; pass a sequence of names.")
    names = list(class_names)
    if not names:
        raise InputError("class_names is empty.")
    if n_ctx < 1:
        raise InputError(f"n_ctx must be at least 1, got {n_ctx}.")
    ids = tower.tokenize([f"{_PLACEHOLDER} " * n_ctx + name for name in names], names)
    # Most tokenizers put a start token in front of the placeholders, some do not.
    probe = tower.tokenize([f"{_PLACEHOLDER} {_PLACEHOLDER}"])[0]
    start = 0 if probe[0] == probe[1] else 1
    if not bool((ids[:, start : start + n_ctx] == probe[start]).all()):
        raise InputError(
            f"the tokenizer does not give one token for each of {n_ctx} placeholder words, so learned "
            "contexts cannot be put in their place."
        )
    stops = tower.pooled_positions(ids) + 1 if tower.causal else torch.full_like(ids[:, 0], ids.shape[1])
    return _Prompts(ids, start, n_ctx, stops)


def _shared_prefix(tower: TextTower, contexts: torch.Tensor, prompts: _Prompts) -> torch.Tensor:
    """Embeddings (c, k, d), computing [start, context] once and nothing behind the end of text.

    Names of different lengths are kept packed, one token after another, wherever tokens are
    independent of each other (all linear layers); only attention sees them padded.
    """
    module = tower.module
    n_contexts, k = len(contexts), len(prompts)
    n_prefix = prompts.start + prompts.n_ctx
    positions = module.positional_embedding
    longest = int(prompts.lengths.max())

    offsets = torch.arange(longest, device=contexts.device)
    real = offsets < prompts.lengths[:, None]  # (k, s): is there a token
    packed_of = (real.flatten().cumsum(0) - 1).clamp_(min=0).view(k, longest) * real  # (k, s) -> row
    padded_of = real.flatten().nonzero().squeeze(1)  # row -> (k, s) flattened
    ends = prompts.lengths.cumsum(0) - 1  # rows of the end-of-text tokens

    ids = prompts.ids[:, n_prefix : n_prefix + longest][real]
    suffix = (tower.token_embedding(ids) + positions[n_prefix + offsets].expand(k, -1, -1)[real])[None]
    own = contexts.flatten(0, -3)  # (contexts, or contexts x names, n_ctx, width)
    first = tower.token_embedding(prompts.ids[:1, : prompts.start]).expand(len(own), -1, -1)
    prefix = torch.cat([first, own], dim=1) + positions[:n_prefix]
    later = torch.ones(longest, longest, dtype=torch.bool, device=contexts.device).triu(1)

    blocks = list(module.transformer.resblocks)
    for number, block in enumerate(blocks):
        is_last = number == len(blocks) - 1
        q, k_prefix, v_prefix = _heads(block, prefix)  # (g, p, h, e)
        if not is_last:  # behind the last block nobody looks at the prefix
            mixed = functional.scaled_dot_product_attention(
                q.transpose(1, 2), k_prefix.transpose(1, 2), v_prefix.transpose(1, 2), is_causal=True
            )
            prefix = _finish_block(block, prefix, mixed.transpose(1, 2).flatten(2))
        # A shared context has one prefix for all names, a class-specific one has k of them.
        per_name = "ck" if contexts.ndim == 4 else "c"
        if contexts.ndim == 4:
            k_prefix, v_prefix = (t.unflatten(0, (n_contexts, k)) for t in (k_prefix, v_prefix))

        q, k_own, v_own = (t[:, packed_of] for t in _heads(block, suffix))  # (c, k, s, h, e)
        mask = later
        if is_last:  # only the end-of-text token is pooled
            last = (prompts.lengths - 1)[None, :, None, None, None].expand(len(q), -1, 1, *q.shape[3:])
            q, suffix = q.gather(2, last), suffix[:, ends]
            mask = (offsets > (prompts.lengths - 1)[:, None])[:, None, None, :]  # (k, 1, 1, t)
        q = q * q.shape[-1] ** -0.5
        to_prefix = torch.einsum(f"ckshe,{per_name}phe->ckhsp", q, k_prefix)
        to_own = torch.einsum("ckshe,ckthe->ckhst", q, k_own).masked_fill(mask, float("-inf"))
        to_own = to_own.expand(n_contexts, -1, -1, -1, -1)
        weights = torch.cat([to_prefix, to_own], dim=-1).softmax(-1)
        from_prefix = torch.einsum(f"ckhsp,{per_name}phe->ckshe", weights[..., :n_prefix], v_prefix)
        from_own = torch.einsum("ckhst,ckthe->ckshe", weights[..., n_prefix:], v_own)
        mixed = (from_prefix + from_own).flatten(3).flatten(1, 2)  # (c, k * s, width)
        suffix = _finish_block(block, suffix, mixed if is_last else mixed[:, padded_of])
    return tower.project(suffix)


def _heads(block: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, keys and values (n, tokens, heads, head width) of a residual attention block."""
    attention = block.attn
    qkv = functional.linear(block.ln_1(x), attention.in_proj_weight, attention.in_proj_bias)
    return qkv.unflatten(-1, (3, attention.num_heads, -1)).unbind(-3)


def _finish_block(block: Any, x: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
    """The rest of the block, once attention has mixed the values."""
    x = x + block.ls_1(block.attn.out_proj(mixed))
    return x + block.ls_2(block.mlp(block.ln_2(x)))


def _full_length(tower: TextTower, contexts: torch.Tensor, prompts: _Prompts) -> torch.Tensor:
    """Embeddings (c, k, d) by open_clip's own pass over all tokens; right for every tower."""
    rows = []
    for context in contexts:  # (n_ctx, width) or (k, n_ctx, width)
        with tower.replaced_vectors(context, prompts.start):
            rows.append(tower.encode_tokens(prompts.ids))
    return torch.stack(rows)


class _GradientCached(torch.autograd.Function):
    """Chunks encoded without a graph, and again with one on the way back."""

    @staticmethod
    def forward(ctx, contexts, encode, chunks):
        ctx.save_for_backward(contexts)
        ctx.encode, ctx.chunks = encode, chunks
        return torch.cat([encode(_of_names(contexts, rows), rows) for rows in chunks], dim=1)

    @staticmethod
    def backward(ctx, gradient):
        (contexts,) = ctx.saved_tensors
        total = torch.zeros_like(contexts)
        parts = gradient.split([len(rows) for rows in ctx.chunks], dim=1)
        for rows, part in zip(ctx.chunks, parts, strict=True):
            with torch.enable_grad():
                leaf = _of_names(contexts, rows).detach().requires_grad_()
                gradient_of_chunk = torch.autograd.grad(ctx.encode(leaf, rows), leaf, part)[0]
            if contexts.ndim == 4:  # each name is in one chunk
                total[:, rows] = gradient_of_chunk
            else:
                total += gradient_of_chunk
        return total, None, None


def context_from_text(text_tower: TextTower, text: str) -> torch.Tensor:
    """The token vectors (n_ctx, width) of a hand-written context such as "a photo of a"."""
    probe = text_tower.tokenize(["x", f"{text} x", "x x"])
    start = 0 if probe[2, 0] == probe[2, 1] else 1
    placeholder = probe[0, start]
    ends = (probe[1] == placeholder).nonzero().flatten()
    if not text.strip() or len(ends) == 0:
        raise InputError(f"context_init={text!r} gives no tokens.")
    ids = probe[1, start : int(ends[-1])]
    if len(ids) == 0:
        raise InputError(f"context_init={text!r} gives no tokens.")
    return text_tower.token_embedding(ids).detach().float()


def embed_contexts(text_tower: TextTower, contexts: np.ndarray, class_names: Sequence[str]) -> np.ndarray:
    """Unit-norm float32 embeddings (n_contexts, k, d), by `encode_prompts`, of names behind contexts."""
    with torch.no_grad():
        vectors = torch.from_numpy(np.ascontiguousarray(contexts)).to(text_tower.device)
        return encode_prompts(text_tower, vectors, class_names, normalize=True).cpu().numpy()


def embed_behind(text_tower: TextTower, text: str, class_names: Sequence[str]) -> np.ndarray:
    """Unit-norm float32 embeddings (k, d) of names behind a hand-written text, which is computed once."""
    vectors = context_from_text(text_tower, text).cpu().numpy()
    return embed_contexts(text_tower, vectors[None], class_names)[0]

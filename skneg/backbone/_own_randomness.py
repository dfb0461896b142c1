"""Networks are built without a draw from torch's generator, which belongs to the user's program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

# What initial weights are drawn by; all take a generator. These fill a tensor:
_FILL = {
    torch.nn.init.normal_,
    torch.nn.init.trunc_normal_,
    torch.nn.init.uniform_,
    torch.nn.init.kaiming_normal_,
    torch.nn.init.kaiming_uniform_,
    torch.nn.init.xavier_normal_,
    torch.nn.init.xavier_uniform_,
    torch.nn.init.orthogonal_,
    torch.Tensor.bernoulli_,
    torch.Tensor.normal_,
    torch.Tensor.uniform_,
}
_DRAW = _FILL | {
    torch.normal,
    torch.rand,
    torch.randint,
    torch.randn,
    torch.randperm,
}


class OwnRandomness(TorchFunctionMode):
    """Within this context, and in this thread, weights are drawn from a generator of its own.

    Each is then read from the checkpoint; open_clip draws it nevertheless.
    """

    def __init__(self) -> None:
        super().__init__()
        self._generator = torch.Generator().manual_seed(0)

    def __torch_function__(
        self, func: Callable, types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call `func`, with the own generator where it draws."""
        kwargs = kwargs or {}
        if func in _DRAW and kwargs.get("generator") is None:
            kwargs = {**kwargs, "generator": self._generator}
        return func(*args, **kwargs)


class NothingDrawn(TorchFunctionMode):
    """Within this context, and in this thread, a weight is not drawn but NaN until it is read.

    So one that a checkpoint lacks is seen, where a reader would leave it random.
    """

    def __torch_function__(
        self, func: Callable, types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call `func`, or fill its tensor with NaN where it would draw."""
        kwargs = kwargs or {}
        tensor = args[0] if args else kwargs.get("tensor")
        if func not in _FILL or not tensor.is_floating_point():
            return func(*args, **kwargs)
        with torch.no_grad():
            return tensor.fill_(torch.nan)

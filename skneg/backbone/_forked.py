"""A process that was forked off one in which models have worked.

A fork copies the memory of a process, but none of its threads: those with which torch computes are waited
for for ever. A GPU cannot be used on both sides of a fork.
"""

from __future__ import annotations

import torch

from .._forks import after_fork
from ..errors import BackboneError

_kinds: set[str] = set()  # of devices that models are on


def prepare_for_forks(device: torch.device) -> None:
    """Have torch work without other threads in each process that is forked off this one from now on.

    Parameters
    ----------
    device : torch.device
        Where a model is about to be put.
    """
    if not _kinds:
        after_fork(lambda: torch.set_num_threads(1))
    _kinds.add(device.type)


def refuse_gpu_after_fork(device: str) -> None:
    """Refuse a GPU that models of the process before the fork are on.

    Raises
    ------
    BackboneError
        Says how to start processes that can use it.
    """
    # torch has no public name for it. It is true without a GPU, too.
    is_forked = getattr(torch.cuda, "_is_in_bad_fork", bool)()
    if is_forked and "cuda" in _kinds and device.startswith(("auto", "cuda")):
        raise BackboneError(
            f"device={device!r} cannot be used: this process was forked off one that works on a GPU, which "
            "CUDA does not allow. Start processes by multiprocessing.get_context('spawn') or 'forkserver', "
            "or by joblib's loky (DataLoader: multiprocessing_context='spawn'); or load the detector after "
            "the fork, not before; or take device='cpu'."
        )

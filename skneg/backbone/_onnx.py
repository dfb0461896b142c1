"""The image tower as an ONNX graph."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from .._sklearn import one_at_a_time
from ._image_tower import ImageTower

_N_EXAMPLES = 3


class _Embeds(torch.nn.Module):
    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.network.encode_image(pixels)


def image_tower_graph(tower: ImageTower, opset: int) -> tuple[Any, np.ndarray, np.ndarray]:
    """The tower from ``pixels`` (n, 3, h, w) to ``embeddings`` (n, d), not yet of length 1.

    Parameters
    ----------
    tower : ImageTower
        On the CPU, in float32.
    opset : int
        Version of ONNX's operators.

    Returns
    -------
    onnx.ModelProto
    pixels : ndarray of shape (3, 3, h, w), float32
        Random ones, to check the graph with.
    embeddings : ndarray of shape (3, d), float32
        What the tower makes of them.
    """
    pixels = torch.randn((_N_EXAMPLES, 3, *tower.image_size), generator=torch.Generator().manual_seed(0))
    with _quiet_exporter():
        program = torch.onnx.export(
            _Embeds(tower._network).eval(),
            (pixels,),
            input_names=["pixels"],
            output_names=["embeddings"],
            dynamic_shapes={"pixels": {0: torch.export.Dim("n")}},
            opset_version=opset,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    for part in (*model.graph.node, *model.graph.value_info, model.graph):
        part.ClearField("metadata_props")  # traces of this machine's folders
    return model, pixels.numpy(), tower._forward(pixels, tower._network.encode_image)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep what torch's exporter says of its own work from the user."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with one_at_a_time(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

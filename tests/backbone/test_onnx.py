import logging

import numpy as np
import onnx
import onnxruntime
import pytest

from skneg.backbone import load_backbone
from skneg.backbone._onnx import image_tower_graph


@pytest.fixture(scope="module")
def tower():
    return load_backbone("skneg-tiny", device="cpu", precision="fp32").image_tower


@pytest.fixture(scope="module")
def graph(tower):
    return image_tower_graph(tower, 18)


def test_the_graph_embeds_as_the_tower_does(graph):
    model, pixels, embeddings = graph
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for n in (1, 2, 3):
        told = session.run(None, {"pixels": pixels[:n]})[0]
        told /= np.linalg.norm(told, axis=1, keepdims=True)
        np.testing.assert_allclose(told, embeddings[:n], atol=1e-5)


def test_it_is_valid_and_says_nothing_of_this_machine(graph):
    model, _, _ = graph
    onnx.checker.check_model(model, full_check=True)
    assert b"site-packages" not in model.SerializeToString()
    assert __file__.split("/tests/")[0].encode() not in model.SerializeToString()


def test_loggers_are_as_before(graph):
    assert logging.getLogger("onnxscript").level == logging.NOTSET

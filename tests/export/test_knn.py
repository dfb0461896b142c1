import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

from skneg import KNNDetector
from skneg._utils import unit_rows
from skneg.export._graph import Graph
from skneg.export._knn import trace_knn
from skneg.export._traced import Traced


@pytest.mark.parametrize("n_neighbors", [1, 3, 1000])
def test_the_graph_answers_as_scikit_learn(embedded, n_neighbors):
    Z, y = unit_rows(embedded[0]), embedded[1]
    detector = KNNDetector(n_neighbors=n_neighbors, random_state=0).fit(Z[:60], y[:60])
    state, graph = detector._fitted(), Graph()
    score, posterior = trace_knn(detector, state, Traced(graph, Z[:5], "Z"))
    graph.node("Identity", score.name, output="score")
    graph.node("Identity", posterior.name, output="posterior")
    outputs = {"score": score.value, "posterior": posterior.value}
    model = graph.model({"Z": (np.float32, Z.shape[1:])}, outputs)
    # Training images too: whether they are at a distance of 0 or of 1e-8 from themselves is rounding.
    told = ReferenceEvaluator(model).run(None, {"Z": Z})
    np.testing.assert_allclose(told[0], detector._score(state, Z), atol=1e-6)
    np.testing.assert_allclose(told[1], detector._posterior(state, Z), atol=1e-5)

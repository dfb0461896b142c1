"""A fitted detector as an ONNX file, with its labels and threshold beside it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._files import LARGEST_TEXT, check_target, read_bytes, write_bytes
from .._registry import DETECTORS, detector_class
from .._utils import scaled_rows
from ..errors import InputError, PersistenceError
from ._check import check
from ._graph import OPSET, Graph, onnx_package
from ._knn import trace_knn
from ._traced import Traced, UntraceableError, with_rows

_N_TRACED = 64  # images

# How the needs begin of what no graph of embeddings, or of pixels, can compute.
_MORE = ("local", "pixels", "the text tower")


def onnx(detector: Any, path: str | os.PathLike, *, images: bool = False) -> None:
    """Write a fitted detector as an ONNX file, to answer without skneg, scikit-learn and torch.

    The graph is what the detector's own score computes, recorded step by step, so it has the same float32
    products and float64 sums. It takes ``embeddings`` (n, d), float32, of any n, and
    scales the rows to length 1 as the library does. With ``images=True`` it takes ``pixels`` (n, 3, h, w),
    float32, preprocessed as the metadata say. It gives

    * ``score`` (n,), float64: as `score_samples`;
    * ``class_index`` (n,), int64: the likeliest class, a position in the metadata's ``labels``;
    * ``posterior`` (n, k), float64: as `predict_proba`;
    * ``is_unknown`` (n,), bool: ``score < threshold``. Of a detector with ``unknown_label=None`` only rows
      that are no embeddings, of NaN or of zeros, are unknown.

    The metadata are entries of the file, each value JSON, and one JSON file beside it, ``path`` and
    ``.json``: ``detector``, ``skneg_version``, ``model``, ``input``, ``threshold``, ``labels``,
    ``class_names``, ``unknown_label``, ``preprocessing`` (null for embeddings).

    Parameters
    ----------
    detector : fitted detector
        Any that takes embeddings. Those that look at patches or pixels, and `ScoreEnsemble`, are refused.
    path : str or path
        By convention ends in ``.onnx``.
    images : bool, default=False
        Whether the image tower is in the graph too, in float32: hundreds of MB for CLIP's. Needs onnxscript.

    Raises
    ------
    PersistenceError
        If the detector cannot be written as a graph; if the graph, run by onnxruntime where that is
        installed, answers otherwise than the detector; or if a file cannot be written. What the files held
        before is then still there.
    InputError, InputTypeError
        If `path` ends in ``.json`` or is no path; if the model of ``images=True`` has another width.
    MissingDependencyError
        If onnx is not installed: ``pip install 'skneg[onnx]'``.
    NotFittedError
        If the detector is not fitted.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import onnxruntime
    >>> from skneg import CLIPImageEncoder, MCMDetector, export
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(40, shapes=["star", "heart"], random_state=0)
    >>> Z = CLIPImageEncoder(model="skneg-tiny").transform(X)
    >>> detector = MCMDetector(model="skneg-tiny").fit(Z, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export.onnx(detector, Path(folder) / "shapes.onnx")
    ...     session = onnxruntime.InferenceSession(Path(folder) / "shapes.onnx")
    >>> bool(abs(session.run(["score"], {"embeddings": Z})[0] - detector.score_samples(Z)).max() < 1e-6)
    True
    """
    target = check_target(path)
    if target.suffix == ".json":
        raise InputError(f"path={str(target)!r} ends in .json, which the metadata do; take .onnx.")
    name = type(detector).__name__
    if not hasattr(detector, "_fitted"):
        raise _refusal(
            name,
            "it is not a detector on embeddings; of a Pipeline that only encodes, export the last step",
        )
    check_is_fitted(detector)
    state = detector._fitted()
    if detector.needs.startswith(_MORE) or not detector.__sklearn_tags__().input_tags.two_d_array:
        raise _refusal(name, f"it needs {detector.needs}, not embeddings alone")
    rows = _kept_embeddings(state)
    try:
        model = _head(detector, state, rows)
    except UntraceableError as error:
        raise _refusal(name, str(error)) from error
    both_ways = np.concatenate([rows, -rows])  # known images, and what is as far from them as can be
    check(detector, model, {"embeddings": both_ways}, both_ways)
    backbone = None
    if images:
        backbone = _backbone(detector, state)
        model = _with_tower(detector, model, backbone, rows.shape[1])
    facts = _facts(detector, state, backbone)
    props = {key: json.dumps(value) for key, value in facts.items()}
    onnx_package("onnx.helper").set_model_props(model, props)
    model.producer_name, model.producer_version = "skneg", facts["skneg_version"]
    _write(target, model.SerializeToString(), (json.dumps(facts, indent=1) + "\n").encode())


def _refusal(name: str, why: str) -> PersistenceError:
    classes = [detector_class(other) for other in DETECTORS]
    known = ", ".join(cls.__name__ for cls in classes if not cls.needs.startswith(_MORE))
    return PersistenceError(
        f"{name} cannot be exported to ONNX: {why}. Save it with detector.save(path), or export one of "
        f"{known}."
    )


def _kept_embeddings(state: Any) -> np.ndarray:
    """Some of the embeddings (n, d) that set the threshold, n > 1."""
    kept = np.asarray(state.calibrator.images, dtype=np.float32)[:_N_TRACED]
    return np.resize(kept, (max(2, len(kept)), kept.shape[1]))


def _head(detector: Any, state: Any, rows: np.ndarray) -> Any:
    """From embeddings to answers."""
    graph = Graph("skneg_")
    X = Traced(graph, rows, "embeddings").astype(np.float64)
    Z: Any = scaled_rows(X, np.abs(X).max(axis=-1, keepdims=True))  # type: ignore[arg-type]
    if isinstance(detector, detector_class("KNNDetector")):
        score, posterior = trace_knn(detector, state, Z)
    else:
        score, posterior = (with_rows(f(state, Z), Z) for f in (detector._score, detector._posterior))
    threshold = -np.inf if state.unknown_label is None else state.offset_
    answers = {
        "score": score,
        "class_index": posterior.argmax(axis=1),
        "posterior": posterior,
        "is_unknown": ~(score >= threshold),  # NaN is not known either
    }
    for name, answer in answers.items():
        graph.node("Identity", answer.name, output=name)
    shapes = {name: answer.value for name, answer in answers.items()}
    return graph.model({"embeddings": (np.float32, rows.shape[1:])}, shapes)


def _backbone(detector: Any, state: Any) -> Any:
    """The detector's model, in float32 on the CPU."""
    from ..backbone import load_backbone
    from ..persistence import check_backbone

    backbone = load_backbone(detector.model, detector.pretrained, "cpu", "fp32")
    if state.backbone is not None:
        check_backbone(backbone, state.backbone)
    return backbone


def _with_tower(detector: Any, head: Any, backbone: Any, width: int) -> Any:
    from ..backbone._onnx import image_tower_graph

    onnx_package("onnxscript")
    tower, pixels, embeddings = image_tower_graph(backbone.image_tower, OPSET)
    if embeddings.shape[1] != width:
        raise InputError(
            f"the detector knows embeddings of {width} columns, but model={detector.model!r} embeds in "
            f"{embeddings.shape[1]} dimensions: images=False takes embeddings."
        )
    tower.ir_version = head.ir_version
    model = onnx_package("onnx.compose").merge_models(tower, head, io_map=[("embeddings", "embeddings")])
    check(detector, model, {"pixels": pixels}, embeddings, tolerance=1e-3)
    return model


def _facts(detector: Any, state: Any, backbone: Any) -> dict[str, Any]:
    from .. import __version__

    known, unknown = state.backbone or {}, state.unknown_label
    return {
        "detector": type(detector).__name__,
        "skneg_version": __version__,
        "model": known.get("name") if backbone is None else backbone.name,
        "input": "embeddings" if backbone is None else "pixels",
        "threshold": float(state.offset_),
        "labels": state.classes_.tolist(),
        "class_names": list(state.class_names_),
        "unknown_label": unknown.item() if isinstance(unknown, np.generic) else unknown,
        "preprocessing": None if backbone is None else backbone.settings,
    }


def _write(target: Path, model: bytes, facts: bytes) -> None:
    """Both files, or none: where the second cannot be written the first is as it was."""
    beside = target.with_name(f"{target.name}.json")  # animals.v1 and animals.v2 have one each
    before = read_bytes(beside, LARGEST_TEXT) if beside.is_file() else None
    if before is not None and b'"skneg_version"' not in before:
        raise PersistenceError(f"{beside} is there, and is not skneg's: it would be lost. Move it away.")
    write_bytes(beside, facts)
    try:
        write_bytes(target, model)
    except BaseException:
        if before is None:
            beside.unlink()
        else:
            write_bytes(beside, before)
        raise

"""Running a protocol: every detector on every experiment and seed, each measured once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from numbers import Integral
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from tqdm.auto import tqdm

import skneg

from .._files import with_home, write_bytes
from .._utils import check_at_least, unheard
from ..cache import encoding_of
from ..datasets._image_classes import read_json
from ..encoder import CLIPImageEncoder
from ..errors import BackboneError, CalibrationWarning, ImageError, InputError, SknegError
from ..metrics import auroc, fpr_at_tpr
from ._data import check_data
from ._detectors import DetectorSpec, describe, find_detectors
from ._figures import draw_figures
from ._protocols import Experiment, Protocol, find_protocol
from ._report import make_report
from ._scenes import scenes_tasks
from ._sources import feature_model, feature_tasks, image_tasks, photo_tasks
from ._tasks import Images, Task

_PIXEL_CHUNK = 2048  # images of a detector that keeps all it is given in memory
_THRESHOLD_IMAGES = 200  # for detectors that learn nothing: their scores do not depend on them
# Parameters that a result does not depend on, or that stand in its row beside.
_NOT_THE_METHOD = {
    "model", "pretrained", "class_names", "device", "precision", "batch_size", "random_state", "verbose",
}  # fmt: skip

Configure = Callable[[str, str, dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class BenchmarkResult:
    """What a run has written.

    Attributes
    ----------
    rows : list of dict
        The lines of ``results.jsonl``.
    results, tables : Path
        The JSON Lines and the Markdown file.
    figures : list of Path
    """

    rows: list[dict[str, Any]]
    results: Path
    tables: Path
    figures: list[Path]


def run_benchmark(
    protocol: str,
    *,
    out: str | Path,
    data: str | Path | None = None,
    detectors: Sequence[str] | None = None,
    seeds: int = 3,
    shots: int | None = None,
    model: str | None = None,
    pretrained: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    batch_size: int = 64,
    cache: str | Path | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    only: Sequence[str] | None = None,
    backbones: Sequence[tuple[str, str | None]] | None = None,
    configure: Configure | None = None,
    figures: bool = True,
    command: str | None = None,
    verbose: bool = False,
) -> BenchmarkResult:
    """Run a protocol and write its tables; what is measured already is read back.

    Parameters
    ----------
    protocol : str
        Of ``skneg.benchmarks.PROTOCOLS``.
    out : path
        Folder for ``results.jsonl``, ``results.md``, the figures, and in ``cells`` what is measured.
    data : path, optional
        Folder of the images; docs/benchmarks.md says how it looks. `scenes` needs none.
    detectors : sequence of str, optional
        Names of detectors, or of recipes such as ``"NegPromptDetector.paper"``; by default all that the
        protocol is about.
    seeds : int, default=3
        Number of seeds, from 0 on. A detector whose scores do not depend on them runs once.
    shots : int, optional
        Training images per class; 16 by default, 4 for `real-features`.
    model, pretrained, device, precision, batch_size
        The CLIP model; see `skneg.backbone.load_backbone`. ViT-B-16 by default; `ablation` has `backbones`.
    cache : path, optional
        Folder for embeddings, which runs can share; ``out/cache`` by default.
    settings : mapping of str to mapping, optional
        Parameters by detector, ``"*"`` for all.
    only : sequence of str, optional
        Names of the experiments to run; all by default.
    backbones : sequence of (str, str or None), optional
        Models and their pretrained tags for `ablation`, the reference last.
    configure : callable, optional
        From a detector's label, the experiment's name and the parameters to those it is built with.
    figures : bool, default=True
        Whether to draw Figures 3 and 4 of the paper for NegPrompt; needs matplotlib.
    command : str, optional
        What to write into the tables as the command.
    verbose : bool, default=False
        Whether to show progress bars.

    Returns
    -------
    BenchmarkResult

    Raises
    ------
    InputError
        If data are missing (one message names all of them), a parameter is not usable, a class has too few
        images, or `out` cannot be written.
    ImageError
        If an image cannot be read.
    BackboneError
        If the model cannot be had.
    """
    check_at_least("seeds", seeds, 1, Integral)
    chosen = find_protocol(protocol, backbones).only(only)
    shots = chosen.shots if shots is None else shots
    check_at_least("shots", shots, 1, Integral)
    root = None if data is None else Path(with_home(data))
    specs = find_detectors(detectors, settings or {})
    if detectors is None:
        about = [e.detectors for e in chosen.experiments]
        specs = [s for s in specs if any(names is None or s.cls.__name__ in names for names in about)]
    if chosen.source != "scenes":
        check_data(chosen, root)
    folder = Path(with_home(out))
    encoding = {"device": device, "precision": precision, "batch_size": batch_size}
    own_model = {"model": _model_of(chosen, model, pretrained, root), "pretrained": pretrained}
    run = _Run(
        folder, shots, {**own_model, **encoding}, folder / "cache" if cache is None else cache, configure,
        figures, verbose,
    )  # fmt: skip
    tasks = run.tasks(chosen, root)
    plan = run.plan(tasks, specs, seeds)
    try:
        (folder / "cells").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"out={str(folder)!r} cannot be written: {error}") from error
    rows: list[dict[str, Any]] = []
    with unheard(CalibrationWarning), tqdm(plan, unit="fit", disable=not verbose) as bar:
        for task, spec, seed in bar:
            bar.set_description(f"{task.experiment.name}, {spec.label}, seed {seed}")
            rows += run.cell(task, spec, seed)
    results, tables = folder / "results.jsonl", folder / "results.md"
    write_bytes(results, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
    said = command or f"skneg.benchmarks.run_benchmark({protocol!r}, ...)"
    write_bytes(tables, make_report(chosen, rows, said).encode())
    return BenchmarkResult(rows, results, tables, sorted(folder.glob("*.png")))


def _model_of(protocol: Protocol, model: str | None, pretrained: str | None, root: Path | None) -> str | None:
    if protocol.model is None and not model is pretrained is None:
        raise InputError(
            f"{protocol.name} compares models and names each; leave model= and pretrained= out, give "
            "backbones=."
        )
    if protocol.source == "features" and root is not None:
        if model is not None:
            raise InputError("real-features has the model of its embeddings; leave model= out.")
        return feature_model(root)
    if protocol.source == "scenes" and model not in (None, "skneg-tiny"):
        raise InputError("the scenes protocol is that of the shipped model; leave model= out.")
    return model or protocol.model


@dataclass
class _Run:
    """What all cells of a run share."""

    out: Path
    shots: int
    model: dict[str, Any]  # model, pretrained, device, precision, batch_size
    cache: str | Path
    configure: Configure | None
    figures: bool
    verbose: bool

    def __post_init__(self) -> None:
        self._known: dict[tuple[str, Path], np.ndarray] = {}

    def tasks(self, protocol: Protocol, root: Path | None) -> list[Task]:
        """The experiments with their images; no file is decoded yet."""
        if protocol.source == "scenes" or root is None:
            return scenes_tasks(protocol, self.out, self._encoder(protocol.experiments[0]))
        sources = {"images": image_tasks, "features": feature_tasks, "photos": photo_tasks}
        return sources[protocol.source](protocol, root)

    def plan(
        self, tasks: list[Task], specs: list[DetectorSpec], seeds: int
    ) -> list[tuple[Task, DetectorSpec, int]]:
        """All cells; refuses what a user has set amiss before any of them runs."""
        cells = []
        for task in tasks:
            task.draw(self.shots, seed=0)
            limit = min(seeds, task.experiment.max_seeds or seeds)
            for spec in specs:
                detector = self._detector(task, spec, 0)
                if (spec.settings or self.configure) and self._reason(task, spec, detector) is None:
                    task.prepare(spec.cls.__name__)
                    try:
                        detector._check_parameters()
                    except SknegError as error:
                        place = f"{spec.label}, as it is set for {task.experiment.name}"
                        raise InputError(f"{place}: {error}") from error
                varies = spec.depends_on_seed or task.test is None
                cells += [(task, spec, seed) for seed in range(limit if varies else 1)]
        return cells

    def cell(self, task: Task, spec: DetectorSpec, seed: int) -> list[dict[str, Any]]:
        """The rows of a detector on an experiment with a seed, read back where they are known."""
        experiment = task.experiment
        own = {"experiment": experiment.name, "detector": spec.label}
        detector = self._detector(task, spec, seed)
        reason = self._reason(task, spec, detector)
        if reason is not None:
            return [{**own, "dataset": None, "seed": None, "reason": reason}] if seed == 0 else []
        encoder = self._encoder(experiment)
        drawn = task.draw(self.shots, seed)
        described = describe({k: v for k, v in detector.get_params().items() if k not in _NOT_THE_METHOD})
        facts = {
            **own, "seed": seed, "shots": self.shots, **self._own_model(experiment),
            "weights": encoder.backbone().weights_sha256, "precision": self.model["precision"],
            "parameters": described,
            "versions": {p: version(p) for p in ("torch", "open_clip_torch")} | {"skneg": skneg.__version__},
        }  # fmt: skip
        met = [images.state() for images in (*drawn, *task.ood.values())]
        key = joblib.hash([facts, encoding_of(encoder.backbone()), met, task.class_names, task.n_trained])
        file = self.out / "cells" / f"{key}.json"
        if file.is_file():
            return read_json(file)
        try:
            rows = [{**facts, **row} for row in self._measure(task, spec, seed, detector, drawn)]
        except SknegError as error:
            # A broken image or model is a fault of the data; what a detector refuses is a row of the table.
            if isinstance(error, ImageError) or (isinstance(error, BackboneError) and spec.cls.needs == ""):
                raise
            return [{**own, "dataset": None, "seed": seed, "reason": str(error)}]
        write_bytes(file, json.dumps(rows, ensure_ascii=False).encode())
        return rows

    def _reason(self, task: Task, spec: DetectorSpec, detector: Any) -> str | None:
        experiment, name = task.experiment, spec.cls.__name__
        if experiment.detectors is not None and name not in experiment.detectors:
            return f"this experiment is about {', '.join(experiment.detectors)} alone"
        has_pixels = task.pool.pixels is not None
        return experiment.left_out.get(name) or spec.reason(has_pixels, detector.get_params(deep=False))

    def _own_model(self, experiment: Experiment) -> dict[str, Any]:
        model, tag = experiment.model, experiment.pretrained
        if model is None:
            model, tag = self.model["model"], self.model["pretrained"]
        # Where a model's folder lies says nothing; its weights are in every row.
        return {"model": f"local-dir:{Path(model).name}" if model.startswith("local-dir:") else model,
                "pretrained": tag}  # fmt: skip

    def _shared(self, experiment: Experiment) -> dict[str, Any]:
        own = {"model": experiment.model, "pretrained": experiment.pretrained}
        return {**self.model, **(own if experiment.model else {})}

    def _encoder(self, experiment: Experiment) -> CLIPImageEncoder:
        return CLIPImageEncoder(**self._shared(experiment), cache=self.cache)

    def _detector(self, task: Task, spec: DetectorSpec, seed: int) -> Any:
        name = spec.cls.__name__
        parameters = {
            **task.parameters.get(name, {}), **task.experiment.parameters.get(name, {}), **spec.settings,
        }  # fmt: skip
        if self.configure:
            parameters = self.configure(spec.label, task.experiment.name, parameters)
        # The figures need no threshold, so none is held out for it: `shots` means images trained on.
        common = {**self._shared(task.experiment), "random_state": seed, "calibration": "train"}
        takes = spec.cls._get_param_names()
        return spec.build(**{k: v for k, v in common.items() if k in takes}).set_params(**parameters)

    def _measure(
        self, task: Task, spec: DetectorSpec, seed: int, detector: Any, drawn: tuple[Images, Images]
    ) -> list[dict[str, Any]]:
        """Fit once, and test on one data set after the other."""
        task.prepare(spec.cls.__name__)
        encoder = self._encoder(task.experiment)
        train, test = drawn
        start = time.perf_counter()
        if spec.cls.training == "none":
            train = train.take(np.arange(min(len(train), _THRESHOLD_IMAGES)))
        X = train.images() if spec.sees_pixels else self._embeddings(train, encoder)
        encoded = time.perf_counter()
        y = None if spec.cls.training == "none" else train.labels
        detector.fit(X, y, class_names=task.class_names[: task.n_trained])
        if task.n_trained < len(task.class_names):
            detector.set_vocabulary(task.class_names)
        fit_s = time.perf_counter() - (start if spec.sees_pixels else encoded)

        def answers(images: Images, method: Callable[[Any], np.ndarray]) -> np.ndarray:
            # Patches of all images may not fit into memory.
            if not spec.sees_pixels:
                return method(self._embeddings(images, encoder))
            starts, held = range(0, len(images), _PIXEL_CHUNK), images.images()
            return np.concatenate([method(held[i : i + _PIXEL_CHUNK]) for i in starts])

        # By name: detectors that are fitted without labels have sorted the classes.
        predicted = np.array(detector.class_names_)[answers(test, detector.predict_proba).argmax(axis=1)]
        start = time.perf_counter()
        known = answers(test, detector.score_samples)
        score_s = (time.perf_counter() - start) / len(known)
        if self.figures and spec.cls.__name__ == "NegPromptDetector" and seed == 0 and task.ood:
            sets = {name: self._embeddings(images, encoder) for name, images in task.ood.items()}
            stem = f"{task.experiment.name}-{spec.label}"
            draw_figures(detector, self._embeddings(test, encoder), sets, self.out, stem)
        shared = {
            "n_id": len(known),
            "accuracy": 100 * float(np.mean(predicted == np.array(task.class_names)[test.labels])),
            "fit_s": round(fit_s, 3),
            "score_s_per_1000": round(1000 * score_s, 4),
        }
        rows = []
        for name, images in task.ood.items():
            unknown = answers(images, detector.score_samples)
            figures = {
                "auroc": 100 * auroc(known, unknown),
                "fpr95": 100 * fpr_at_tpr(known, unknown),
                "fpr95_ood_positive": 100 * fpr_at_tpr(known, unknown, positive="ood"),
            }
            rows.append({"dataset": name, **figures, "n_ood": len(unknown), **shared})
        return rows or [{"dataset": None, **shared}]

    def _embeddings(self, images: Images, encoder: CLIPImageEncoder) -> np.ndarray:
        if images.embeddings is not None:
            return images.embeddings
        if images.pixels is not None and images.pixels.ndim > 1:
            return encoder.transform(images.pixels)
        # The cache on the disk decodes an image to know it again; within a run its path is enough.
        paths, weights = images.images(), encoder.backbone().weights_sha256
        new = {(weights, path): path for path in paths if (weights, path) not in self._known}
        if new:
            self._known.update(zip(new, encoder.transform(list(new.values())), strict=True))
        return np.stack([self._known[weights, path] for path in paths])

"""The cells of a run: a detector on an experiment with a seed, each measured once."""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

import skneg

from ..errors import BackboneError, CalibrationWarning, ImageError, InputError, SknegError
from ..metrics import auroc, fpr_at_tpr
from ._detectors import DetectorSpec
from ._experiments import Experiment, Protocol
from ._figures import draw_figures
from ._images import Encoder, Images
from ._journal import Journal
from ._tasks import Drawn, Task, describe

RESULTS = "results.jsonl"
_PIXEL_CHUNK = 2048  # images of a detector that keeps all it is given in memory
_THRESHOLD_IMAGES = 200  # for detectors that learn nothing: their scores do not depend on them
# The figures need no threshold, so none is held out for it: `shots` means images trained on.
_ALWAYS = {"calibration": "train"}
# Parameters that a result does not depend on, or that stand in its row or the header.
_NOT_THE_METHOD = {
    "model", "pretrained", "class_names", "device", "precision", "batch_size", "random_state", "verbose",
}  # fmt: skip

Configure = Callable[[str, str, dict[str, Any]], dict[str, Any]]


@dataclass
class Run:
    """What all cells of a run share; the fields are parameters of `run_benchmark`."""

    protocol: Protocol
    specs: list[DetectorSpec]
    seeds: int
    shots: int
    out: Path
    model: str | None
    pretrained: str | None
    device: str
    precision: str
    batch_size: int
    cache: Path
    configure: Configure | None
    figures: bool
    verbose: bool

    def __post_init__(self) -> None:
        self._encoders: dict[tuple[str, str | None], Encoder] = {}

    def encoder(self, model: str | None = None, pretrained: str | None = None) -> Encoder:
        """The encoder of a backbone; the run's own without arguments."""
        name, tag = (self.model, self.pretrained) if model is None else (model, pretrained)
        assert name is not None, "experiments of a protocol without a model have their own"
        if (name, tag) not in self._encoders:
            from ..backbone import load_backbone

            backbone = load_backbone(name, tag, self.device, self.precision)
            self._encoders[name, tag] = Encoder(backbone, self.cache, self.batch_size, self.verbose)
        return self._encoders[name, tag]

    def cells(self, tasks: list[Task]) -> Journal:
        """Run every cell that is not in the journal."""
        for task in tasks:
            task.draw(self.shots, seed=0)  # refuses a class with too few images before anything runs
            self._check_parameters(task)
        journal = Journal(self.out / RESULTS, self._header())
        plan = [
            (task, spec, seed)
            for task in tasks
            for spec in self.specs
            for seed in range(self._n_seeds(task, spec))
        ]
        with warnings.catch_warnings(), tqdm(plan, unit="fit", disable=not self.verbose) as bar:
            warnings.simplefilter("ignore", CalibrationWarning)
            for task, spec, seed in bar:
                bar.set_description(f"{task.experiment.name}, {spec.label}, seed {seed}")
                self._cell(journal, task, spec, seed)
        return journal

    def _check_parameters(self, task: Task) -> None:
        """Refuse what the user has set amiss: it is no property of a detector that it does not run then."""
        for spec in self.specs:
            parameters = self._parameters(task, spec)
            if not (spec.settings or self.configure) or self._reason(task, spec, parameters):
                continue
            task.before.get(spec.info.name, _nothing)()
            try:
                self._build(task, spec, 0, parameters)._check_parameters()
            except SknegError as error:
                raise InputError(f"{spec.label}, as it is set for {task.experiment.name}: {error}") from error

    def _reason(self, task: Task, spec: DetectorSpec, parameters: dict[str, Any]) -> str | None:
        """Why a detector cannot run here, whatever the seed."""
        experiment, name = task.experiment, spec.info.name
        if experiment.detectors is not None and name not in experiment.detectors:
            return f"this experiment is about {', '.join(experiment.detectors)} alone"
        return experiment.left_out.get(name) or spec.reason(task.has_pixels, parameters)

    def _n_seeds(self, task: Task, spec: DetectorSpec) -> int:
        limit = self.seeds if task.experiment.max_seeds is None else task.experiment.max_seeds
        return min(self.seeds, limit) if spec.depends_on_seed or task.test is None else 1

    def _header(self) -> dict[str, Any]:
        return {
            "protocol": self.protocol.name,
            **self._own_model(),
            "precision": self.precision,
            "shots": self.shots,
            "versions": {
                "skneg": skneg.__version__,
                "torch": version("torch"),
                "open_clip": version("open_clip_torch"),
            },
        }

    def _own_model(self, experiment: Experiment | None = None) -> dict[str, str | None]:
        model, pretrained = self._model_of(experiment)
        return {"model": None if model is None else _portable(model), "pretrained": pretrained}

    def _model_of(self, experiment: Experiment | None) -> tuple[str | None, str | None]:
        if experiment is None or experiment.model is None:
            return self.model, self.pretrained
        return experiment.model, experiment.pretrained

    def _cell(self, journal: Journal, task: Task, spec: DetectorSpec, seed: int) -> None:
        experiment = task.experiment
        parameters = self._parameters(task, spec)
        detector = self._build(task, spec, seed, parameters)
        # Defaults too: results of other defaults, as of a later version, are another configuration.
        described = describe({k: v for k, v in detector.get_params().items() if k not in _NOT_THE_METHOD})
        encoder = self._encoder_of(task)
        images = task.fingerprint(self.shots, seed)
        config = _digest([described, encoder.encoding, images, task.class_names, task.n_trained, self.shots])
        own = {"experiment": experiment.name, "detector": spec.label, "config": config}
        wanted: list[str | None] = [*task.ood] or [None]
        todo = [n for n in wanted if journal.find((experiment.name, spec.label, n, seed), config) is None]
        # Seed None: of all seeds.
        refused = [(experiment.name, spec.label, None, s) for s in (seed, None)]
        if not todo or any(journal.refused(cell, config) for cell in refused):
            return
        reason = self._reason(task, spec, parameters)
        if reason is not None:
            held = journal.rows.get(refused[1])
            if held is None or held["reason"] != reason:
                journal.add({**own, "dataset": None, "seed": None, "reason": reason})
            return
        facts = {
            **own, "seed": seed, "parameters": described, **self._own_model(experiment),
            "weights": encoder.weights,
        }  # fmt: skip
        drawn = task.draw(self.shots, seed)
        try:
            for row in self._measure(task, spec, seed, detector, drawn, todo):
                journal.add({**facts, **row})
        except SknegError as error:
            # A broken image is a fault of the data; what a detector refuses is a row of the table.
            if isinstance(error, ImageError) or _is_fatal(error, spec):
                raise
            journal.add({**own, "dataset": None, "seed": seed, "reason": str(error)})

    def _encoder_of(self, task: Task) -> Encoder:
        return self.encoder(*self._model_of(task.experiment))

    def _parameters(self, task: Task, spec: DetectorSpec) -> dict[str, Any]:
        name = spec.info.name
        parameters = {
            **task.parameters.get(name, {}),
            **task.experiment.parameters.get(name, {}),
            **spec.settings,
        }
        return self.configure(spec.label, task.experiment.name, parameters) if self.configure else parameters

    def _build(self, task: Task, spec: DetectorSpec, seed: int, parameters: dict[str, Any]) -> Any:
        model, pretrained = self._model_of(task.experiment)
        common = {
            "model": model,
            "pretrained": pretrained,
            "device": self.device,
            "precision": self.precision,
            "batch_size": self.batch_size,
            "random_state": seed,
            **_ALWAYS,
        }
        takes = spec.parameter_names
        # `set_params` also takes parts of a parameter, such as recipe__n_negative.
        return spec.build(**{k: v for k, v in common.items() if k in takes}).set_params(**parameters)

    def _measure(
        self,
        task: Task,
        spec: DetectorSpec,
        seed: int,
        detector: Any,
        drawn: Drawn,
        todo: list[str | None],
    ) -> Iterator[dict[str, Any]]:
        """Fit once, and give the figures of one data set after the other."""
        experiment, encoder = task.experiment, self._encoder_of(task)
        task.before.get(spec.info.name, _nothing)()
        train, train_y, test, test_y = drawn
        trained_names = task.class_names[: task.n_trained]
        start = time.perf_counter()
        if spec.info.training == "none":
            few = train.take(np.arange(min(len(train), _THRESHOLD_IMAGES)))
            X, y = self._view(few, spec, encoder), None
        else:
            X, y = self._view(train, spec, encoder), train_y
        encoded = time.perf_counter()
        detector.fit(X, y, class_names=trained_names)
        if task.n_trained < len(task.class_names):
            detector.set_vocabulary(task.class_names)
        fit_s = time.perf_counter() - (start if spec.sees_pixels else encoded)

        X = self._view(test, spec, encoder)
        start = time.perf_counter()
        known = _in_chunks(detector.score_samples, X)
        score_s = (time.perf_counter() - start) / len(known)
        accuracy = np.mean(_in_chunks(detector.predict_proba, X).argmax(axis=1) == test_y)
        if self.figures and spec.info.name == "NegPromptDetector" and seed == 0 and task.ood:
            sets = {name: encoder.embeddings(images) for name, images in task.ood.items()}
            stem = _file_name(f"{experiment.name}-{spec.label}")
            draw_figures(detector, encoder.embeddings(test), sets, self.out, stem)
        shared = {
            "n_id": len(known),
            "accuracy": 100 * float(accuracy),
            "fit_s": round(fit_s, 3),
            "score_s_per_1000": round(1000 * score_s, 4),
        }
        for name in todo:
            if name is None:
                yield {"dataset": None, **shared}
                continue
            unknown = _in_chunks(detector.score_samples, self._view(task.ood[name], spec, encoder))
            yield {
                "dataset": name,
                "auroc": 100 * auroc(known, unknown),
                "fpr95": 100 * fpr_at_tpr(known, unknown),
                "fpr95_ood_positive": 100 * fpr_at_tpr(known, unknown, positive="ood"),
                "n_ood": len(unknown),
                **shared,
            }

    def _view(self, images: Images, spec: DetectorSpec, encoder: Encoder) -> Any:
        """What the detector takes: pixels where embeddings are not enough."""
        return images.pixels if spec.sees_pixels else encoder.embeddings(images)


def _in_chunks(method: Callable[[Any], np.ndarray], X: Any) -> np.ndarray:
    """A method's answers, pixels given to it a part at a time: patches of all images may not fit."""
    if isinstance(X, np.ndarray) and X.ndim == 2:
        return method(X)
    return np.concatenate([method(X[i : i + _PIXEL_CHUNK]) for i in range(0, len(X), _PIXEL_CHUNK)])


def _is_fatal(error: SknegError, spec: DetectorSpec) -> bool:
    """A model that cannot be had concerns all; a tower without patches only who looks at them."""
    return isinstance(error, BackboneError) and spec.info.needs == ""


def _portable(model: str) -> str:
    # Where a model's folder lies says nothing; its weights are in every row.
    scheme, colon, folder = model.partition(":")
    return f"{scheme}:{Path(folder).name}" if scheme == "local-dir" and colon else model


def _nothing() -> None:
    pass


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _file_name(text: str) -> str:
    return "".join(c if c.isalnum() or c in "-." else "-" for c in text).replace("--", "-").lower()

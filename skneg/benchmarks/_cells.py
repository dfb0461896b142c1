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

from ..calibration import CalibrationWarning
from ..errors import BackboneError, ImageError, SknegError
from ..metrics import auroc, fpr_at_tpr
from ._detectors import DetectorSpec
from ._experiments import Protocol
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
    model: str
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
        key = (self.model, self.pretrained) if model is None else (model, pretrained)
        if key not in self._encoders:
            from ..backbone import load_backbone

            backbone = load_backbone(*key, self.device, self.precision)
            self._encoders[key] = Encoder(backbone, self.cache, self.batch_size, self.verbose)
        return self._encoders[key]

    def cells(self, tasks: list[Task]) -> Journal:
        """Run every cell that is not in the journal."""
        for task in tasks:
            task.draw(self.shots, seed=0)  # refuses a class with too few images before anything runs
        journal = Journal(self.out / RESULTS, self._header())
        plan = [
            (task, spec, seed)
            for task in tasks
            for spec in self.specs
            if task.experiment.detectors is None or spec.info.name in task.experiment.detectors
            for seed in range(self._n_seeds(task, spec))
        ]
        with warnings.catch_warnings(), tqdm(plan, unit="fit", disable=not self.verbose) as bar:
            warnings.simplefilter("ignore", CalibrationWarning)
            for task, spec, seed in bar:
                bar.set_description(f"{task.experiment.name}, {spec.label}, seed {seed}")
                self._cell(journal, task, spec, seed)
        return journal

    def _n_seeds(self, task: Task, spec: DetectorSpec) -> int:
        limit = self.seeds if task.experiment.max_seeds is None else task.experiment.max_seeds
        return min(self.seeds, limit) if spec.depends_on_seed or task.test is None else 1

    def _header(self) -> dict[str, Any]:
        return {
            "protocol": self.protocol.name,
            "model": _portable(self.model),
            "pretrained": self.pretrained,
            "precision": self.precision,
            "shots": self.shots,
            "versions": {
                "skneg": skneg.__version__,
                "torch": version("torch"),
                "open_clip": version("open_clip_torch"),
            },
        }

    def _cell(self, journal: Journal, task: Task, spec: DetectorSpec, seed: int) -> None:
        experiment = task.experiment
        parameters = self._parameters(task, spec)
        detector = self._build(task, spec, seed, parameters)
        # Defaults too: results of other defaults, as of a later version, are another configuration.
        described = describe({k: v for k, v in detector.get_params().items() if k not in _NOT_THE_METHOD})
        encoder = self._encoder_of(task)
        config = _digest(
            [described, encoder.encoding, task.fingerprint, task.class_names, task.n_trained, self.shots]
        )
        own = {"experiment": experiment.name, "detector": spec.label, "config": config}
        wanted: list[str | None] = [*task.ood] or [None]
        todo = [n for n in wanted if journal.find((experiment.name, spec.label, n, seed), config) is None]
        refused = journal.rows.get((experiment.name, spec.label, None, None))
        if not todo or (refused is not None and refused["config"] == config):
            return
        reason = experiment.left_out.get(spec.info.name) or spec.reason(task.has_pixels, parameters)
        drawn = task.draw(self.shots, seed)
        if reason is None:
            facts = {**own, "seed": seed, "parameters": described, "weights": encoder.weights}
            try:
                for row in self._measure(task, spec, seed, detector, drawn, todo):
                    journal.add({**facts, **row})
                return
            except SknegError as error:
                # A broken image is a fault of the data; what a detector refuses is a row of the table.
                if isinstance(error, ImageError) or _is_fatal(error, spec):
                    raise
                reason = str(error)
        journal.add({**own, "dataset": None, "seed": None, "reason": reason})

    def _encoder_of(self, task: Task) -> Encoder:
        return self.encoder(task.experiment.model, task.experiment.pretrained)

    def _parameters(self, task: Task, spec: DetectorSpec) -> dict[str, Any]:
        name = spec.info.name
        parameters = {
            **_ALWAYS,
            **task.parameters.get(name, {}),
            **task.experiment.parameters.get(name, {}),
            **spec.settings,
        }
        return self.configure(spec.label, task.experiment.name, parameters) if self.configure else parameters

    def _build(self, task: Task, spec: DetectorSpec, seed: int, parameters: dict[str, Any]) -> Any:
        own = task.experiment
        model, pretrained = (
            (self.model, self.pretrained) if own.model is None else (own.model, own.pretrained)
        )
        return spec.build(
            model=model,
            pretrained=pretrained,
            device=self.device,
            precision=self.precision,
            batch_size=self.batch_size,
            random_state=seed,
            **parameters,
        )

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

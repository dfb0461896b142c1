"""Running a protocol: every detector on every experiment and seed, each cell once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

from .._utils import check_at_least
from ..errors import InputError
from ._cells import Configure, Run
from ._detectors import find_detectors
from ._experiments import Protocol
from ._features import feature_model
from ._journal import alone_in
from ._protocols import ablation, find_protocol
from ._report import write_report
from ._sources import check_needs, make_tasks

TABLES = "results.md"


@dataclass(frozen=True)
class BenchmarkResult:
    """What a run has written.

    Attributes
    ----------
    rows : list of dict
        The lines of ``results.jsonl`` after its header.
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
    """Run a protocol and write its tables; a run that was interrupted goes on where it stopped.

    Parameters
    ----------
    protocol : str
        Of ``skneg.benchmarks.PROTOCOLS``.
    out : path
        Folder for ``results.jsonl``, ``results.md`` and the figures.
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
        images, or `out` holds results of another configuration, is being written by another run, or
        cannot be written.
    ImageError
        If an image cannot be read.
    BackboneError
        If the model cannot be had.
    """
    check_at_least("seeds", seeds, 1, Integral)
    whole = find_protocol(protocol)
    if backbones is not None:
        whole = _on_backbones(whole, backbones)
    chosen = whole.only(tuple(only) if only else None)
    shots = chosen.shots if shots is None else shots
    check_at_least("shots", shots, 1, Integral)
    root = None if data is None else Path(data).expanduser()
    specs = find_detectors(detectors, settings or {})
    if detectors is None:
        fits = [e.detectors for e in chosen.experiments]
        specs = [s for s in specs if any(names is None or s.info.name in names for names in fits)]
    check_needs(chosen, root)
    model = _model_of(chosen, model, pretrained, root)
    folder = Path(out).expanduser()
    run = Run(
        chosen, specs, seeds, shots, folder, model, pretrained, device, precision, batch_size,
        folder / "cache" if cache is None else Path(cache).expanduser(), configure, figures, verbose,
    )  # fmt: skip
    tasks = make_tasks(chosen, root, folder, run.encoder)
    tables = folder / TABLES
    with alone_in(folder):
        journal = run.cells(tasks)
        write_report(tables, whole, journal.header, list(journal.rows.values()), command or _spell(protocol))
    drawn = sorted(folder.glob("*.png"))
    return BenchmarkResult(list(journal.rows.values()), journal.file, tables, drawn)


def _on_backbones(protocol: Protocol, backbones: Sequence[tuple[str, str | None]]) -> Protocol:
    if protocol.model is not None:
        raise InputError(f"{protocol.name} runs on one model; backbones= is for ablation. Give model=.")
    if not backbones or any(isinstance(pair, str) or len(pair) != 2 for pair in backbones):
        raise InputError(f"backbones must be one or more pairs (model, pretrained), got {list(backbones)!r}.")
    return ablation(tuple(backbones))


def _model_of(protocol: Protocol, model: str | None, pretrained: str | None, root: Path | None) -> str | None:
    if protocol.model is None and not model is pretrained is None:
        raise InputError(
            f"{protocol.name} compares models and names each; leave model= and pretrained= out, give "
            "backbones=."
        )
    if protocol.source == "features":
        if model is not None:
            raise InputError("real-features has the model of its embeddings; leave model= out.")
        assert root is not None
        return feature_model(root)
    if protocol.source == "scenes" and model not in (None, "skneg-tiny"):
        raise InputError("the scenes protocol is that of the shipped model; leave model= out.")
    return model or protocol.model


def _spell(protocol: str) -> str:
    return f"skneg.benchmarks.run_benchmark({protocol!r}, ...)"

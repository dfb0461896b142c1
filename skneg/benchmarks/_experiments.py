"""What a protocol is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import InputError
from ._paper import PaperRow


@dataclass(frozen=True)
class Experiment:
    """One vocabulary, with what is unknown beside it.

    Attributes
    ----------
    name : str
    table : str
        Title of the table its figures stand in.
    needs : tuple of str
        Data sets by their keys in `skneg.benchmarks._data.SETS`; ID training and test images first.
    split : str or None
        Hard split whose classes are known, and whose other classes are unknown; None: all are known.
    open_vocabulary : bool
        Whether only the first 10 % of the classes are trained, and the others come as names.
    shared_ood : tuple of str
        Further sets of a source beside a split's unknown classes.
    detectors : tuple of str or None
        The only ones that run; None for all that are asked for.
    parameters : dict
        Detector name to parameters, over those of the source.
    model, pretrained : str or None
        In place of the run's.
    max_seeds : int or None
        No more seeds than that.
    left_out : dict of str to str
        Detector name to why it does not run here.
    paper_row : str or None
        The row of the paper's table, where it is not the detector's.
    """

    name: str
    table: str = ""
    needs: tuple[str, ...] = ()
    split: str | None = None
    open_vocabulary: bool = False
    shared_ood: tuple[str, ...] = ()
    detectors: tuple[str, ...] | None = None
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    model: str | None = None
    pretrained: str | None = None
    max_seeds: int | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)
    paper_row: str | None = None


@dataclass(frozen=True)
class Protocol:
    """A benchmark: its experiments and how their table reads.

    Attributes
    ----------
    name, title : str
    source : {"imagenet", "scenes", "features", "photos"}
        Where images come from.
    experiments : tuple of Experiment
    paper : tuple of dict of str to PaperRow
        The paper's tables whose figures stand beside ours.
    paper_accuracy : dict of str to float
        The accuracies it prints; those of `paper` where empty.
    rows : {"detector", "experiment"}
        What the rows of the table are.
    shots : int
        Default of the run.
    model : str or None
        Default of the run; None where each experiment has its own.
    notes : tuple of str
        What a reader of the table must know.
    """

    name: str
    title: str
    source: str
    experiments: tuple[Experiment, ...]
    paper: tuple[Mapping[str, PaperRow], ...] = ()
    paper_accuracy: Mapping[str, float] = field(default_factory=dict)
    rows: str = "detector"
    shots: int = 16
    model: str | None = "ViT-B-16"
    notes: tuple[str, ...] = ()

    def only(self, names: tuple[str, ...] | None) -> Protocol:
        """The protocol with some of its experiments."""
        if not names:
            return self
        known = [experiment.name for experiment in self.experiments]
        for name in names:
            if name not in known:
                raise InputError(f"{self.name} has no experiment {name!r}; it has {known}.")
        return replace(self, experiments=tuple(e for e in self.experiments if e.name in names))

"""The protocols, read from ``protocols.toml``: which classes are known, which images are not, what varies."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Any

from .._utils import did_you_mean
from ..errors import InputError

SPLITS_FILE = "splits_wnids.json"


@dataclass(frozen=True)
class DataSet:
    """A set of images in the data folder.

    Attributes
    ----------
    title : str
        As tables call it.
    folders : list of str
        Where it may lie below the data folder; the first that exists counts.
    lists : list of str
        Text files of ``path label`` lines that take its place where one exists.
    origin : str
        Where it comes from.
    labelled : bool
        Whether its images lie in a folder per class.
    """

    title: str
    folders: list[str]
    lists: list[str]
    origin: str
    labelled: bool = False


@dataclass(frozen=True)
class Experiment:
    """One vocabulary, with what is unknown beside it.

    Attributes
    ----------
    name : str
    table : str
        Title of the table its figures stand in.
    needs : sequence of str
        Sets of images; of ImageNet protocols the ID training and test images first, of others OOD alone.
    split : str or None
        Hard split whose classes are known, and whose other classes are unknown; None: all are known.
    open_vocabulary : bool
        Whether only the first 10 % of the classes are trained, and the others come as names.
    detectors : sequence of str or None
        The only ones that run; None for all that are asked for.
    parameters : dict
        Detector name to parameters, over those of the data.
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
    needs: Sequence[str] = ()
    split: str | None = None
    open_vocabulary: bool = False
    detectors: Sequence[str] | None = None
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
    experiments : list of Experiment
    source : {"imagenet", "scenes", "features", "photos"}
        Where images come from.
    paper : list of str
        Numbers of the paper's tables whose figures stand beside ours.
    rows : {"detector", "experiment"}
        What the rows of the table are.
    shots : int
        Default of the run.
    model : str or None
        Default of the run.
    files : list of str
        What the data folder must have beside sets of images.
    backbones : list of (str, str or None)
        Models and tags that are compared; the last is the one that all else is varied on.
    notes : list of str
        What a reader of the table must know.
    """

    name: str
    title: str
    experiments: list[Experiment]
    source: str = "imagenet"
    paper: Sequence[str] = ()
    rows: str = "detector"
    shots: int = 16
    model: str | None = "ViT-B-16"
    files: Sequence[str] = ()
    backbones: Sequence[Sequence[str | None]] = ()
    notes: Sequence[str] = ()

    def only(self, names: Sequence[str] | None) -> Protocol:
        """The protocol with some of its experiments."""
        known = [experiment.name for experiment in self.experiments]
        for name in names or ():
            if name not in known:
                raise InputError(f"{self.name} has no experiment {name!r}; it has {known}.")
        chosen = [e for e in self.experiments if not names or e.name in names]
        return replace(self, experiments=chosen)

    def on(self, backbones: Sequence[Sequence[str | None]]) -> Protocol:
        """The protocol with an experiment for each backbone, and its own on the last of them."""
        if not self.backbones:
            raise InputError(f"{self.name} runs on one model; backbones= is for ablation. Give model=.")
        if not backbones or any(isinstance(pair, str) or len(pair) != 2 for pair in backbones):
            raise InputError(
                f"backbones must be one or more pairs (model, pretrained), got {list(backbones)!r}."
            )
        *others, (model, tag) = backbones
        first = replace(self.experiments[0], parameters={})
        experiments = [
            replace(first, name=f"{m} ({t or 'own weights'})", model=m, pretrained=t, paper_row=m)
            for m, t in others
        ]
        experiments += [
            replace(e, name=e.name.format(model=model), model=model, pretrained=tag) for e in self.experiments
        ]
        return replace(self, experiments=experiments, model=None)

    def needed_files(self) -> list[str]:
        """Files of the data folder; the fourth split, classes 0 to 99 against all others, needs none."""
        own = [SPLITS_FILE] if any(e.split not in (None, "Split-4") for e in self.experiments) else []
        return list(dict.fromkeys([*self.files, *own]))


def _protocol(name: str, held: dict[str, Any]) -> Protocol:
    shared, experiments = held.pop("shared", {}), held.pop("experiments")
    return Protocol(name, experiments=[Experiment(**{**shared, **e}) for e in experiments], **held)


_HELD = tomllib.loads((files(__package__) / "protocols.toml").read_text(encoding="utf-8"))
SETS = {key: DataSet(**held) for key, held in _HELD["sets"].items()}
PROTOCOLS = {name: _protocol(name, held) for name, held in _HELD["protocols"].items()}


def find_protocol(name: str, backbones: Sequence[Sequence[str | None]] | None = None) -> Protocol:
    """A protocol by its name, on the given backbones or its own."""
    if name not in PROTOCOLS:
        hint = did_you_mean(name, PROTOCOLS)
        raise InputError(f"There is no protocol {name!r}.{hint} Protocols: {', '.join(PROTOCOLS)}.")
    found = PROTOCOLS[name]
    chosen = found.backbones if backbones is None else backbones
    return found if backbones is None and not chosen else found.on(chosen)

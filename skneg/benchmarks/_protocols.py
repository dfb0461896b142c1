"""The protocols, read from ``protocols.toml``: which classes are known, which images are not, what varies."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from .._utils import did_you_mean
from ..datasets._image_classes import needed_file
from ..datasets._image_sets import HELD
from ..errors import InputError


@dataclass(frozen=True)
class Experiment:
    """One vocabulary, with what is unknown beside it.

    Attributes
    ----------
    name : str
    table : str
        Title of the table its figures stand in.
    images : str or None
        Of `skneg.datasets.list_protocols`; with `groups` it says which images are meant.
    groups : sequence of {"near", "far"}
        Unknown images that count.
    full_spectrum : bool
        Whether known images under other conditions are among the ID test images.
    needs : sequence of str
        Sets of images: those of `images`, or OOD sets of embeddings.
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
    images: str | None = None
    groups: Sequence[str] = ()
    full_spectrum: bool = False
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
    source : {"images", "scenes", "features", "photos"}
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
    source: str = "images"
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

    def needed_files(self, root: Path | None = None) -> list[str]:
        """Files of the data folder; those for hard splits, unless this one has others in their place."""
        splits = (name for e in self.experiments for name in needed_file(root, e.split))
        return list(dict.fromkeys([*self.files, *splits]))


def _protocol(name: str, held: dict[str, Any]) -> Protocol:
    shared, experiments = held.pop("shared", {}), held.pop("experiments")
    return Protocol(name, experiments=[_experiment(**{**shared, **e}) for e in experiments], **held)


def _experiment(**held: Any) -> Experiment:
    if "images" in held:
        images = HELD["protocols"][held["images"]]
        groups = [*held.get("groups", ()), *(["covariate"] if held.get("full_spectrum") else [])]
        needs = [images["train"], images["test"], *(key for g in groups for key in images[g])]
        held = {"split": images.get("split"), "needs": needs, **held}
    return Experiment(**held)


_OWN = tomllib.loads((files(__package__) / "protocols.toml").read_text(encoding="utf-8"))
PROTOCOLS = {name: _protocol(name, held) for name, held in _OWN["protocols"].items()}


def find_protocol(name: str, backbones: Sequence[Sequence[str | None]] | None = None) -> Protocol:
    """A protocol by its name, on the given backbones or its own."""
    if name not in PROTOCOLS:
        hint = did_you_mean(name, PROTOCOLS)
        raise InputError(f"There is no protocol {name!r}.{hint} Protocols: {', '.join(PROTOCOLS)}.")
    found = PROTOCOLS[name]
    chosen = found.backbones if backbones is None else backbones
    return found if backbones is None and not chosen else found.on(chosen)

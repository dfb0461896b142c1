"""``skneg fit`` and ``skneg calibrate``: images of known classes to a file."""

from __future__ import annotations

import sys
from typing import Any

from .. import load
from .._registry import DETECTORS, detector_class
from .._utils import did_you_mean, literal
from ..errors import InputError
from ._images import labelled, unlabelled


def fit(options: Any) -> None:
    if options.detector not in DETECTORS:
        hint = did_you_mean(options.detector, DETECTORS)
        raise InputError(f"there is no detector {options.detector!r}.{hint} See skneg detectors.")
    cls = detector_class(options.detector)
    given = {"verbose": sys.stderr.isatty(), **settings(options.set), **of_model(options)}
    if options.contamination is not None:
        given["contamination"] = options.contamination
    if "random_state" in cls._get_param_names():
        given.setdefault("random_state", options.seed)
    paths, labels, groups = labelled(options.source, options.on_error)
    detector = cls(**given).fit(paths, labels, groups=groups)
    _save(detector, options)


def calibrate(options: Any) -> None:
    detector = loaded(options)
    if options.contamination is not None:
        detector.set_params(contamination=options.contamination)
    if (options.unknown is None) != (options.accepted is options.cost is None):
        raise InputError("--unknown FOLDER goes with --accepted or --cost.")
    if options.no_labels:
        detector.calibrate(unlabelled(options.source, options.on_error))
    else:
        detector.calibrate(*labelled(options.source, options.on_error))
    if options.unknown is not None:
        unknown = unlabelled(options.unknown, options.on_error)
        detector.calibrate_unknown(unknown, accepted=options.accepted, cost=options.cost)
    _save(detector, options)


def loaded(options: Any) -> Any:
    """The detector of a file; its bars are for a terminal."""
    return load(options.file, verbose=sys.stderr.isatty(), **of_model(options))


def of_model(options: Any) -> dict[str, Any]:
    """Parameters of the model that the options set."""
    given = {name: getattr(options, name) for name in ("model", "pretrained", "device")}
    return {name: value for name, value in given.items() if value is not None}


def settings(pairs: list[str]) -> dict[str, Any]:
    """Parameters from ``name=value``; values are Python literals or plain text."""
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise InputError(f"--set {pair!r} is not PARAMETER=VALUE.")
        found[name] = literal(value)
    return found


def _save(detector: Any, options: Any) -> None:
    detector.save(options.out)
    print(f"{options.out}: {detector.summary()}", file=sys.stderr)

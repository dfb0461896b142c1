"""`StreamDetector` over some detectors: what it refuses must leave the stream where it was."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.linear_model import LogisticRegression

import skneg
from skneg import StreamDetector, adaptation
from skneg.errors import ImageError, SknegError

from ..images import test_inputs
from . import _detector_trials as static
from ._detector_trials import BAD_NAMES, BAD_VALUES, N_ROWS, cases, close
from ._saved_trials import DAMAGES, FORGED, damaged, forged, new_folder, same
from ._tiny import tiny_detector, tiny_fitted, tiny_input, tiny_scenes
from ._trial import Trial
from .test_numbers import REFUSED, RIGHT

Of = tuple[str, str]  # a detector and an adaptation

STREAMS: list[Of] = [("KNNDetector", "nearest"), ("WordsDetector", "tanl"), ("NegPromptDetector", "nearest")]
ADAPTATIONS: dict[str, Callable[[], Any]] = {
    "nearest": adaptation.NearestUnknown, "tanl": adaptation.TANL, "adaneg": adaptation.AdaNeg,
    "clipscope": adaptation.CLIPScope, "tins": adaptation.TINS,
}  # fmt: skip
N_SEEN = 10  # no multiple of `move_every`: some images wait

LABELLED = ("fit", "calibrate", "set_vocabulary")
WAYS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "partial_score": lambda stream, X, y: stream.partial_score(X),
    "partial_predict": lambda stream, X, y: stream.partial_predict(X),
    "decision_function": lambda stream, X, y: stream.decision_function(X),
    **{way: static.WAYS[way] for way in ("score_samples", "predict", "predict_proba", "p_values", *LABELLED)},
    "fit(unlabelled=)": lambda stream, X, y: stream.fit(*_training(stream), unlabelled=X),
    "fit(unlabelled=function)": lambda stream, X, y: stream.fit(*_training(stream), unlabelled=lambda: X),
}
ROW_2 = ("NaN", "inf", "-inf", "zeros", "tensor with NaN")  # of `REFUSED`, which spoil that row alone


def stream_trials(folder: Path) -> Iterator[Trial]:
    for of in STREAMS:
        yield from _wrong(of, folder)
        yield from _right(of, folder)
        yield from _labels_and_names(of)
        yield from _parameters(of, folder)
        yield from _unfitted(of)
        yield from _files(of, folder)
    yield from _adaptations(folder)


def _training(stream: Any) -> Any:
    return tiny_input(type(stream.detector).__name__)


def _subject(of: Of) -> str:
    return f"StreamDetector({of[0]}, {of[1]!r})"


@cache
def _under_way(of: Of) -> bytes:
    stream = StreamDetector(tiny_fitted(of[0]), of[1], random_state=0)
    stream.partial_score(tiny_input(of[0], random_state=9)[0][:N_SEEN])
    return pickle.dumps(stream)


def _stream(of: Of) -> Any:
    return pickle.loads(_under_way(of))


def unmoved(of: Of, act: Callable[[Any], Any]) -> Any:
    """What comes of a call of a stream under way, which a call that fails must leave as it was."""
    stream = _stream(of)
    held, before = stream._moved, joblib.hash(stream._moved.as_values())
    try:
        return act(stream)
    except Exception:
        # All that `state_` shows; that itself is refused too, once a parameter is wrong.
        is_as_it_was = stream._moved is held and joblib.hash(held.as_values()) == before
        assert is_as_it_was, "the stream has moved, though the call has failed"
        raise


def tells(text: str, call: Callable[[], Any]) -> Any:
    """An error that names another row is as good as a crash."""
    try:
        return call()
    except SknegError as caught:
        if text in str(caught):
            raise
        raise RuntimeError(f"this does not say {text!r}: {caught}") from caught


def _wrong(of: Of, folder: Path) -> Iterator[Trial]:
    """Images, containers and numbers that cannot be read."""
    (X, y), images = tiny_input(of[0]), list(tiny_scenes()[0][: N_ROWS - 1])
    as_named = partial(static.names, ImageError, N_ROWS - 1)
    wrong: list[tuple[str, str, Any, int, Any]] = [
        ("an image", kind, [*images, item], N_ROWS, as_named)
        for kind, item in static.bad_images(folder).items()
    ]
    for rows, _, message in cases(test_inputs.test_other_containers_are_refused):
        wrong.append(("a container", f"{type(rows).__name__}: {message}", rows, 3, None))
    for kind, make in REFUSED.items():
        as_told = partial(tells, "row 2") if kind in ROW_2 else None
        wrong.append(("embeddings", kind, make(X), len(X), as_told))
    # What is no input: no pool at all, and another width of those who read no names.
    sound = {("nothing", "fit(unlabelled=)")}
    if not tiny_fitted(of[0]).reads_names:
        sound.add(("other width", "fit"))
    for (fault, kind, rows, n, named), (way, act) in product(wrong, WAYS.items()):
        if (kind, way) not in sound:
            call = partial(unmoved, of, partial(act, X=rows, y=y[:n]))
            yield Trial(fault, kind, way, _subject(of), partial(named, call) if named else call)


def _right(of: Of, folder: Path) -> Iterator[Trial]:
    """The same images and numbers, whatever holds them."""
    X, images = tiny_input(of[0])[0][:N_ROWS], tiny_scenes()[0][:1]
    sound = [("an image", kind, [item], images) for kind, item in static.good_images(folder).items()]
    sound += [("embeddings", kind, make(X, new_folder(folder)), X) for kind, make in RIGHT.items()]
    for (fault, kind, rows, plain), way in product(sound, ("partial_score", "score_samples")):
        expected = partial(close, partial(_scores, of, way, plain))
        yield Trial(fault, kind, way, _subject(of), partial(_scores, of, way, rows), expected)


def _scores(of: Of, way: str, X: Any) -> np.ndarray:
    stream = _stream(of)
    scores = WAYS[way](stream, X, None)
    assert stream.state_.n_seen == N_SEEN + (len(scores) if way == "partial_score" else 0)
    return scores


def _labels_and_names(of: Of) -> Iterator[Trial]:
    X, y = tiny_input(of[0])
    for (kind, (rows, labels)), way in product(static.bad_labels(of[0]).items(), LABELLED):
        act = partial(WAYS[way], X=rows, y=labels)
        yield Trial("labels", kind, way, _subject(of), partial(unmoved, of, act))
    for kind, given in BAD_NAMES.items():
        act = partial(lambda stream, given: stream.set_vocabulary(given), given=given)
        yield Trial("class names", kind, "set_vocabulary", _subject(of), partial(unmoved, of, act))
        if tiny_fitted(of[0]).reads_names:
            act = partial(lambda stream, given: stream.fit(X, y, class_names=given), given=given)
            yield Trial("class names", kind, "fit", _subject(of), partial(unmoved, of, act))


def _parameters(of: Of, folder: Path) -> Iterator[Trial]:
    names = ("detector", "adaptation", "move_every", "random_state")
    bad = {f"{name} = {kind}": {name: value} for name, (kind, value) in product(names, BAD_VALUES.items())}
    bad |= {f"move_every = {value}": {"move_every": value} for value in (0, 1.5, True)}
    detectors = {
        "None": None, "its class": skneg.KNNDetector, "of scikit-learn": LogisticRegression(),
        "a stream": StreamDetector(tiny_fitted(of[0])), "of pixels": tiny_detector("ODINDetector"),
        "of patches": tiny_detector("GLMCMDetector"),
        "an ensemble": skneg.ScoreEnsemble([tiny_detector(of[0])]),
    }  # fmt: skip
    bad |= {f"detector = {kind}": {"detector": value} for kind, value in detectors.items()}
    if of[0] == "KNNDetector":  # which has no words
        bad |= {f"adaptation = {kind}": {"adaptation": kind} for kind in ADAPTATIONS if kind != "nearest"}
    yield from _set(of, bad, folder)


def _adaptations(folder: Path) -> Iterator[Trial]:
    for kind, make in ADAPTATIONS.items():
        bad = {
            f"adaptation.{name} = {what}": {"adaptation": make().set_params(**{name: value})}
            for name, (what, value) in product(make().get_params(), BAD_VALUES.items())
        }
        yield from _set(("WordsDetector", kind), bad, folder)


def _set(of: Of, bad: dict[str, dict[str, Any]], folder: Path) -> Iterator[Trial]:
    """Parameters of no use, whenever they were set."""
    X, y = tiny_input(of[0])
    acts: dict[str, Callable[[Any], Any]] = {
        "partial_score": lambda stream: stream.partial_score(X[:2]),
        "predict": lambda stream: stream.predict(X[:2]),
        "save": lambda stream: stream.save(new_folder(folder) / "never.skneg"),
    }
    ways: dict[str, Callable[[Any], Any]] = {
        "fit": lambda given: StreamDetector(tiny_detector(of[0]), of[1]).set_params(**given).fit(X, y),
        "partial_score": lambda given: acts["partial_score"](
            StreamDetector(tiny_fitted(of[0]), of[1]).set_params(**given)
        ),
        **{
            f"{way}, under way": partial(
                lambda act, given: unmoved(of, lambda stream: act(stream.set_params(**given))), act
            )
            for way, act in acts.items()
        },
    }
    for (kind, given), (way, call) in product(bad.items(), ways.items()):
        # What it draws with is settled where a stream begins.
        late = "random_state" in given and way in ("partial_score, under way", "predict, under way")
        expected = (lambda found: len(found) == 2) if late else None
        yield Trial("a parameter", kind, way, _subject(of), partial(call, given), expected)


def _unfitted(of: Of) -> Iterator[Trial]:
    X, y = tiny_input(of[0])
    ways = {way: partial(act, X=X, y=y) for way, act in WAYS.items() if not way.startswith("fit")}
    ways["save"] = lambda stream: stream.save("never.skneg")
    ways["reset"] = lambda stream: stream.reset()
    ways["state_"] = lambda stream: stream.state_
    for way, act in ways.items():
        call = partial(lambda act, detector: act(StreamDetector(detector, of[1])), act)
        trial = partial(static.raises_not_fitted, of[0], call)
        yield Trial("not fitted", "not fitted", way, _subject(of), trial)


def _in_streams(part: str, value: Any) -> Callable[[Path], Any]:
    """Another value of a part of the two states in a file, that at the start and that of now."""

    def change(header: Any, _: Any) -> None:
        for held in header["detector"]["attributes"]["streams"]:
            held["items"] = [[name, value if name == part else node] for name, node in held["items"]]

    return forged(change)


FORGED_STREAMS = {
    f"{part} = {value!r}": _in_streams(part, value)
    for part, value in product(
        ("memory", "waiting", "waiting_scores", "n_seen", "order"), (-1, "a text", None, [])
    )
}


def _files(of: Of, folder: Path) -> Iterator[Trial]:
    """Streams in mid-stream."""
    X = tiny_input(of[0])[0][:N_ROWS]
    makers: dict[str, Callable[[Path], Any]] = {"load": skneg.load, "its class's load": StreamDetector.load}
    kept = partial(_saved, of, folder)
    for (kind, damage), (way, read) in product(
        {**DAMAGES, **FORGED, **FORGED_STREAMS}.items(), makers.items()
    ):
        call = partial(damaged, kept, folder, damage, read, X)
        yield Trial("a detector's file", kind, way, _subject(of), call)
    other = getattr(skneg, of[0]).load
    call = partial(damaged, kept, folder, lambda file: None, other)
    yield Trial("a detector's file", "of another class", "load", _subject(of), call)
    for way, read in makers.items():
        call = partial(damaged, kept, folder, lambda file: None, read, X)
        expected = partial(same, partial(_scores, of, "score_samples", X))
        yield Trial("a detector's file", "sound", way, _subject(of), call, expected)


@cache
def _saved(of: Of, folder: Path) -> bytes:
    file = new_folder(folder) / "stream.skneg"
    _stream(of).save(file)
    return file.read_bytes()

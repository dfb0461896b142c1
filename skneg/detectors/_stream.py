"""A detector whose score moves with the images that it sees."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping
from numbers import Integral
from threading import RLock
from typing import Any, Self
from weakref import WeakKeyDictionary

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.metaestimators import available_if

from .._fitting import calibration_scores
from .._forks import ForkLock, after_fork
from .._reading import in_blocks, read_images
from .._sklearn import DOC_LINK, asks_known_or_unknown
from .._utils import check_at_least, check_option, check_seed, finite
from ..adaptation import TANL, TINS, AdaNeg, Adaptation, CLIPScope, NearestUnknown, Static, StreamState
from ..adaptation._adaptation import alike
from ..adaptation._running import Running
from ..base import OpenSetDetector
from ..errors import InputError, InputTypeError, PersistenceError
from ..threshold import p_values
from ..vocabulary import ClassNames, mark_unknown
from ._members import differ

_ADAPTATIONS: dict[str, type[Adaptation]] = {
    "nearest": NearestUnknown,
    "tanl": TANL,
    "adaneg": AdaNeg,
    "clipscope": CLIPScope,
    "tins": TINS,
}
_SHOWN = ("classes_", "class_names_", "unknown_label_", "offset_", "n_features_in_", "feature_names_in_")
_KNOWN = ("embeddings", "scores", "targets", "groups")  # parts of `Static` that a file holds
_MOST_KNOWN = 5000  # known images that the moved score is measured on
_locks: WeakKeyDictionary[StreamDetector, Any] = WeakKeyDictionary()
_making_locks = ForkLock()  # each stream's is made when first needed; a forked process begins without any
after_fork(_locks.clear)


class StreamDetector(ClassifierMixin, BaseEstimator):
    """A static detector whose score adapts to the stream of images that it is shown.

    `partial_score` scores images in the order given, and moves the state; `score_samples`, `predict` and the
    other methods of a detector leave the state alone. An image never moves its own score: it is scored by
    the state that earlier images have left. So results depend on the order of the stream by design, but not
    on how it is cut into calls: the state moves after each `move_every` images.

    The threshold stays: after each move, the images of known classes that set it are scored anew, and the
    moved scores are shifted so that the same share of them lies below ``offset_``. New known images, of all
    classes together, are then rejected about as often as before, whatever the stream has shown; those of one
    class may be rejected more, such as one that the unknown images look like.

    Parameters
    ----------
    detector : detector
        Fitted, or to be fitted by `fit`. It takes embeddings (not one that looks at pixels or patches), and
        is left as it is.
    adaptation : {"nearest", "tanl", "adaneg", "clipscope", "tins"} or Adaptation, default="nearest"
        How the score moves: `skneg.adaptation.NearestUnknown`, `TANL`, `AdaNeg`, `CLIPScope` or `TINS`, by
        name with its defaults. All but the first need a detector with words.
    move_every : int, default=4
        Images after which the state moves. With more it moves less often, which takes less time.
    random_state : int, RandomState or None, default=None
        What the adaptation draws at random with. `fit` also uses it for the detector where that has a
        parameter of this name that is None.

    Attributes
    ----------
    detector_ : detector
        The static detector.
    state_ : StreamState
    classes_, class_names_, unknown_label_, offset_
        The detector's.

    Notes
    -----
    Threads may share a stream: the images of one call stay together, and come before or after those of
    another. A prediction reads the state that is there when it begins.

    Examples
    --------
    >>> from skneg import KNNDetector, StreamDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(60, shapes=["star", "heart"], random_state=0)
    >>> stream = StreamDetector(KNNDetector(model="skneg-tiny", random_state=0)).fit(X, y)
    >>> X_new, _ = make_scenes(40, shapes=["star", "fish"], random_state=1)
    >>> stream.partial_score(X_new).shape, stream.state_.n_seen
    ((40,), 40)
    >>> stream.reset().state_.n_seen
    0
    """

    _doc_link_module = "skneg"
    _doc_link_template = DOC_LINK

    detector_: OpenSetDetector

    def __init__(
        self,
        detector: OpenSetDetector,
        adaptation: str | Adaptation = "nearest",
        *,
        move_every: int = 4,
        random_state: Any = None,
    ) -> None:
        self.detector = detector
        self.adaptation = adaptation
        self.move_every = move_every
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        y: Any = None,
        class_names: ClassNames | None = None,
        groups: Any = None,
        unlabelled: Any = None,
    ) -> Self:
        """Fit a clone of the detector.

        Parameters
        ----------
        X, y, class_names, groups
            As in `NegPromptDetector.fit`.
        unlabelled : images or embeddings, or callable, optional
            Images of the place where it will work, known and unknown ones, in an order that matters, or a
            function without arguments that gives them (a search cuts arrays as long as X). They move the
            state once; predictions then use it, and `reset` comes back to it.

        Returns
        -------
        self

        Raises
        ------
        InputError, InputTypeError
            If a parameter is not usable, or the detector finds something to object to.
        """
        self._check_parameters()
        detector = clone(self.detector)
        if self.random_state is not None and getattr(detector, "random_state", 0) is None:
            detector.set_params(random_state=self.random_state)
        return self._adopt(detector.fit(X, y, class_names, groups), unlabelled)

    def partial_score(self, X: Any) -> np.ndarray:
        """Scores of images in the order given, each by the state that those before it have left.

        Parameters
        ----------
        X : images or embeddings, as in `fit`

        Returns
        -------
        ndarray of shape (n,), float64
            Larger = more in-distribution; below ``offset_`` is rejected.

        Raises
        ------
        ImageError
            If images cannot be read; none of X has moved the state then.
        """
        return self._stream(X, lambda moved, scores, Z: scores)

    def partial_predict(self, X: Any) -> np.ndarray:
        """Labels (n,) of images in the order given, as by `partial_score`; the state moves."""
        return self._stream(X, self._labels)

    def score_samples(self, X: Any) -> np.ndarray:
        """Scores (n,) of images by the state as it is, which stays; their order does not matter."""
        return _scores(self._now(), X)

    @available_if(asks_known_or_unknown)
    def decision_function(self, X: Any) -> np.ndarray:
        """``score_samples(X) - offset_``: negative where an image is rejected as unknown."""
        moved = self._now()
        return _scores(moved, X) - moved.static.state.offset_

    def predict(self, X: Any) -> np.ndarray:
        """The class of each image, or the unknown label, by the state as it is."""
        moved = self._now()
        Z, s = _see(moved.static, X)
        return self._labels(moved, moved.score(Z, s), Z)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Closed-set posterior (n, k), the static detector's."""
        return self._now().static.detector.predict_proba(X)

    def p_values(self, X: Any) -> np.ndarray:
        """Conformal p-values (n,) by the state as it is; see `NegPromptDetector.p_values`."""
        moved = self._now()
        return p_values(_scores(moved, X), moved.reference)

    def reset(self) -> Self:
        """Forget the stream: back to the state after `fit`, with its `unlabelled` images."""
        self._begun()
        with self._lock():
            self._moved = self._start
        return self

    def set_vocabulary(
        self, class_names: ClassNames, X: Any = None, y: Any = None, groups: Any = None, **more: Any
    ) -> Self:
        """Replace the known classes; see the detector's own `set_vocabulary`. The stream is forgotten."""
        detector = self._begun().static.detector
        return self._adopt(copy.copy(detector).set_vocabulary(class_names, X, y, groups, **more))

    def calibrate(self, X: Any = None, y: Any = None, groups: Any = None) -> Self:
        """Set the threshold anew; see `NegPromptDetector.calibrate`. The stream is forgotten."""
        return self._adopt(copy.copy(self._begun().static.detector).calibrate(X, y, groups))

    @property
    def state_(self) -> StreamState:
        return self._now().shown()

    def save(self, path: str | os.PathLike) -> None:
        """Write the detector and what the stream has left to one file; see `skneg.persistence.save`."""
        from ..persistence import save

        save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike, **parameters: Any) -> Self:
        """Load what `save` wrote; see `skneg.load`, which takes files of any detector."""
        from ..persistence import load_as

        return load_as(cls, path, parameters)

    def __getattr__(self, name: str) -> Any:
        if name == "state_":  # Python asks here where the property has raised an AttributeError
            self._begun()
        if name in _SHOWN:
            return getattr(self._begun().static.state, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __sklearn_is_fitted__(self) -> bool:
        return "detector_" in vars(self) or hasattr(self.detector, "classes_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if isinstance(self.detector, OpenSetDetector):
            own = self.detector.__sklearn_tags__()
            tags.input_tags, tags.target_tags = own.input_tags, own.target_tags
            tags.classifier_tags.poor_score = own.classifier_tags.poor_score
        return tags

    def _check_parameters(self) -> None:
        self._check_acting()
        check_seed(self.random_state)

    def _check_acting(self) -> None:
        """Refuse what acts on a stream under way, too: it may have been set since."""
        if not isinstance(self.detector, OpenSetDetector):
            raise InputTypeError(f"detector is {self.detector!r:.200}, expected a skneg detector.")
        if self.detector.needs == "local features" or self.detector.needs.startswith("pixels"):
            raise InputError(
                f"{type(self.detector).__name__} looks at {self.detector.needs}, and a stream is remembered "
                "as embeddings: take a detector that goes by these."
            )
        check_at_least("move_every", self.move_every, 1, Integral)
        self._adaptation().check()

    def _adaptation(self) -> Adaptation:
        if isinstance(self.adaptation, Adaptation):
            return self.adaptation
        check_option("adaptation", self.adaptation, list(_ADAPTATIONS))
        return _ADAPTATIONS[self.adaptation]()

    def _now(self) -> Running:
        """The state, read once."""
        moved, wanted = self._begun(), self._adaptation()
        if not alike(wanted, moved.adaptation):
            raise InputError(
                f"adaptation is now {wanted!r}, but the stream began with {moved.adaptation!r}: fit, "
                "calibrate() or set_vocabulary begin another one."
            )
        return moved

    def _begun(self) -> Running:
        """The state; a detector that came fitted is taken up when first needed."""
        self._check_acting()
        if "_moved" not in vars(self):
            if not self.detector.__sklearn_is_fitted__():
                raise NotFittedError("this StreamDetector is not fitted, as its detector is not: call fit.")
            with self._lock():
                if "_moved" not in vars(self):  # another thread may have been faster
                    self.__dict__.update(self._take_up(copy.copy(self.detector)))
        if any(map(differ, self._asked, self._facts())):
            raise InputError(
                "detector, or a parameter of it, has been changed, and the stream goes on with what it began "
                "with: fit, or make another StreamDetector."
            )
        return self._moved

    def _facts(self) -> list[Any]:
        """The detector and its parameters, as objects to compare by identity."""
        return [self.detector, *self.detector.get_params().values()]

    def _lock(self) -> Any:
        with _making_locks.held():
            return _locks.setdefault(self, RLock())

    def _adopt(self, detector: OpenSetDetector, unlabelled: Any = None) -> Self:
        taken = self._take_up(detector, unlabelled)
        with self._lock():
            self.__dict__.update(taken)
        return self

    def _take_up(self, detector: OpenSetDetector, unlabelled: Any = None) -> dict[str, Any]:
        """What this object holds of a fitted detector, with a stream that has not begun."""
        self._check_parameters()
        state = detector._fitted()
        calibrator, seed = state.calibrator, int(check_seed(self.random_state).randint(2**31 - 1))
        scores = calibration_scores(detector, state, calibrator.images, calibrator.names, calibrator.shift)
        embeddings, place = np.asarray(calibrator.images), {n: i for i, n in enumerate(state.class_names_)}
        groups = np.arange(len(embeddings)) if calibrator.groups is None else calibrator.groups
        targets = np.array([place.get(name, -1) for name in calibrator.names or [""] * len(embeddings)])
        if len(scores) < len(embeddings):  # of classes that are gone and cannot be scored
            embeddings, groups, targets = (part[targets >= 0] for part in (embeddings, groups, targets))
        if len(scores) > _MOST_KNOWN:
            rows = np.sort(np.random.default_rng(seed).permutation(len(scores))[:_MOST_KNOWN])
            embeddings, groups, targets, scores = (p[rows] for p in (embeddings, groups, targets, scores))
        known = np.array(embeddings, dtype=np.float32), np.array(scores, dtype=np.float64), targets, groups
        # A copy, so that what is done to `detector_` later does not reach a stream under way.
        static = Static(copy.copy(detector), state, *known)
        moved = Running.begin(self._adaptation(), static, seed)
        if unlabelled is not None:
            unlabelled = unlabelled() if callable(unlabelled) else unlabelled
            moved = moved.after(*_see(static, unlabelled), self.move_every)[1]
        return {"detector_": detector, "_start": moved, "_moved": moved, "_asked": self._facts()}

    def _labels(self, moved: Running, scores: np.ndarray, Z: np.ndarray) -> np.ndarray:
        state = moved.static.state
        labels = state.classes_[moved.static.detector._posterior(state, Z).argmax(axis=1)]
        if state.unknown_label is None:
            return labels
        return mark_unknown(labels, scores < state.offset_, state.unknown_label)

    def _stream(self, X: Any, answer: Callable[[Running, np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
        """The answer to X, made of what scored it, its scores and embeddings; the state moves after that."""
        moved = self._now()
        Z, s = _see(moved.static, X)
        with self._lock():
            now = self._now()
            if now.static is not moved.static:  # another thread has changed the vocabulary
                Z, s = _see(now.static, X)
            scores, after = now.after(Z, s, self.move_every)
            answered, self._moved = answer(now, scores, Z), after
        return answered

    def _stored_state(self) -> tuple[dict[str, Any] | None, None]:
        """What a file holds of the stream, and no model: that of its detector is enough."""
        if "_moved" not in vars(self):
            return None, None
        now, start = self._now(), self._start  # `load` would refuse what is refused here
        return {
            "detector_": now.static.detector,
            **{name: getattr(now.static, name) for name in _KNOWN},
            "seed": now.seed,
            "streams": [start.as_values(), now.as_values()],
        }, None

    def _restore_state(self, values: Mapping[str, Any], backbone: None) -> None:
        """Take what `_stored_state` gave."""
        if set(values) != {"detector_", *_KNOWN, "seed", "streams"} or type(values["seed"]) is not int:
            raise PersistenceError("its StreamDetector holds more or less than a stream leaves.")
        detector, seed = values["detector_"], values["seed"]
        known = [values[name] for name in _KNOWN]
        self._check_parameters()
        if not isinstance(detector, OpenSetDetector) or type(detector) is not type(self.detector):
            raise PersistenceError("its stream is not one of its detector.")
        state = detector._fitted()
        width = np.shape(np.asarray(state.calibrator.images))[-1]
        n, kinds = len(known[0]), [(part.shape, part.dtype.kind) for part in known]
        if kinds != [((n, width), "f"), ((n,), "f"), ((n,), "i"), ((n,), "i")]:
            raise PersistenceError("its known images do not fit its detector.")
        first = Running.begin(self._adaptation(), Static(detector, state, *known), seed)
        start, now = (first.restored(held, self.move_every) for held in values["streams"])
        self.__dict__.update(detector_=detector, _start=start, _moved=now, _asked=self._facts())


def _see(static: Static, X: Any) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings (n, d) of images, and their static scores (n,)."""
    detector = static.detector
    detector._fitted()  # parameters may have been set since
    Z = detector._represent(read_images(detector, X, static.state))
    return Z, finite(detector._score(static.state, Z))


def _scores(moved: Running, X: Any) -> np.ndarray:
    """Moved scores (n,) of images, some of them at a time."""
    own = moved.static.detector
    own._fitted()
    return in_blocks(own, moved.static.state, X, lambda state, Z: moved.score(Z, own._score(state, Z)))

"""Several detectors as one, on a common scale of scores."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if

from .._reading import count_images
from .._sklearn import DOC_LINK, asks_known_or_unknown
from .._utils import check_between, check_option
from ..base import OpenSetDetector
from ..errors import InputError, InputTypeError, PersistenceError
from ..threshold import Calibrator, p_values, smallest_calibration_set
from ..vocabulary import ClassNames, mark_unknown
from ._members import Members, combine, differ


class ScoreEnsemble(ClassifierMixin, BaseEstimator):
    """Average detectors whose scores have different scales.

    Each member's score is first expressed by where it lies among the scores of the images that set the
    member's own threshold, so that no member outweighs the others, and a score never depends on the
    batch that it is computed in. Fitted detectors can be combined without fitting again.

    Parameters
    ----------
    detectors : sequence of detectors
        The members: fitted, with the same ``classes_`` in the same order and the same
        ``unknown_label_``; or unfitted, to be fitted with `fit`. `clone` forgets their fits.
    method : {"p_value", "rank"}, default="p_value"
        The common scale. With c the n calibration scores of a member and s a score:

        ``"p_value"`` is the conformal p-value, ``(1 + #{c <= s}) / (n + 1)``. All scores below the
        smallest c get the same value ``1 / (n + 1)``, which suits decisions.

        ``"rank"`` puts the i-th smallest c at ``i / (n + 1)`` (equal ones at the mean of their places)
        and interpolates linearly between them. At a distance e below the smallest c it is
        ``r / (1 + e / w)``, where r is the smallest c's value and w its distance to the median (1 where
        that is 0); above the largest c, with value q and distance w to the median, it is
        ``1 - (1 - q) / (1 + e / w)``. It rises strictly, up to rounding, and stays between 0 and 1, so
        that no ranking is lost outside the calibration scores, which suits AUROC.
    contamination : float, default=0.05
        Share of the known classes' images that may be rejected; those of the members have no effect.

    Attributes
    ----------
    classes_ : ndarray of shape (k,)
        The members' labels.
    offset_ : float
        Images with smaller scores are rejected. Where all members were calibrated on the same images,
        it is split-conformal at `contamination` on these images' ensemble scores: exact for
        ``"p_value"`` [1]_, however much the members depend on each other, and for one member the
        member's own threshold; for ``"rank"`` up to terms of the order of 1 / n, since the images have
        a part in the scale too. Where they differ (other images, or members that leave out other rows),
        it is `contamination` itself: mean p-values up to it are rejected. A new image of the known
        classes is then rejected with a probability of at most twice the `contamination` [2]_, about the
        `contamination` where members agree, and less the less they depend on each other. Members were
        calibrated on the same images if their calibration embeddings are equal, or if `fit` gave them
        all and each used all.
    unknown_label_ : label
        The members'.
    detectors_ : list of detectors
        The members after `fit` or `set_vocabulary`, which leave those in `detectors` alone.

    References
    ----------
    .. [1] Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005.
    .. [2] Vovk and Wang, "Combining p-values via averaging", Biometrika 2020.

    Examples
    --------
    >>> from skneg import MaxLogitDetector, MCMDetector, ScoreEnsemble
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(40, shapes=["star", "heart"], random_state=0)
    >>> members = [kind(model="skneg-tiny").fit(X, y) for kind in (MCMDetector, MaxLogitDetector)]
    >>> ensemble = ScoreEnsemble(members)
    >>> float((ensemble.predict(X) == "unknown").mean()) <= 0.05
    True
    """

    detectors_: list[OpenSetDetector]

    _doc_link_module = "skneg"
    _doc_link_template = DOC_LINK

    def __init__(
        self,
        detectors: Sequence[OpenSetDetector],
        *,
        method: str = "p_value",
        contamination: float = 0.05,
    ) -> None:
        self.detectors = detectors
        self.method = method
        self.contamination = contamination

    def fit(self, X: Any, y: Any = None, class_names: ClassNames | None = None, groups: Any = None) -> Self:
        """Fit clones of the detectors on the same data.

        Parameters
        ----------
        X : sequence of images, or array-like of shape (n, d) of floats
            As in `NegPromptDetector.fit`. Each member encodes images itself; embeddings save that.
        y : array-like of shape (n,)
            A label for each image.
        class_names : sequence of str or mapping of label to str, optional
            As in `NegPromptDetector.fit`; each member's own by default.
        groups : array-like of shape (n,), optional
            As in `NegPromptDetector.fit`.

        Returns
        -------
        self

        Raises
        ------
        InputError, InputTypeError
            If a parameter is not usable, or a member finds something to object to.
        VocabularyError
            If the members do not arrive at the same classes.
        """
        self._check_parameters()
        members = [clone(detector).fit(X, y, class_names, groups) for detector in self.detectors]
        n_images = count_images(members[0], X)
        all_used = all(len(member.calibration_embeddings_) == n_images for member in members)
        return self._adopt(members, all_used)

    def predict(self, X: Any) -> np.ndarray:
        """The class of each image, or the unknown label where ``decision_function`` is negative.

        Parameters
        ----------
        X : images or embeddings, as in `fit`

        Returns
        -------
        ndarray of shape (n,)
            Labels of ``classes_``, or ``unknown_label_``.
        """
        members = self._members()
        represented, first = members.represent(X), members.states[0]
        labels = first.classes_[members.posterior(represented).argmax(axis=1)]
        if first.unknown_label is None:
            return labels
        scale = self._scale(members)
        rejected = combine(members.scores(represented), scale.references, self.method) < scale.offset
        return mark_unknown(labels, rejected, first.unknown_label)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Mean of the members' closed-set posteriors.

        Parameters
        ----------
        X : images or embeddings, as in `fit`

        Returns
        -------
        ndarray of shape (n, k), float64
            Columns in the order of ``classes_``; rows sum to 1.
        """
        members = self._members()
        return members.posterior(members.represent(X))

    def score_samples(self, X: Any) -> np.ndarray:
        """Mean of the members' scores on the common scale; larger = more in-distribution.

        Parameters
        ----------
        X : images or embeddings, as in `fit`

        Returns
        -------
        ndarray of shape (n,), float64
            Between 0 and 1.
        """
        members = self._members()
        return combine(members.scores(members.represent(X)), self._scale(members).references, self.method)

    @available_if(asks_known_or_unknown)
    def decision_function(self, X: Any) -> np.ndarray:
        """``score_samples(X) - offset_``: negative where an image is rejected as unknown.

        Parameters
        ----------
        X : images or embeddings, as in `fit`

        Returns
        -------
        ndarray of shape (n,), float64
        """
        members = self._members()
        scale = self._scale(members)
        return combine(members.scores(members.represent(X)), scale.references, self.method) - scale.offset

    def set_vocabulary(
        self, class_names: ClassNames, X: Any = None, y: Any = None, groups: Any = None
    ) -> Self:
        """Replace the known classes of all members, or of none where one cannot take them.

        The members in `detectors` stay as they are; copies change.

        Parameters
        ----------
        class_names, X, y, groups
            See `NegPromptDetector.set_vocabulary`.

        Returns
        -------
        self

        Raises
        ------
        VocabularyError
            If a name is empty, duplicate or too long, or a member cannot take new names.
        InputError
            If a member is left without an image of a known class that could set the scale.
        """
        copies = map(copy.copy, self._members().detectors)
        members = [member.set_vocabulary(class_names, X, y, groups) for member in copies]
        return self._adopt(members, getattr(self, "_all_used", False))

    def calibrate(self, X: Any = None, y: Any = None, groups: Any = None) -> Self:
        """Set the scale and the threshold anew, without any training; see `NegPromptDetector.calibrate`.

        The members in `detectors` stay as they are; copies change.

        Parameters
        ----------
        X, y, groups : optional
            Known images, their labels and groups, for all members; by default what each has kept.

        Returns
        -------
        self

        Raises
        ------
        InputError
            If there are too few images for the `contamination` of the ensemble or of a member.
        """
        members = [copy.copy(member).calibrate(X, y, groups) for member in self._members().detectors]
        n, needed = len(members[0].calibration_scores_), smallest_calibration_set(self.contamination)
        if n < needed:
            raise InputError(
                f"{n} calibration images are too few for the ensemble's contamination="
                f"{self.contamination}: at least {needed} are needed."
            )
        return self._adopt(members, X is not None or getattr(self, "_all_used", False))

    def p_values(self, X: Any) -> np.ndarray:
        """How unusual each image is among images of the known classes; see `NegPromptDetector.p_values`.

        Where all members were calibrated on the same images, they are conformal p-values of the
        ensemble's scores. Where not, twice the mean of the members' p-values (at most 1), which is a
        p-value however the members depend on each other (Vovk and Wang, 2020).

        Parameters
        ----------
        X : images or embeddings, as in `fit`

        Returns
        -------
        ndarray of shape (n,), float64
        """
        members = self._members()
        scale = self._scale(members)
        scores = members.scores(members.represent(X))
        if scale.combined is None:
            return np.minimum(2 * combine(scores, scale.references, "p_value"), 1.0)
        return p_values(combine(scores, scale.references, self.method), scale.combined)

    def save(self, path: str | os.PathLike) -> None:
        """Write the fitted ensemble to one file; see `skneg.persistence.save`."""
        from ..persistence import save

        save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike, **parameters: Any) -> Self:
        """Load an ensemble; see `skneg.load`, which takes files of any detector."""
        from ..persistence import load_as

        return load_as(cls, path, parameters)

    @property
    def offset_(self) -> float:
        return self._scale(self._members()).offset

    def __getattr__(self, name: str) -> Any:
        if name in ("classes_", "unknown_label_", "n_features_in_", "feature_names_in_"):
            return getattr(self._members().states[0], name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __sklearn_is_fitted__(self) -> bool:
        members = getattr(self, "detectors_", self.detectors)
        return all(hasattr(member, "classes_") for member in members)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        given = self.detectors if isinstance(self.detectors, list | tuple) else ()
        members = [get_tags(member) for member in given if isinstance(member, OpenSetDetector)]
        tags.input_tags.string = True
        tags.input_tags.two_d_array = all(member.input_tags.two_d_array for member in members)
        tags.target_tags.required = any(member.target_tags.required for member in members)
        tags.classifier_tags.poor_score = any(member.classifier_tags.poor_score for member in members)
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_known_scale"}

    def _check_parameters(self) -> None:
        check_option("method", self.method, ("p_value", "rank"))
        check_between("contamination", self.contamination, 0, 1)
        if not isinstance(self.detectors, list | tuple) or not self.detectors:
            raise InputTypeError(
                f"detectors must be a list of at least one detector, got {self.detectors!r}."
            )
        for position, detector in enumerate(self.detectors):
            if not isinstance(detector, OpenSetDetector):
                raise InputTypeError(f"detectors[{position}] is {detector!r}, expected a skneg detector.")

    def _members(self) -> Members:
        """The fitted members, which agree on labels."""
        self._check_parameters()
        members = list(getattr(self, "detectors_", self.detectors))
        for position, member in enumerate(members):
            if not member.__sklearn_is_fitted__():
                raise NotFittedError(
                    f"this ScoreEnsemble is not fitted, since detectors[{position}] "
                    f"({type(member).__name__}) is not: combine fitted detectors, or call fit."
                )
        return Members(members, [member._fitted() for member in members])

    def _adopt(self, detectors: list[OpenSetDetector], all_used: bool) -> Self:
        members = Members(detectors, [detector._fitted() for detector in detectors])
        scale = self._make_scale(members, all_used)
        self.__dict__.update(detectors_=detectors, _all_used=all_used, _known_scale=scale)
        return self

    def _scale(self, members: Members) -> _Scale:
        """What turns the members' scores into the ensemble's; kept until something changes."""
        known, facts = (
            getattr(self, "_known_scale", None),
            [self.method, self.contamination, *members.facts()],
        )
        if known is None or len(known.facts) != len(facts) or any(map(differ, known.facts, facts)):
            self._known_scale = known = self._make_scale(members, getattr(self, "_all_used", False))
        return known

    def _make_scale(self, members: Members, all_used: bool) -> _Scale:
        scores, facts = members.calibration_scores(), [self.method, self.contamination, *members.facts()]
        references = [np.sort(own) for own in scores]
        aligned = all_used or members.same_images()
        if not aligned or len({len(own) for own in scores}) > 1:
            return _Scale(facts, references, self.contamination + 1e-9, None)  # up to and including it
        values = np.sort(combine(scores, references, self.method))
        if self.method == "p_value":
            # A new image counts itself in its p-value, so a calibration image, which its own scores hold
            # already, must not count once more. Then to reject up to and including the threshold keeps
            # the split-conformal promise; p-values are multiples of `step`, half of which is out of reach
            # of rounding.
            n = len(values)
            step = 1 / (len(members.detectors) * (n + 1))
            values = values - 1 / (n + 1) + step / 2
        whose = "the ensemble's threshold"
        offset = Calibrator.of(None, None, values, self.contamination, whose).offset
        return _Scale(facts, references, offset, values)

    def _stored_state(self) -> tuple[dict[str, Any] | None, None]:
        """What a file holds of the fitted ensemble, and its backbone: those of its members are enough."""
        if "detectors_" not in vars(self):
            return None, None
        return {"detectors_": self.detectors_, "all_used": self._all_used}, None

    def _restore_state(self, values: Mapping[str, Any], backbone: None) -> None:
        """Take what `_stored_state` gave."""
        if set(values) != {"detectors_", "all_used"} or values["all_used"] not in (True, False):
            raise PersistenceError("its ScoreEnsemble holds more or less than detectors_ and all_used.")
        self.__dict__.update(detectors_=values["detectors_"], _all_used=values["all_used"])
        self._members()


class _Scale(NamedTuple):
    facts: list[Any]  # what it was computed from
    references: list[np.ndarray]  # each member's calibration scores, sorted
    offset: float
    combined: np.ndarray | None  # the ensemble's own, sorted; None where members have no images in common

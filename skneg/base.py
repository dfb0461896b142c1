"""The estimator that all detectors are: input, labels, threshold, prediction."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from html import escape
from time import perf_counter
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from . import inspection, streams
from ._fitting import answers, check_answers, fit_state, label_sets, recalibrate, with_unknown
from ._method import Method
from ._more_images import moved
from ._reading import in_blocks, noting_models, read_images
from ._sklearn import DOC_LINK, asks_known_or_unknown, refuse_unknown, share_parameters, tag, with_defaults
from ._state import FittedState
from ._utils import check_between
from .metrics import register_scorers
from .vocabulary import ClassNames, replace_vocabulary

# Whoever has a detector may say scoring="ood_auroc".
register_scorers()


class OpenSetDetector(Method, ClassifierMixin, BaseEstimator):
    """A classifier that also answers "none of these"; base class of all detectors.

    A subclass fills in the hooks of `skneg._method`. What `fit`, `set_vocabulary` and `calibrate` make is put
    in place at their end, as one object: an error leaves the detector as it was.
    """

    _doc_link_module = "skneg"
    _doc_link_template = DOC_LINK

    _state: FittedState

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        share_parameters(cls)

    def __new__(cls, *args: Any, **parameters: Any) -> Self:  # noqa: D102
        refuse_unknown(cls, parameters)
        return super().__new__(cls)

    def __init__(
        self,
        *,
        model: str = "ViT-B-16",
        class_names: ClassNames | None = None,
        contamination: float = 0.05,
        unknown_label: Any = "auto",
        pretrained: str | None = None,
        device: str = "auto",
        precision: str = "auto",
        batch_size: int = 64,
        verbose: bool | int = False,
    ) -> None:
        self.model = model
        self.class_names = class_names
        self.contamination = contamination
        self.unknown_label = unknown_label
        self.pretrained = pretrained
        self.device = device
        self.precision = precision
        self.batch_size = batch_size
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None, class_names: ClassNames | None = None, groups: Any = None) -> Self:
        """Learn from a few images of each known class.

        Parameters
        ----------
        X : sequence of images, or array-like of shape (n, d) of floats
            Paths, bytes, Pillow images, uint8 arrays or tensors in a list, 1-D array, Series, one-column
            table or data set (torch, torchvision, Hugging Face); one uint8 array (n, height, width,
            channels), RGB; one tensor (n, 3, height, width), uint8 pixels or floats that are already
            preprocessed for this model; or embeddings. docs/images.md says what is refused or warned of.
        y : array-like of shape (n,)
            A label for each image: integers or strings. Rows labelled `unknown_label` are not used.
            Detectors that learn nothing from images work without it, given `class_names`.
        class_names : sequence of str or mapping of label to str, optional
            What the text tower reads; the constructor's `class_names` by default. String labels name
            themselves without it. In a sequence, position i names ``classes_[i]``; in one that is
            longer than the labels seen, which then must count from 0, it names integer label i, and the
            extra names are classes without images. String labels that are themselves among the names
            keep their own. A mapping is safer: it stays right in a fold that lacks a class.
        groups : array-like of shape (n,), optional
            Which images belong together, such as copies, crops or frames of one film: integers or
            strings. The threshold takes none of a group as new beside the others of it.

        Returns
        -------
        self

        Raises
        ------
        ImageError
            If images cannot be read; its ``errors`` has one for each, with its ``index``.
        VocabularyError
            If a class has no name, or a name is empty, duplicate or too long.
        InputError, InputTypeError
            If X, y or a parameter is not usable.
        BackboneError
            If the model cannot be had.
        """
        start = perf_counter()
        with noting_models() as used:
            self._check_once(anew=True)
            state = fit_state(self, X, y, self.class_names if class_names is None else class_names, groups)
        self._state = replace(state, backbone={"name": used[0]} if used else None)
        if self.verbose:
            told = "; ".join(self.summary().splitlines())
            logging.getLogger("skneg").info("%s. Fitted in %.1f s", told, perf_counter() - start)
        return self

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
        return in_blocks(self, self._fitted(), X, partial(answers, self))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Closed-set posterior: which class, given that it is one of them.

        Parameters
        ----------
        X : images or embeddings, as in `fit`

        Returns
        -------
        ndarray of shape (n, k), float64
            Columns in the order of ``classes_``; rows sum to 1. Says nothing about unknown classes.
        """
        return in_blocks(self, self._fitted(), X, self._posterior)

    def score_samples(self, X: Any) -> np.ndarray:
        """The raw score of each image; larger = more in-distribution.

        Parameters
        ----------
        X : images or embeddings, as in `fit`

        Returns
        -------
        ndarray of shape (n,), float64
        """
        return in_blocks(self, self._fitted(), X, self._score)

    @available_if(asks_known_or_unknown)
    def decision_function(self, X: Any) -> np.ndarray:
        """``score_samples(X) - offset_``: negative where an image is rejected as unknown.

        Parameters
        ----------
        X : images or embeddings, as in `fit`

        Returns
        -------
        ndarray of shape (n,), float64
            It answers known or unknown, whatever the number of classes. Tools of scikit-learn that look for
            scores of classes do not see it, and take `predict_proba` (docs/searches.md).
        """
        return in_blocks(self, self._fitted(), X, lambda state, Z: self._score(state, Z) - state.offset_)

    def p_values(self, X: Any) -> np.ndarray:
        """How unusual each image is among images of the known classes.

        The conformal p-value ``(1 + #{c <= s}) / (n_calibration + 1)`` of a score s, with c the
        ``calibration_scores_`` (Bates et al., Annals of Statistics 2023). Where there are enough of them
        for `contamination`, `predict` rejects exactly the images with ``p <= contamination``.

        Parameters
        ----------
        X : images or embeddings, as in `fit`

        Returns
        -------
        ndarray of shape (n,), float64
            Between ``1 / (n_calibration + 1)`` and 1; small = unlike the known classes. A new image of
            the known classes has a p-value of at most a with a chance of at most a, whatever a.
        """
        return in_blocks(
            self, self._fitted(), X, lambda state, Z: state.calibrator.p_values(self._score(state, Z))
        )

    def predict_set(self, X: Any, alpha: float = 0.05, by_class: bool = False) -> np.ndarray:
        """All classes that each image may well be of; none where it is unlike each of them.

        Class c is kept where the p-value of its own score, c in the place of all classes, is above alpha
        among the own-class scores of the images that have set the threshold. So the class of a new known
        image is left out with a chance of about alpha, or at most that where these images were held out.

        Parameters
        ----------
        X : images or embeddings, as in `fit`
        alpha : float, default=0.05
            Chance to leave out the right class.
        by_class : bool, default=False
            Whether to compare with images of class c alone (Mondrian), so that alpha holds for each class.
            A class with fewer than ``1 / alpha - 1`` of them is never left out, with a warning.

        Returns
        -------
        ndarray of shape (n, k), bool
            Columns in the order of ``classes_``; ``[classes_[row] for row in sets]`` are the labels.

        Raises
        ------
        InputError
            If alpha is not between 0 and 1, or the threshold comes from images without labels.
        """
        check_between("alpha", alpha, 0, 1)
        state = self._fitted()
        return in_blocks(self, state, X, label_sets(self, state, alpha, by_class))

    def calibrate(self, X: Any = None, y: Any = None, groups: Any = None) -> Self:
        """Set the threshold anew, without any training.

        ``calibrate()`` brings it up to date after ``set_params`` has changed `contamination` or a parameter
        of the score (where prompts were cross-fitted and the score has changed, about: fit again). With `X`
        it comes from other images, such as ones of the place where it works. See docs/thresholds.md.

        Parameters
        ----------
        X : images or embeddings, as in `fit`, optional
            Of the known classes, with no part in training; they take the place of those kept so far. By
            default those kept so far are scored again.
        y : array-like of shape (n,), optional
            Their labels, of ``classes_``; rows labelled ``unknown_label_`` are not used. Needed for the
            threshold to follow `set_vocabulary` exactly, and for `predict_set`.
        groups : array-like of shape (n,), optional
            See `fit`. One image of each group sets the threshold, drawn with a fixed seed.

        Returns
        -------
        self

        Raises
        ------
        ImageError
            If images cannot be read; its ``errors`` has one for each, with its ``index``.
        InputError
            If there are fewer than ``1 / contamination - 1`` images of known classes, too few for
            `contamination`; or a label is not among ``classes_``. The detector is then as it was.
        """
        self._state = recalibrate(self, self._fitted(), X, y, groups)
        return self

    def calibrate_unknown(
        self, X: Any, y: Any = None, *, accepted: float | None = None, cost: float | None = None
    ) -> Self:
        """Set the threshold by images that are known to be unknown, beside those that have set it so far.

        Until `calibrate`, `set_vocabulary` or `add_images` sets it anew; p-values stay.

        Parameters
        ----------
        X : images or embeddings, as in `fit`
        y : array-like of shape (n,), optional
            Labels; rows labelled ``unknown_label_`` are used. By default all rows are.
        accepted, cost : float, optional
            One of both: the share of new unknown images that may be accepted; or what one of them costs, in
            rejected known ones. See `skneg.threshold.offset_by_unknown`, also for errors.
        """
        self._state = with_unknown(self, self._fitted(), X, y, accepted, cost)
        return self

    def set_vocabulary(
        self, class_names: ClassNames, X: Any = None, y: Any = None, groups: Any = None
    ) -> Self:
        """Replace the known classes: no prompt is trained, only names go through the text tower.

        ``offset_`` is computed anew from the images kept from `fit`, each scored in the new vocabulary, with
        its own class added where it is missing. Where all their classes stay, that is the same threshold;
        where they go, a guess without a guarantee; images of them give one. See docs/new-classes.md.

        Parameters
        ----------
        class_names : sequence of str or mapping of label to str
            All classes known from now on. In a sequence, the names are the labels where the detector
            was fitted on strings, and label i is the i-th name where it was fitted on numbers.
            ``classes_`` are sorted.
        X : images or embeddings, as in `fit`, optional
            Images of new classes, or more of known ones. Classes that stay keep what they have.
        y, groups : array-like of shape (n,), optional
            Their labels, among those of the new vocabulary, and groups; see `fit`.

        Raises
        ------
        VocabularyError
            If a name is empty, duplicate or too long, or the detector cannot take new names.
        """
        state = self._fitted()
        self._state = moved(self, state, replace_vocabulary(class_names, like=state.classes_), X, y, groups)
        return self

    def add_images(self, X: Any, y: Any, groups: Any = None) -> Self:
        """More images of known classes, without training; parameters and errors as of `set_vocabulary`.

        Detectors that know classes by images learn from them. So does the threshold, unless it comes from
        images that were held out or given to `calibrate`, and the detector has learned from the new ones.
        """
        state = self._fitted()
        self._state = moved(self, state, state.vocabulary, X, y, groups)
        return self

    def set_params(self, **params: Any) -> Self:
        """Set parameters; ``recipe__n_negative=4`` and the like set a part of one."""
        if params:  # also of a part, which `__setattr__` does not see
            self.__dict__.pop("_checked", None)
        return super().set_params(**with_defaults(self, params))

    def explain(self, X: Any) -> inspection.Explanations:
        """What lies behind the answer to each image; see `skneg.inspection.explain`."""
        return inspection.explain(self, X)

    def predict_stream(
        self, images: Any, chunk: int = 1024, *, on_error: str = "raise"
    ) -> Iterator[streams.Predictions]:
        """Answers to any number of images, `chunk` of them at a time; see `skneg.streams.predict_stream`."""
        return streams.predict_stream(self, images, chunk, on_error=on_error)

    def summary(self) -> str:
        """What was fitted, in a few lines; see `skneg.inspection.summary`."""
        return inspection.summary(self)

    def _html_repr(self) -> str:
        """scikit-learn's diagram, below what was fitted."""
        told = escape(self.summary()) if self.__sklearn_is_fitted__() else "not fitted"
        return f"<pre>{told}</pre>{super()._html_repr()}"

    def save(self, path: str | os.PathLike) -> None:
        """Write the fitted detector to one file; see `skneg.persistence.save`."""
        from .persistence import save

        save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike, **parameters: Any) -> Self:
        """Load a detector of this class; see `skneg.load`, which takes files of any."""
        from .persistence import load_as

        return load_as(cls, path, parameters)

    def __getattr__(self, name: str) -> Any:
        # Fitted attributes; asked only where normal look-up finds nothing.
        state = vars(self).get("_state")
        if name.endswith("_") and hasattr(state, name):
            return getattr(state, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name.endswith("_") and hasattr(vars(self).get("_state"), name):  # it would act on nothing
            raise AttributeError(f"{name} comes from fit, set_vocabulary or calibrate and cannot be set.")
        super().__setattr__(name, value)
        if not name.startswith("_"):
            self.__dict__.pop("_checked", None)

    def __sklearn_is_fitted__(self) -> bool:
        return "_state" in vars(self)

    def __sklearn_tags__(self) -> Any:
        return tag(self, super().__sklearn_tags__())

    def _fitted(self) -> FittedState:
        check_is_fitted(self)
        self._check_once()
        return self._state

    def _see(self, X: Any) -> tuple[FittedState, Any]:
        """The state, read once, and what the method sees of X."""
        state = self._fitted()
        return state, self._represent(read_images(self, X, state))

    def _stored_state(self) -> tuple[dict[str, Any] | None, Mapping[str, Any] | None]:
        """What a file holds of the fitted detector, as plain values, and the model that it needs."""
        state = vars(self).get("_state")
        return (None, None) if state is None else (state.as_values(), state.backbone)

    def _restore_state(self, values: Mapping[str, Any], backbone: Mapping[str, Any] | None) -> None:
        """Take what `_stored_state` gave, once one image that was kept can be scored with it."""
        self._state = FittedState.from_values(values, backbone)
        check_answers(self, self._fitted())

"""NegPrompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from .._utils import check_at_least, check_option
from ..bank import TextBank
from ..prompts.recipe import PromptRecipe
from ..scores import negative_odds, negprompt
from ..words import Words, as_words, embed_names, image_rank
from ._prompt import PromptDetector, rows_of, trained_classes

if TYPE_CHECKING:
    from .._state import FittedState

_HAND_WRITTEN = "a photo of a"
_PAPER: dict[str, Any] = {
    "anchor_weight": 0.0,
    "outlier_weight": 0.0,
    "negative_noise": 1e-5,
    "positive_steps": 100,
    "negative_steps": 10,
    "step_unit": "epochs",
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "train_batch_size": 64,
}
_RELEASED = {**_PAPER, "nis_over": "all", "negative_steps": 100, "gamma": 0.05 / 4}


class NegPromptDetector(PromptDetector):
    """OOD detection with learned negative prompts [1]_, and words as further negatives.

    One positive context and `n_negative` negative contexts are learned in front of the class names, the
    negatives so that images of the known classes stay away from them. The contexts are shared by all
    classes, so new class names can be given without any image (`set_vocabulary`).

    The two stages, the prompts and the losses NIS, NPD and NND are those of [1]_. The defaults add what
    was found to hold on look-alike classes as well as on varied ones (docs/study.md): words of a list
    as negatives of no class, in the score and in training; positives drawn to the hand-written prompt
    ([2]_); words in the place of outlier images; and the log odds of `skneg.scores.negative_odds` as
    score. `paper` gives the recipe of [1]_ alone, `released` what its code computes.

    Parameters
    ----------
    model : str, default="ViT-B-16"
        The CLIP model; see `skneg.backbone.load_backbone`, also for `pretrained`, `device`, `precision`.
    class_names : sequence of str or mapping of label to str, optional
        Names of the classes; see `fit`. Searches such as `GridSearchCV` need them here, since they
        slice parameters of `fit` as long as `y`.
    contamination : float, default=0.05
        Share of images of the known classes that may be rejected. Changed after `fit`, it takes effect
        with `calibrate`, which trains nothing.
    random_state : int, RandomState or None, default=None
        Decides the held-out images, the initial noise, the mini-batches and the outliers of each step.
    recipe : PromptRecipe, optional
        How the prompts are trained; None is `PromptRecipe` with its defaults. A search sets parts of it
        with ``recipe__n_negative`` and the like.
    words : Words, str, sequence of str or None, default="nouns"
        Words as negatives of no class: a list, or `Words` to say which of them are taken. They stand
        beside the classes in the cross-entropy of the positives and in the score. None: no words.
    score_func : {"odds", "negprompt"}, default="odds"
        ``"odds"``: log odds of the positives against words and negatives, see
        `skneg.scores.negative_odds`. ``"negprompt"``: eq. 3 of [1]_, words among the negatives.
    negative_weight : float, default=0.1
        Weight of the learned negatives in ``score_func="odds"``.
    score_temperature : float, optional
        What cosines are divided by in the score. None: the model's own temperature (0.01 for CLIP) for
        ``"odds"``, 1 for ``"negprompt"``. Changed after `fit`, it changes scores at once, and the
        threshold with `calibrate`.
    calibration : {"auto", "holdout", "train"} or float, default="auto"
        Images that set the threshold. A number, such as 0.2, is the share of them that is held out from
        training, which makes `contamination` hold on average for new images; ``"holdout"`` is 0.2.
        ``"train"`` uses the training images, and rejects more. ``"auto"`` holds 0.2 out where that leaves
        enough images to calibrate on, and warns where it does not.
    unknown_label : label or None, default="auto"
        What `predict` answers for rejected images: ``"auto"`` is -1 beside integer labels and
        ``"unknown"`` beside strings; None never rejects. Rows of `y` with this label are not used.
    pretrained, device, precision
        See `model`.
    batch_size : int, default=64
        Images per forward pass of the image tower.
    verbose : bool, default=False
        Whether to show progress bars.

    Attributes
    ----------
    classes_ : ndarray of shape (k,)
        Labels of the known classes.
    class_names_ : list of str
        Their names.
    text_bank_ : TextBank
        ``positive`` (k, d), ``negative`` (k n_negative, d), class-major, and the words as ``common``.
    words_ : list of str
        The words, in the order of ``text_bank_.common``.
    trained_names_ : list of str
        Names of the classes that had images.
    positive_context_ : ndarray of shape (n_ctx, width) or (k, n_ctx, width)
        The learned positive context, or one for each class that had images.
    negative_context_ : ndarray of shape (n_negative, n_ctx, width) or (n_negative, k, n_ctx, width)
        The learned negative contexts.
    offset_ : float
        The threshold: ``decision_function = score_samples - offset_``.
    history_ : dict of str to ndarray of shape (steps,)
        Every loss term, weighted as in the total, at each step: ``"positive/cross_entropy"``,
        ``"positive/anchor"``, ``"negative/nis"``, ``"negative/npd"``, ``"negative/nnd"``,
        ``"negative/outliers"`` and the totals.
    temperature_ : float
        The model's temperature, used by `predict_proba`.
    unknown_label_ : label or None
        The resolved `unknown_label`.
    calibration_embeddings_ : ndarray of shape (n_calibration, d)
        Embeddings that set the threshold, kept so that it can follow the vocabulary.
    calibration_names_ : list of str or None
        Their class names; None where they came without labels.
    calibration_scores_ : ndarray of shape (n_calibration,)
        Their scores, sorted, in the current vocabulary: what `p_values` compares with.
    backbone_ : str or None
        Name of the model that `fit` has used.
    n_features_in_ : int
        d; only after `fit` on embeddings.

    References
    ----------
    .. [1] Li et al., "Learning Transferable Negative Prompts for Out-of-Distribution Detection",
       CVPR 2024.
    .. [2] Yao et al., "Visual-Language Prompt Tuning with Knowledge-guided Context Optimization",
       CVPR 2023.

    Examples
    --------
    >>> from skneg import NegPromptDetector
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(120, shapes=["star", "heart", "tree", "key"], random_state=0)
    >>> detector = NegPromptDetector(model="skneg-tiny", random_state=0).fit(X, y)
    >>> strange, _ = make_scenes(20, shapes=["umbrella", "fish"], random_state=1)
    >>> scores = detector.score_samples(X).mean(), detector.score_samples(strange).mean()
    >>> bool(scores[0] > scores[1])
    True
    >>> detector.set_vocabulary(["umbrella", "fish", "star"]).classes_.tolist()
    ['umbrella', 'fish', 'star']
    """

    reference = "Li et al., CVPR 2024"
    default_recipe = PromptRecipe()
    default_words = Words()

    def __init__(
        self,
        *,
        recipe: PromptRecipe | None = None,
        words: Words | str | Sequence[str] | None = "nouns",
        score_func: str = "odds",
        negative_weight: float = 0.1,
        score_temperature: float | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(recipe=recipe, **shared)
        self.words = words
        self.score_func = score_func
        self.negative_weight = negative_weight
        self.score_temperature = score_temperature

    @classmethod
    def paper(cls, **parameters: Any) -> Self:
        """A detector with the recipe printed in [1]_, and nothing of ours.

        NIS over the negatives (eq. 4), 100 epochs of CoOp, 10 of negative prompts, no words, eq. 3 at
        temperature 1. The paper names neither optimizer nor start of the negatives: they are its code's.

        Parameters
        ----------
        **parameters
            Parameters of the constructor that differ; ``recipe__beta=0.2`` and the like are taken too.

        Returns
        -------
        NegPromptDetector
        """
        return cls._published(_PAPER, parameters)

    @classmethod
    def released(cls, **parameters: Any) -> Self:
        """A detector that computes what the code of [1]_ does when its scripts are read as meant.

        NIS over all logits, 100 epochs in both stages, and the NND loss about four times weaker than
        printed, which is what its slip in that loss comes to with two negatives.

        Parameters
        ----------
        **parameters
            Parameters of the constructor that differ; ``recipe__beta=0.2`` and the like are taken too.

        Returns
        -------
        NegPromptDetector
        """
        return cls._published(_RELEASED, parameters)

    @classmethod
    def _published(cls, recipe: dict[str, Any], parameters: dict[str, Any]) -> Self:
        detector = cls(
            recipe=PromptRecipe(**recipe), words=None, score_func="negprompt", score_temperature=1.0
        )
        return detector.set_params(**parameters)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_at_least("negative_weight", self.negative_weight, 0)
        check_option("score_func", self.score_func, ("odds", "negprompt"))
        if self.words is not None:
            as_words(self.words, self.default_words).check()

    def _template(self) -> str:
        context = self._recipe().context_init
        return f"{_HAND_WRITTEN if context is None else context} {{}}"

    def _listed(self) -> tuple[list[str], np.ndarray]:
        """All words of the list, and their embeddings."""
        backbone = self._backbone()
        if self.words is None:
            return [], np.empty((0, backbone.text_tower.embed_dim), dtype=np.float32)
        return as_words(self.words, self.default_words).embed(backbone, [self._template()])

    def _negative_words(
        self, learned: Mapping[str, Any], names: Sequence[str], hand_written: np.ndarray
    ) -> tuple[list[str], np.ndarray]:
        """The words that mean none of the names, and their embeddings (w, d)."""
        words, embeddings = self._listed()
        if not words:
            return words, embeddings
        settings = as_words(self.words, self.default_words)
        rows = settings.choose(words, embeddings, hand_written, names, learned.get("image_rank_"))
        return [words[row] for row in rows], embeddings[rows]

    def _hand_written(self, names: Sequence[str]) -> np.ndarray:
        tower = self._backbone().text_tower
        return embed_names(tower, names, [self._template()], shared_prefix=True)

    def _learn(
        self, Z: np.ndarray, targets: np.ndarray | None, names: Sequence[str], seed: int
    ) -> dict[str, Any]:
        from ..prompts.training import train_prompts

        assert targets is not None
        trained, targets = trained_classes(targets, names)
        anchors = self._hand_written(trained)
        fitted: dict[str, Any] = {"trained_names_": trained}
        if self.words is not None and as_words(self.words, self.default_words).selection == "images":
            fitted["image_rank_"] = image_rank(self._listed()[1], Z, targets, anchors)
        learned = train_prompts(
            self._backbone().text_tower,
            trained,
            Z,
            targets,
            self._recipe(),
            anchors=anchors,
            words=self._negative_words(fitted, trained, anchors)[1],
            seed=seed,
            verbose=bool(self.verbose),
        )
        return {
            **fitted,
            "positive_context_": learned.positive_context,
            "negative_context_": learned.negative_context,
            "history_": learned.history,
        }

    def _prepare(self, learned: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        positive, negative = learned["positive_context_"][None], learned["negative_context_"]
        if positive.ndim == 4:  # a context for each class
            rows = rows_of(
                learned,
                names,
                "shared=False learns one context for each class that has images, which says nothing of "
                "other names. Fit with shared=True.",
            )
            positive, negative = positive[:, rows], negative[:, rows]
        words, common = self._negative_words(learned, names, self._hand_written(names))
        bank = TextBank.of_contexts(
            self._embed_contexts(positive, names)[0], self._embed_contexts(negative, names), common
        )
        return {"text_bank_": bank, "words_": words}

    def _score(self, state: FittedState, Z: np.ndarray) -> np.ndarray:
        chosen, temperature = self.score_func, self.score_temperature
        if temperature is None:
            temperature = state.temperature_ if chosen == "odds" else 1.0

        def score(positive: np.ndarray, negative: np.ndarray, words: np.ndarray) -> np.ndarray:
            if chosen == "odds":
                return negative_odds(positive, negative, words, temperature, self.negative_weight)
            return negprompt(positive, np.concatenate([negative, words], axis=1), temperature)

        return state.text_bank_.score(Z, score)

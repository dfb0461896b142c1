"""NegPrompt."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any, Self

import numpy as np

from .._validation import check_at_least, check_option
from ..bank import TextBank
from ..errors import InputError
from ..scores import negative_odds, negprompt
from ..vocabulary import ClassNames
from ._choice import ScoreChoiceMixin
from ._prompted import PromptDetector, bank_of, recipe_from
from ._word_negatives import WordNegativesMixin

_PAPER: dict[str, Any] = {
    "words": None,
    "anchor_weight": 0.0,
    "outlier_weight": 0.0,
    "negative_noise": 1e-5,
    "positive_steps": 100,
    "negative_steps": 10,
    "step_unit": "epochs",
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "train_batch_size": 64,
    "score": "negprompt",
    "score_temperature": 1.0,
}


class NegPromptDetector(ScoreChoiceMixin, WordNegativesMixin, PromptDetector):
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
    model, pretrained, device, precision
        The CLIP model; see `skneg.backbone.load_backbone`.
    class_names : sequence of str or mapping of label to str, optional
        Names of the classes; see `fit`. Searches such as `GridSearchCV` need them here, since they
        slice parameters of `fit` as long as `y`.
    n_ctx : int, optional
        Number of context vectors. None: as many as `context_init` has tokens, or 16 without one. Any
        other number needs ``context_init=None``.
    context_init : str or None, default="a photo of a"
        Text that the positive context starts from; None starts from noise.
    n_negative : int, default=2
        Negative prompts for each class (p in [1]_).
    beta, gamma : float, default=0.1, 0.05
        Weights of the NPD and NND losses (eq. 7 of [1]_).
    nis_over : {"negatives", "all"}, default="negatives"
        Logits of the NIS loss: the negatives' alone as in eq. 4, or with the positives' as in the
        authors' code; see `skneg.prompts.losses.nis`.
    negative_init : str, default="positive"
        What the negative contexts start from: ``"positive"``, the learned positive context; ``"random"``;
        or a text, such as ``"not a photo of a"``.
    negative_noise : float, default=0.01
        Standard deviation of the noise that tells negative contexts apart at the start.
    shared : bool, default=True
        Whether all classes share their contexts. With False each class has its own, and
        `set_vocabulary` cannot take names that were not trained.
    one_stage : bool, default=False
        Whether to train positives and negatives together (the ablation of [1]_) rather than one after
        the other.
    words : "nouns", sequence of str or None, default="nouns"
        Words as negatives of no class: the nouns of `skneg.datasets.load_words`, a list, or none. They
        stand beside the classes in the cross-entropy of the positives and in the score. They are encoded
        once in a process, which takes longer with towers that cannot share a prefix (SigLIP, CoCa).
    max_word_cosine : float, default=0.9
        Words whose embedding is at least as close to a class name's are left out: they mean the class.
    anchor_weight : float, default=50.0
        Weight of 1 - the mean cosine between positives and hand-written prompts [2]_, which keeps a few
        images from bending the positives.
    outlier_weight : float, default=1.0
        Weight of the loss by which the negatives learn to outweigh the positives on words that stand
        for images; see `skneg.prompts.losses.textual_outliers`. Without `words` it does nothing.
    positive_steps, negative_steps : int, default=50, 50
        Length of each stage; 0 positive steps keep `context_init` as it is.
    step_unit : {"steps", "epochs"}, default="steps"
        What the lengths count.
    optimizer : {"adam", "sgd"}, default="adam"
        ``"sgd"`` is the authors': plain, its rate a cosine with a period of 200 steps.
    learning_rate : float, default=0.005
        Of the optimizer.
    train_batch_size : int, default=1024
        Embeddings per step; all of them where there are no more.
    train_temperature : float, optional
        What cosines are divided by in training; None takes the model's own (0.01 for CLIP).
    score : {"odds", "negprompt"}, default="odds"
        ``"odds"``: log odds of the positives against words and negatives, see
        `skneg.scores.negative_odds`. ``"negprompt"``: eq. 3 of [1]_, words among the negatives.
    negative_weight : float, default=0.1
        Weight of the learned negatives in ``score="odds"``.
    score_temperature : float, optional
        What cosines are divided by in the score. None: the model's own temperature (0.01 for CLIP) for
        ``"odds"``, 1 for ``"negprompt"``. Changed after `fit`, it changes scores at once, and the
        threshold with `calibrate`.
    batch_size : int, default=64
        Images per forward pass of the image tower.
    contamination : float, default=0.05
        Share of images of the known classes that may be rejected. Changed after `fit`, it takes effect
        with `calibrate`, which trains nothing.
    calibration : {"auto", "holdout", "train"}, default="auto"
        Images that set the threshold: ``"holdout"`` sets `calibration_fraction` of them aside from
        training, which makes `contamination` hold on average for new images; ``"train"`` uses the
        training images, and rejects more. ``"auto"`` holds out where that leaves enough images to
        calibrate on, and warns where it does not.
    calibration_fraction : float, default=0.2
        Share of the images to hold out.
    unknown_label : label or None, default="auto"
        What `predict` answers for rejected images: ``"auto"`` is -1 beside integer labels and
        ``"unknown"`` beside strings; None never rejects. Rows of `y` with this label are not used.
    random_state : int, RandomState or None, default=None
        Decides the held-out images, the initial noise, the mini-batches and the outliers of each step.
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

    def __init__(
        self,
        *,
        model: str = "ViT-B-16",
        pretrained: str | None = None,
        class_names: ClassNames | None = None,
        n_ctx: int | None = None,
        context_init: str | None = "a photo of a",
        n_negative: int = 2,
        beta: float = 0.1,
        gamma: float = 0.05,
        nis_over: str = "negatives",
        negative_init: str = "positive",
        negative_noise: float = 1e-2,
        shared: bool = True,
        one_stage: bool = False,
        words: str | Sequence[str] | None = "nouns",
        max_word_cosine: float = 0.9,
        anchor_weight: float = 50.0,
        outlier_weight: float = 1.0,
        positive_steps: int = 50,
        negative_steps: int = 50,
        step_unit: str = "steps",
        optimizer: str = "adam",
        learning_rate: float = 5e-3,
        train_batch_size: int = 1024,
        train_temperature: float | None = None,
        score: str = "odds",
        negative_weight: float = 0.1,
        score_temperature: float | None = None,
        device: str = "auto",
        precision: str = "auto",
        batch_size: int = 64,
        contamination: float = 0.05,
        calibration: str = "auto",
        calibration_fraction: float = 0.2,
        unknown_label: Any = "auto",
        random_state: Any = None,
        verbose: bool | int = False,
    ) -> None:
        super().__init__(
            model=model,
            pretrained=pretrained,
            class_names=class_names,
            device=device,
            precision=precision,
            batch_size=batch_size,
            contamination=contamination,
            calibration=calibration,
            calibration_fraction=calibration_fraction,
            score_temperature=score_temperature,  # type: ignore[arg-type]
            unknown_label=unknown_label,
            random_state=random_state,
            verbose=verbose,
        )
        self.n_ctx = n_ctx
        self.context_init = context_init
        self.n_negative = n_negative
        self.beta = beta
        self.gamma = gamma
        self.nis_over = nis_over
        self.negative_init = negative_init
        self.negative_noise = negative_noise
        self.shared = shared
        self.one_stage = one_stage
        self.positive_steps = positive_steps
        self.negative_steps = negative_steps
        self.learning_rate = learning_rate
        self.train_batch_size = train_batch_size
        self.train_temperature = train_temperature
        self.words = words
        self.max_word_cosine = max_word_cosine
        self.anchor_weight = anchor_weight
        self.outlier_weight = outlier_weight
        self.step_unit = step_unit
        self.optimizer = optimizer
        self.score = score  # type: ignore[method-assign, assignment]
        self.negative_weight = negative_weight

    @classmethod
    def paper(cls, **parameters: Any) -> Self:
        """A detector with the recipe printed in [1]_, and nothing of ours.

        NIS over the negatives (eq. 4), 100 epochs of CoOp, 10 of negative prompts, eq. 3 at temperature
        1. The paper names neither optimizer nor start of the negatives: they are its code's.

        Parameters
        ----------
        **parameters
            Parameters of the constructor that differ.

        Returns
        -------
        NegPromptDetector
        """
        return cls(**{**_PAPER, **parameters})

    @classmethod
    def released(cls, **parameters: Any) -> Self:
        """A detector that computes what the code of [1]_ does when its scripts are read as meant.

        NIS over all logits, 100 epochs in both stages, and the NND loss about four times weaker than
        printed, which is what its slip in that loss comes to with two negatives.

        Parameters
        ----------
        **parameters
            Parameters of the constructor that differ.

        Returns
        -------
        NegPromptDetector
        """
        return cls(**{**_PAPER, "nis_over": "all", "negative_steps": 100, "gamma": 0.05 / 4, **parameters})

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_at_least("n_negative", self.n_negative, 1, Integral)
        for name in ("positive_steps", "negative_steps"):
            check_at_least(name, getattr(self, name), 0, Integral)
        for name in (
            "beta", "gamma", "negative_noise", "anchor_weight", "outlier_weight", "negative_weight",
        ):  # fmt: skip
            check_at_least(name, getattr(self, name), 0)
        for name in ("shared", "one_stage"):
            check_option(name, getattr(self, name), (True, False))
        check_option("nis_over", self.nis_over, ("negatives", "all"))
        check_option("score", self._chosen_score, ("odds", "negprompt"))
        check_option("optimizer", self.optimizer, ("adam", "sgd"))
        check_option("step_unit", self.step_unit, ("steps", "epochs"))
        if not isinstance(self.negative_init, str):
            raise InputError(
                f"negative_init must be 'positive', 'random' or a text, got {self.negative_init!r}."
            )

    def _check_score_temperature(self) -> None:
        if self.score_temperature is not None:
            super()._check_score_temperature()

    def _learn(self, embeddings: np.ndarray, targets: np.ndarray, names: Sequence[str], seed: int) -> None:
        from ..prompts.recipe import PromptRecipe
        from ..prompts.training import train_prompts

        targets = self._choose_trained(targets, names)
        anchors, words = self._hand_written(self._trained_names), self._word_negatives(self._trained_names)
        learned = train_prompts(
            self._backbone().text_tower,
            self._trained_names,
            embeddings,
            targets,
            recipe_from(self, PromptRecipe),
            anchors=anchors,
            words=words,
            seed=seed,
            verbose=bool(self.verbose),
        )
        self.positive_context_ = learned.positive_context
        self.negative_context_ = learned.negative_context
        self.history_ = learned.history

    def _make_bank(self, names: Sequence[str]) -> TextBank:
        positive, negative = self.positive_context_[None], self.negative_context_
        if not self.shared:
            rows = self._rows_of(
                names,
                "shared=False learns one context for each class that has images, which says nothing of "
                "other names. Fit with shared=True.",
            )
            positive, negative = positive[:, rows], negative[:, rows]
        learned = bank_of(self._embed_contexts(positive, names)[0], self._embed_contexts(negative, names))
        return TextBank(learned.positive, learned.negative, learned.per_class, self._word_negatives(names))

    def _score_cosines(self, positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
        learned, words = np.split(negative, [positive.shape[1] * self.text_bank_.per_class], axis=1)
        temperature = self.score_temperature
        if temperature is None:
            temperature = self.temperature_ if self._chosen_score == "odds" else 1.0
        if self._chosen_score == "odds":
            return negative_odds(positive, learned, words, temperature, self.negative_weight)
        return negprompt(positive, negative, temperature)

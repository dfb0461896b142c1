"""NegPrompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils import gen_batches

from .._softmax import softmax
from .._utils import check_at_least, check_option
from ..bank import TextBank
from ..errors import VocabularyError
from ..evidence import CROSS_FITTED, PARTS, JointScore, folds
from ..prompts.recipe import PAPER, RELEASED, PromptRecipe
from ..scores import negative_odds, negprompt
from ..words import Words, as_words, embed_names, image_rank
from ._prompt import PromptDetector, rows_of, trained_classes

if TYPE_CHECKING:
    from .._state import FittedState


_CELLS = 2**22  # images x classes of which evidence is alive at a time: 32 MiB an array in float64


class NegPromptDetector(PromptDetector):
    """OOD detection with learned negative prompts [1]_, and words as further negatives.

    One positive context and `n_negative` negative contexts are learned in front of the class names, the
    negatives so that images of the known classes stay away from them. The contexts are shared by all
    classes, so new class names can be given without any image (`set_vocabulary`).

    The score joins what the prompts say of an image and what the training images say (`skneg.evidence`);
    each counts as much as it knows about the labels of the training images. No image is spent on the
    threshold: it comes from scores that each training image has without itself (docs/how-it-decides.md).

    The two stages, the prompts and the losses NIS, NPD and NND are those of [1]_. The defaults add words of
    a list as negatives of no class, in the score and in training; positives drawn to the hand-written
    prompt ([2]_); and words in the place of outlier images (docs/study.md). `paper` gives the recipe of
    [1]_ alone, `released` what its code computes; both score by text.

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
        Decides folds, held-out images, initial noise, mini-batches and the outliers of each step.
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
        threshold with `calibrate`; the weights of words and images stay, so better fit again.
    evidence : {"both", "text", "images"}, default="both"
        What the score uses. ``"text"``: the prompts alone, as in [1]_. ``"images"``: the training images
        alone; names may be anything, no prompt is learned, and embeddings need no model. Changed after
        `fit`, it acts with the next `fit`.
    calibration : {"auto", "cross", "holdout", "train"} or float, default="auto"
        Images that set the threshold. ``"cross"`` takes scores that each training image has without
        itself: nothing is held out, and `contamination` holds about (docs/thresholds.md). A number, such
        as 0.2, is the share of the images that is held out from training, which makes `contamination`
        hold on average for new images; ``"holdout"`` is 0.2. ``"train"`` uses the training images, and
        rejects more. ``"auto"`` is ``"cross"``.
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
    class_names_ : list of str
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
    evidence_weights_ : dict of str to float
        What ``"text"``, ``"images"``, ``"nearest"`` and ``"clarity"`` count for; absent with
        ``evidence="text"``, as is what is learned of prompts and words with ``"images"``.
    joint_score_ : JointScore
        What the images say, unless ``evidence="text"``; see `skneg.evidence`.
    history_ : dict of str to ndarray of shape (steps,)
        Every loss term, weighted as in the total: ``"positive/cross_entropy"``, ``"negative/nis"``, ...
    temperature_ : float
        The model's temperature, used by `predict_proba`.
    unknown_label_ : label or None
    calibration_embeddings_ : ndarray of shape (n_calibration, d), or CrossFitted
        Images that set the threshold, kept so that it can follow the vocabulary.
    calibration_names_ : list of str or None
        Their class names, where they came with labels.
    calibration_scores_ : ndarray of shape (n_calibration,)
        Their scores, sorted, in the current vocabulary: what `p_values` compares with.
    calibration_shift_ : ndarray of shape (n_calibration, 2) or None
        With ``calibration="cross"``, what is added to their scores, and to those of their own class.
    backbone_ : str or None
        Name of the model that `fit` has used.
    n_features_in_ : int
        d, after `fit` on embeddings.

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
    >>> bool(detector.score_samples(X).mean() > detector.score_samples(strange).mean())
    True
    """

    reference = "Li et al., CVPR 2024"
    default_recipe = PromptRecipe()
    default_words = Words()

    reads_names = property(lambda self: not self.one_class)  # type: ignore[assignment]
    one_class = property(lambda self: isinstance(self.evidence, str) and self.evidence == "images")  # type: ignore[assignment]

    def __init__(
        self,
        *,
        recipe: PromptRecipe | None = None,
        words: Words | str | Sequence[str] | None = "nouns",
        score_func: str = "odds",
        negative_weight: float = 0.1,
        score_temperature: float | None = None,
        evidence: str = "both",
        **shared: Any,
    ) -> None:
        super().__init__(recipe=recipe, **shared)
        self.evidence = evidence
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
        """
        return cls._published(PAPER, parameters)

    @classmethod
    def released(cls, **parameters: Any) -> Self:
        """A detector that computes what the code of [1]_ does when its scripts are read as meant.

        NIS over all logits, 100 epochs in both stages, and the NND loss about four times weaker than
        printed, which is what its slip in that loss comes to with two negatives. Parameters as of `paper`.
        """
        return cls._published(RELEASED, parameters)

    @classmethod
    def _published(cls, recipe: dict[str, Any], parameters: dict[str, Any]) -> Self:
        detector = cls(
            recipe=PromptRecipe(**recipe),
            words=None,
            score_func="negprompt",
            score_temperature=1.0,
            evidence="text",
        )
        return detector.set_params(**parameters)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_at_least("negative_weight", self.negative_weight, 0)
        check_option("score_func", self.score_func, ("odds", "negprompt"))
        check_option("evidence", self.evidence, ("both", "text", "images"))
        if self.words is not None:
            as_words(self.words, self.default_words).check()

    def _template(self) -> str:
        return f"{self._recipe().context_init or 'a photo of a'} {{}}"

    def _listed(self) -> tuple[list[str], np.ndarray]:
        """All words of the list, and their embeddings."""
        backbone = self._backbone()
        if self.words is None:
            return [], np.empty((0, backbone.text_tower.embed_dim), dtype=np.float32)
        return as_words(self.words, self.default_words).embed(backbone, [self._template()], self.verbose)

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

    def _space(self) -> tuple[int | None, float]:
        return (None, 1.0) if self.evidence == "images" else super()._space()

    def _learn(self, Z: Any, targets: Any, names: Sequence[str], seed: int, groups: Any) -> dict[str, Any]:
        with_text, text_of = self.evidence != "images", None
        trained, targets = trained_classes(targets, names, at_least=2 if with_text else 1)
        learned = {"trained_names_": trained}
        if with_text:
            learned |= self._learn_prompts(Z, targets, trained, seed)
        if self.evidence == "text":
            return learned
        rng = np.random.RandomState(seed)
        if with_text:
            bank = self._prepare(learned, trained)["text_bank_"]
            half = folds(targets, 2, rng, groups)
            banks, half = self._banks_of_halves(Z, targets, trained, bank, half, seed)

            def text_of(rows: np.ndarray, struck_out: Any = None) -> tuple[np.ndarray, np.ndarray]:
                logits, text = np.empty((len(rows), len(trained))), np.empty(len(rows))
                for number, own in enumerate(banks):
                    ours = half[rows] == number
                    gone = None if struck_out is None else struck_out[ours]
                    logits[ours], text[ours] = self._say(own, Z[rows[ours]], self._space()[1], gone)
                return logits, text

        joint, *cross_fitted = JointScore.fit(Z, targets, trained, rng, text_of, groups, self._columns())
        return {
            **learned,
            "joint_score_": joint,
            "evidence_weights_": dict(zip(PARTS, joint.weights.tolist(), strict=True)),
            CROSS_FITTED: tuple(cross_fitted),
        }

    def _learn_prompts(
        self, Z: np.ndarray, targets: np.ndarray, trained: list[str], seed: int
    ) -> dict[str, Any]:
        from ..prompts.training import train_prompts

        anchors, chosen = self._hand_written(trained), dict[str, Any]()
        if self.words is not None and as_words(self.words, self.default_words).selection == "images":
            chosen["image_rank_"] = image_rank(self._listed()[1], Z, targets, anchors)
        words = self._negative_words(chosen, trained, anchors)[1]
        learned = train_prompts(
            self._backbone().text_tower, trained, Z, targets, self._recipe(), anchors=anchors, words=words,
            seed=seed, verbose=bool(self.verbose),
        )  # fmt: skip
        return {
            **chosen,
            "positive_context_": learned.positive_context,
            "negative_context_": learned.negative_context,
            "history_": learned.history,
        }

    def _banks_of_halves(
        self, Z: np.ndarray, targets: np.ndarray, trained: list[str], bank: TextBank, half: Any, seed: int
    ) -> tuple[list[TextBank], np.ndarray]:
        """Banks with positives learned from one half of the images, where any are shared; whose is which."""
        recipe = self._recipe()
        few = any(len(np.unique(targets[half == number])) < 2 for number in (0, 1))
        if few or not (recipe.positive_steps and recipe.shared):
            return [bank], np.zeros(len(Z), dtype=int)
        from ..prompts.training import train_positives_without

        tower, anchors = self._backbone().text_tower, self._hand_written(trained)
        contexts = train_positives_without(
            tower, trained, Z, targets, recipe, half, anchors=anchors, words=bank.common, seed=seed,
            verbose=bool(self.verbose),
        )  # fmt: skip
        return [replace(bank, positive=own) for own in self._embed_contexts(contexts, trained)], half

    def _prepare(self, learned: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        if "positive_context_" not in learned:  # fitted with evidence="images"
            for name in names:
                if name not in learned["joint_score_"].names:
                    raise VocabularyError(
                        f"{name!r} has no images, and evidence='images' knows classes by their images: leave "
                        "it out of the class names, or fit with images of it."
                    )
            return {}
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

    def _text_score(
        self, bank: TextBank, Z: np.ndarray, temperature: float, struck_out: np.ndarray | None = None
    ) -> tuple[np.ndarray, float]:
        """Scores by text, and their unit in nats; `struck_out` (n, k) are classes to leave out of each."""
        scale, places = self.score_temperature, iter(() if struck_out is None else struck_out)
        if scale is None:
            scale = temperature if self.score_func == "odds" else 1.0

        def score(positive: np.ndarray, negative: np.ndarray, words: np.ndarray) -> np.ndarray:
            if struck_out is not None:
                for row, place in zip(positive, places):  # noqa: B905
                    row[place] = -np.inf
            if self.score_func == "odds":
                return negative_odds(positive, negative, words, scale, self.negative_weight)
            return negprompt(positive, np.concatenate([negative, words], axis=1), scale)

        return bank.score(Z, score), scale

    def _say(
        self, bank: TextBank, Z: np.ndarray, temperature: float, struck_out: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Text logits (n, k) of embeddings and their score (n,) by text alone, in nats."""
        text, scale = self._text_score(bank, Z, temperature, struck_out)
        return Z @ bank.positive.T / np.float64(temperature), text / scale

    def _parts(self, state: FittedState, Z: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The parts (n, 4) of the joint score, text logits (n, k) and image evidence (n, k, 2) of a block."""
        joint = state.joint_score_
        evidence = joint.evidence(Z, state.class_names_)
        logits, text = np.zeros(evidence.shape[:2]), np.zeros(len(evidence))
        if hasattr(state, "text_bank_"):
            logits, text = self._say(state.text_bank_, getattr(Z, "embeddings", Z), state.temperature_)
        return joint.parts(logits, text, evidence), logits, evidence

    def _score(self, state: FittedState, Z: Any) -> np.ndarray:
        joint = getattr(state, "joint_score_", None)
        if joint is None:
            return self._text_score(state.text_bank_, Z, state.temperature_)[0]
        return self._in_blocks(state, Z, lambda parts, logits, evidence: joint.score(parts))

    def _class_scores(self, state: FittedState, Z: Any) -> np.ndarray:
        joint = getattr(state, "joint_score_", None)
        if joint is None:
            return super()._class_scores(state, Z)

        return self._in_blocks(state, Z, lambda *said: joint.score(joint.class_parts(*said)))

    def _posterior(self, state: FittedState, Z: Any) -> np.ndarray:
        joint = getattr(state, "joint_score_", None)
        if joint is None:
            return super()._posterior(state, Z)
        return self._in_blocks(
            state, Z, lambda parts, logits, evidence: softmax(joint.logits(logits, evidence), axis=1)
        )

    def _judge(self, state: FittedState, Z: Any) -> tuple[np.ndarray, np.ndarray]:
        joint = getattr(state, "joint_score_", None)
        if joint is None:
            return super()._judge(state, Z)
        parts, logits, evidence = self._parts(state, Z)
        return joint.score(parts), softmax(joint.logits(logits, evidence), axis=1)

    def _in_blocks(self, state: FittedState, Z: Any, answer: Callable[..., np.ndarray]) -> np.ndarray:
        """Answers from the `_parts` of some images at a time."""
        step = max(1, _CELLS // (len(state.classes_) + state.joint_score_.width))
        return np.concatenate([answer(*self._parts(state, Z[rows])) for rows in gen_batches(len(Z), step)])

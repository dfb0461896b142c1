"""Words that a caption model reads off each image: ZOC."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from .._progress import progress_bar
from ..bank import TextBank
from ..errors import ImageError, InputError, VocabularyError
from ..images import CaptionedImages
from ..images._unreadable import errors_of
from ..scores import class_posterior
from ._zero_shot import ZeroShotDetector

if TYPE_CHECKING:
    from .._state import FittedState

CandidateLabels = Callable[[list[Image.Image]], Sequence[Sequence[str]]]


class ZOCDetector(ZeroShotDetector):
    """Zero-shot OOD detection with words generated from each image [1]_.

    A caption model names what it sees on an image. The image is scored by the log of the share that all
    classes together have of a softmax over its cosines to the class prompts and to those of its words:
    where the words fit better than any class, the image shows something else.

    Parameters
    ----------
    candidate_labels : callable
        From a list of RGB Pillow images, a batch, to as many lists of words. Words equal to a class
        name, in whatever case, do not count, nor do empty ones and repetitions; an image without words
        scores 0, the best score there is. `clone` and `pickle` copy it with the detector.
    score_temperature : float, default=0.01
        What cosines are divided by; CLIP's own.
    text_bank : TextBank or array-like of shape (k, d), optional
        Ready text embeddings of the classes, see `MCMDetector`; its negatives are not used. Words still
        go through the text tower of `model`, which must have the same number of columns.
    batch_size : int, default=64
        Images given to `candidate_labels`, and to the image tower, at a time.
    model, class_names, contamination, templates, unknown_label, pretrained, device, precision, verbose
        See `MCMDetector`; words stand in the same templates as class names.

    Attributes
    ----------
    calibration_embeddings_ : object
        The images given to `fit`, as embeddings with their words, so that `set_vocabulary` needs
        neither images nor the caption model.
    classes_, class_names_, text_bank_, offset_, temperature_, unknown_label_
        See `NegPromptDetector`; the bank has no negatives.

    Notes
    -----
    X must be images everywhere: embeddings have no pixels left to read words from. [1]_ scores by
    ``1 - share`` with larger = more unknown; the log share orders images in the same way, and does not
    round to 1 where the classes fit well.

    References
    ----------
    .. [1] Esmaeilpour et al., "Zero-Shot Out-of-Distribution Detection Based on the Pre-trained Model
       CLIP", AAAI 2022.

    Examples
    --------
    >>> from skneg import ZOCDetector
    >>> from skneg.datasets import make_scenes
    >>> def caption(images):  # a real one looks at the images
    ...     return [["fish", "crown", "a star"]] * len(images)
    >>> X, y = make_scenes(40, shapes=["star", "heart"], random_state=0)
    >>> detector = ZOCDetector(candidate_labels=caption, model="skneg-tiny").fit(X, y)
    >>> stranger, _ = make_scenes(40, shapes=["fish"], random_state=1)
    >>> bool(detector.score_samples(X).mean() > detector.score_samples(stranger).mean())
    True
    """

    needs = "pixels and a caption model"
    reference = "Esmaeilpour et al., AAAI 2022"

    def __init__(
        self,
        *,
        candidate_labels: CandidateLabels | None = None,
        score_temperature: float = 0.01,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.candidate_labels = candidate_labels
        self.score_temperature = score_temperature

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if not callable(self.candidate_labels):
            raise InputError(
                "candidate_labels must be a function from a list of Pillow images to a list of words for "
                f"each, such as a caption model; got {self.candidate_labels!r}."
            )

    def _prepare(self, learned: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        positive, width = self._positives(learned, names), self._backbone().text_tower.embed_dim
        if positive.shape[1] != width:
            raise InputError(
                f"text_bank has {positive.shape[1]} columns, but model={self.model!r}, which embeds images "
                f"and words, has {width}."
            )
        return {"text_bank_": TextBank.from_positives(positive)}

    def _represent(self, images: Any) -> CaptionedImages:
        if isinstance(images, np.ndarray):
            raise InputError(
                f"X holds embeddings, but {type(self).__name__} needs images: candidate_labels reads words "
                "off their pixels."
            )

        def picture(row: int) -> Image.Image:
            return _as_picture(images[row], row)

        embeddings: list[np.ndarray] = []
        words: list[tuple[str, ...]] = []
        starts = range(0, len(images), self.batch_size)
        with progress_bar(len(starts), "captioning images", "batch", self.verbose) as bar:
            for start in starts:
                try:
                    batch = [picture(row) for row in range(start, min(start + self.batch_size, len(images)))]
                except ImageError as error:
                    raise ImageError.of(errors_of(picture, len(images)) or [error]) from error
                embeddings.append(self._backbone().image_tower.encode(batch, self.batch_size))
                words += self._words_of(batch, start)
                bar.update(1)
        return CaptionedImages(np.concatenate(embeddings), words, self._embed_words(words))

    def _words_of(self, batch: list[Image.Image], start: int) -> list[tuple[str, ...]]:
        assert self.candidate_labels is not None
        answer = self.candidate_labels(batch)
        if isinstance(answer, str | Mapping) or not hasattr(answer, "__len__"):
            raise InputError(
                f"candidate_labels returned {type(answer).__name__} for images {start} to "
                f"{start + len(batch) - 1}, expected one list of words for each."
            )
        if len(answer) != len(batch):
            odd = "has none" if len(answer) < len(batch) else "is the last"
            image = start + min(len(answer), len(batch) - 1)
            raise InputError(
                f"candidate_labels returned {len(answer)} lists of words for {len(batch)} images; image "
                f"{image} {odd}."
            )
        return [_distinct(words, start + i) for i, words in enumerate(answer)]

    def _embed_words(self, words: list[tuple[str, ...]]) -> dict[str, np.ndarray]:
        distinct = list(dict.fromkeys(word for row in words for word in row))
        if not distinct:
            return {}
        try:
            return dict(zip(distinct, self._embed_names(distinct), strict=True))
        except VocabularyError as error:
            raise VocabularyError(f"candidate_labels gave a word that is too long: {error}") from error

    def _score(self, state: FittedState, Z: CaptionedImages) -> np.ndarray:
        known = {name.strip().casefold() for name in state.class_names_}
        positive = state.text_bank_.positive
        # Row by row: each image has its own words, and its score then has the same bits in any batch.
        return np.array(
            [
                _log_share(
                    positive @ embedding,
                    [Z.vectors[word] @ embedding for word in words if word.casefold() not in known],
                    self.score_temperature,
                )
                for embedding, words in zip(Z.embeddings, Z.words, strict=True)
            ]
        )

    def _posterior(self, state: FittedState, Z: CaptionedImages) -> np.ndarray:
        return class_posterior(Z.embeddings @ state.text_bank_.positive.T, state.temperature_)


def _as_picture(image: Any, index: int) -> Image.Image:
    if not isinstance(image, Image.Image):
        raise InputError(
            f"image {index} is a float tensor, already preprocessed; candidate_labels needs pixels: give "
            "uint8 tensors, arrays, files or Pillow images."
        )
    return image


def _distinct(words: Any, index: int) -> tuple[str, ...]:
    """The words of one image, checked, without empty ones and repetitions."""
    if isinstance(words, str | bytes) or not hasattr(words, "__iter__"):
        raise InputError(f"candidate_labels gave image {index} {words!r}, expected a list of words.")
    first: dict[str, str] = {}
    for word in words:
        if not isinstance(word, str):
            raise InputError(f"candidate_labels gave image {index} the word {word!r}, expected a string.")
        first.setdefault(word.strip().casefold(), str(word.strip()))
    first.pop("", None)
    return tuple(first.values())


def _log_share(known: np.ndarray, others: Sequence[float], temperature: float) -> float:
    """Log of the softmax mass on the cosines `known`, beside `others`."""
    if not others:
        return 0.0
    mass, rest = (np.logaddexp.reduce(np.asarray(z, dtype=np.float64) / temperature) for z in (known, others))
    return -float(np.logaddexp(0, rest - mass))

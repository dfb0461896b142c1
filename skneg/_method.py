"""What a method is: its facts, and the hooks that a detector fills in.

What a subclass may fill in
---------------------------
==========================  ==================================================================
``_check_parameters()``     refuse parameters that are not usable; called first
``_space()``                columns that embeddings must have (None: any), and the temperature
``_represent(images)``      what the method sees of images; their embeddings by default
``_learn(Z, targets, ...)`` what the images teach, as a dict of fitted attributes
``_prepare(learned, ...)``  what scores need for some class names, as a dict of fitted attributes
``_score(state, Z)``        scores (n,)
``_posterior(state, Z)``    closed-set class posterior (n, k)
``_judge(state, Z)``        both, where they share work
``_class_scores(state, Z)`` scores (n, k) with each class in the place of all of them
``_score_of_missing(...)``  scores of images whose class is no longer in the vocabulary
==========================  ==================================================================

Everything else is private, and overridden nowhere. Class attributes say what a method is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ._crossfit import log_posterior
from ._reading import loaded_backbone
from ._utils import check_at_least, check_between, check_seed, check_switch
from .backbone._names import names_of_pair
from .encoder import CLIPImageEncoder
from .errors import InputTypeError
from .threshold import check_calibration

if TYPE_CHECKING:
    from ._state import FittedState
    from .backbone import Backbone


class Method:
    """The hooks of `OpenSetDetector`, with what they do by default, and what they may use."""

    training: ClassVar[str] = "none"  # what `fit` learns: "none" (the threshold), "features", "prompts"
    needs: ClassVar[str] = ""  # beside class names and images or embeddings
    reference: ClassVar[str] = ""  # authors, venue and year of the paper
    weight_files: ClassVar[tuple[str, ...]] = ()  # parameters that name files with weights
    reads_names: bool = False  # whether class names mean anything, or are labels only
    needs_images: bool = False  # of each class, beside its name, where names mean something
    one_class: bool = False  # whether it says something where one class is known

    # Parameters of every detector.
    model: str
    pretrained: str | None
    contamination: float
    device: str
    precision: str
    batch_size: int
    verbose: bool | int

    def _check_parameters(self) -> None:
        if not isinstance(self.device, str) and type(self.device).__module__ != "torch":
            raise InputTypeError(f"device must be a name such as 'cpu' or 'cuda:0', got {self.device!r}.")
        check_at_least("batch_size", self.batch_size, 1, Integral)
        check_switch("verbose", self.verbose)
        check_between("contamination", self.contamination, 0, 1)
        temperature = getattr(self, "score_temperature", None)
        if temperature is not None:
            check_between("score_temperature", temperature, 0, np.inf)
        check_seed(getattr(self, "random_state", None))
        check_calibration(getattr(self, "calibration", "auto"))

    def _check_once(self, anew: bool = False) -> None:
        # Some parameters act in predictions as well, and may have been set since `fit`.
        if anew or "_checked" not in vars(self):
            self._check_parameters()
            self._checked = True

    def _space(self) -> tuple[int | None, float]:
        return None, 1.0

    def _represent(self, images: Any) -> Any:
        """From embeddings (n, d) or a sequence of images to what has n rows, indexable by row numbers."""
        return images if isinstance(images, np.ndarray) else self._embed(images)

    def _learn(
        self, Z: Any, targets: np.ndarray | None, names: Sequence[str], seed: int, groups: np.ndarray | None
    ) -> dict[str, Any]:
        """From represented images, numbers of their names (None without y) and of their groups, a seed."""
        return {}

    def _prepare(self, learned: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        return {}

    def _score(self, state: FittedState, Z: Any) -> np.ndarray:
        raise TypeError(f"{type(self).__name__} must define _score.")

    def _posterior(self, state: FittedState, Z: Any) -> np.ndarray:
        raise TypeError(f"{type(self).__name__} must define _posterior.")

    def _judge(self, state: FittedState, Z: Any) -> tuple[np.ndarray, np.ndarray]:
        return self._score(state, Z), self._posterior(state, Z)

    def _class_scores(self, state: FittedState, Z: Any) -> np.ndarray:
        log_p = log_posterior(self, state, Z)
        return self._score(state, Z)[:, None] + state.calibrator.spread * log_p

    def _score_of_missing(self, state: FittedState, Z: Any, names: list[str]) -> np.ndarray | None:
        """Scores (n,) with each image's own class added, or None where the method cannot know it."""
        return None

    def _encoder(self) -> CLIPImageEncoder:
        return CLIPImageEncoder(
            model=self.model,
            pretrained=self.pretrained,
            device=self.device,
            precision=self.precision,
            batch_size=self.batch_size,
            local=self.needs == "local features",
            verbose=self.verbose,
        )

    def _backbone(self) -> Backbone:
        return loaded_backbone(self)

    def _columns(self) -> tuple[int, int] | None:
        """How many columns each of two models has, where `model` names two; no weights are loaded."""
        names = names_of_pair(self.model)
        if names is None:
            return None
        from .backbone import embedding_width

        return embedding_width(names[0], self.pretrained), embedding_width(names[1])

    def _embed(self, images: Any) -> np.ndarray:
        self._backbone()  # noted in `fit`, and checked where a file says which it must be
        return self._encoder().transform(images)

"""What the members of an ensemble have in common: labels, images, embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..base import BaseDetector
from ..errors import InputError, VocabularyError
from ..images import is_embeddings


def check_agreement(members: list[BaseDetector]) -> None:
    first = members[0]
    for position, member in enumerate(members[1:], start=1):
        who = f"detectors[0] ({type(first).__name__}) and detectors[{position}] ({type(member).__name__})"
        if first.classes_.tolist() != member.classes_.tolist():
            raise VocabularyError(
                f"{who} know different classes, or in another order: {first.classes_.tolist()[:5]} and "
                f"{member.classes_.tolist()[:5]}, {len(first.classes_)} and {len(member.classes_)} in all."
            )
        if first.unknown_label_ != member.unknown_label_:
            raise InputError(
                f"{who} have different unknown labels: {first.unknown_label_!r} and "
                f"{member.unknown_label_!r}."
            )


def same_objects(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> bool:
    return len(one) == len(other) and all(
        a.keys() == b.keys() and all(a[name] is b[name] for name in a)
        for a, b in zip(one, other, strict=True)
    )


def same_images(members: list[BaseDetector]) -> bool:
    """Whether the members' thresholds come from the same images in the same order."""
    # Members that see more of an image than its embedding keep an object with the embedding in it.
    kept = [getattr(m.calibration_embeddings_, "embeddings", m.calibration_embeddings_) for m in members]
    return all(
        member.calibration_names_ == members[0].calibration_names_
        and (rows is kept[0] or _equal_arrays(rows, kept[0]))
        for member, rows in zip(members, kept, strict=True)
    )


def _equal_arrays(one: Any, other: Any) -> bool:
    return isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and np.array_equal(one, other)


def represent_each(members: list[BaseDetector], X: Any) -> list[Any]:
    """What each member sees of the images; embeddings of one backbone are computed once."""
    shared: dict[tuple, Any] = {}
    represented = []
    for member in members:
        if is_embeddings(X) or type(member)._represent is not BaseDetector._represent:
            represented.append(member._represent(X))
            continue
        backbone = (member.model, member.pretrained, member.device, member.precision)
        if backbone not in shared:
            shared[backbone] = member._represent(X)
        represented.append(shared[backbone])
    return represented


def scores_of(members: list[BaseDetector], represented: list[Any]) -> list[np.ndarray]:
    return [member._score(Z) for member, Z in zip(members, represented, strict=True)]


def posterior_of(members: list[BaseDetector], represented: list[Any]) -> np.ndarray:
    posteriors = [member._posterior(Z) for member, Z in zip(members, represented, strict=True)]
    return np.mean(posteriors, axis=0)

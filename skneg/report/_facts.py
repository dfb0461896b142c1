"""What stands on the page, as plain values: numbers are formatted here, and the template only places them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np

from .._doubts import rows_again, seen_rows
from .._state import FittedState
from ..inspection import Suggestions
from ..inspection._summary import how_scored, promise
from ..metrics import ood_report
from ..plotting import ConfusionDisplay
from ..plotting._sets import ID
from ._seen import Seen

_PICTURE = 160  # pixels of the largest side
_GROUPS, _OF_GROUP = 8, 6  # groups with names, and images of each, that are shown
_MANY_CLASSES = 20  # more do not fit a page as a matrix

Card = dict[str, Any]


def of_detector(detector: Any, state: FittedState) -> list[tuple[str, str]]:
    """What was fitted, and what the threshold promises."""
    names = state.class_names_
    facts = [
        ("model", (state.backbone or {}).get("name", "none: it was fitted on embeddings")),
        ("known classes", f"{len(names)}: {', '.join(names)}"),
        (
            "threshold",
            f"{state.offset_:.4f}, by {len(state.calibrator.scores)} images{how_scored(detector, state)}",
        ),
        ("promise", f"{promise(detector, state)}; nothing is promised of unknown images"),
    ]
    if weights := state.learned.get("evidence_weights_"):
        facts.append(("weights", ", ".join(f"{part} {weight:.2f}" for part, weight in weights.items())))
    return facts


def learned_from(detector: Any, known: Seen, state: FittedState) -> np.ndarray | None:
    """Rows of known images that the detector has learned from; None where that cannot be told."""
    if detector.training == "none":
        return np.array([], dtype=int)
    return seen_rows(known.embeddings, state)


def without(seen: Seen, rows: np.ndarray | None) -> Seen:
    """The images but some rows."""
    return seen if rows is None else seen[np.setdiff1d(np.arange(len(seen)), rows)]


def new_of(detector: Any, others: Mapping[str, Seen], state: FittedState) -> tuple[dict[str, Seen], int]:
    """OOD sets without images that have been made a class since, and how many these are."""
    new = {name: without(seen, learned_from(detector, seen, state)) for name, seen in others.items()}
    n_taken_up = sum(len(seen) - len(new[name]) for name, seen in others.items())
    return {name: seen for name, seen in new.items() if len(seen)}, n_taken_up


def n_of_threshold(known: Seen, state: FittedState) -> int:
    """How many known images have set the threshold."""
    rows = rows_again(state.calibrator.images, known.embeddings)
    return 0 if rows is None else len(rows)


def of_sets(sets: Mapping[str, Seen]) -> list[dict[str, str]]:
    """How many images of each set are rejected."""
    return [
        {
            "name": name,
            "n": str(len(seen)),
            "rejected": f"{100 * np.mean(seen.why.rejected):.1f} %",
            "p": f"{np.median(seen.why.p_value):.3f}",
        }
        for name, seen in sets.items()
    ]


def ranking(new: Seen, others: Mapping[str, Seen], state: FittedState) -> dict[str, Any] | None:
    """AUROC and FPR95 of each OOD set against known images, or those that set the threshold without any."""
    if not others:
        return None
    scores, of = new.why.score, f"{len(new)} known images of X"
    if len(new) == 0:
        scores = state.calibrator.scores
        of = f"the {len(scores)} images that set the threshold, since all known images of X were in fit"
    strange = {name: seen.why.score for name, seen in others.items()}
    table = ood_report(scores, strange, metrics=("auroc", "fpr95"), random_state=0)
    rows = []
    for name, row in table.to_dict().items():
        if name == "mean" and len(others) == 1:
            continue
        cells = [f"{100 * row[m]:.1f} [{100 * row[f'{m}_low']:.1f}, {100 * row[f'{m}_high']:.1f}]"
                 for m in ("auroc", "fpr95")]  # fmt: skip
        rows.append({"name": name, "n": str(int(row["n_ood"])), "cells": cells})
    return {"rows": rows, "of": of}


def confusion(known: Seen, others: Mapping[str, Seen], state: FittedState) -> dict[str, Any]:
    """Answers for the images of each class and OOD set; with many classes, right, wrong and unknown."""
    answers = {name: seen.why.answer for name, seen in others.items()}
    true = np.array(known.labels.tolist())
    display = ConfusionDisplay._of(true, known.why.answer, answers, state.classes_, state.unknown_label)
    counts, rows, columns = display.counts, display.rows, display.columns
    more = 0
    if len(state.classes_) > _MANY_CLASSES:
        n_classes, n_known = len(rows) - len(others), len(state.classes_)
        own = np.zeros(len(rows), dtype=int)
        own[:n_classes] = [counts[row, columns.index(rows[row])] for row in range(n_classes)]
        accepted = counts[:, :n_known].sum(axis=1)
        counts = np.stack([own, accepted - own, counts.sum(axis=1) - accepted], axis=1)
        columns = ["own class", "another class", "unknown"]
        wrong = counts[:n_classes, 1] + counts[:n_classes, 2]
        worst = np.argsort(-wrong, kind="stable")[:_MANY_CLASSES]
        more = n_classes - len(worst)
        kept = [*worst, *range(n_classes, len(rows))]
        counts, rows = counts[kept], [rows[row] for row in kept]
    if state.unknown_label is not None:  # first, where a narrow window shows it
        columns, counts = [columns[-1], *columns[:-1]], np.roll(counts, 1, axis=1)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cells = [
        {"name": name, "cells": [(str(n) if n else "", f"{s:.2f}") for n, s in zip(*pair, strict=True)]}
        for name, pair in zip(rows, zip(counts, share, strict=True), strict=True)
    ]
    return {"columns": columns, "rows": cells, "more": more}


def cards(seen: Seen, order: np.ndarray, n: int) -> list[Card]:
    """The n images that `order` puts first, with what lies behind their answers."""
    chosen = seen[np.argsort(order, kind="stable")[:n]]
    why = chosen.why
    rows = []
    for row, picture in enumerate(chosen.pictures(_PICTURE)):
        facts = [
            ("distance to threshold", f"{why.decision[row]:+.2f}"),
            ("p-value", f"{why.p_value[row]:.3f}"),
        ]
        for title, value, label in (
            ("words", why.text_evidence, why.text_class),
            ("images", why.image_evidence, why.image_class),
        ):
            if value is not None and label is not None:
                facts.append((title, f"{value[row]:+.2f} ({label[row]})"))
        if why.clarity is not None:
            facts.append(("clarity", f"{why.clarity[row]:+.2f}"))
        if chosen.sets[row] not in (None, ID):
            facts.append(("set", chosen.sets[row]))
        if chosen.labels[row] is not None:
            facts.append(("label", str(chosen.labels[row])))
        likeliest = f"{why.nearest_class[row]} ({why.nearest_posterior[row]:.2f})"
        rows.append({"picture": picture, **_called(chosen, row), "likeliest": likeliest, "facts": facts})
    return rows


def doubtful_labels(known: Seen, state: FittedState, n: int) -> list[Card]:
    """Images whose label gets the smallest share of the posterior, and not the largest [1]_.

    Of those that the detector has learned from, it would only repeat what it was told: leave them out.

    References
    ----------
    .. [1] Northcutt et al., "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 2021:
       self-confidence.
    """
    column = {label: number for number, label in enumerate(state.classes_.tolist())}
    own = known.posterior[np.arange(len(known)), [column[label] for label in known.labels.tolist()]]
    differ = known.why.nearest_class != known.labels
    made = cards(known[differ], own[differ], n)
    for card, share in zip(made, np.sort(own[differ], kind="stable"), strict=False):
        card["facts"].append(("share of its label", f"{share:.3f}"))
    return made


def named_groups(suggested: Suggestions, rejected: Seen) -> dict[str, Any]:
    """The largest groups of rejected images, with words and typical images."""
    groups = []
    for number in range(min(_GROUPS, len(suggested))):
        rows = suggested.images[number][:_OF_GROUP]
        words = zip(suggested.words[number].tolist(), suggested.cosines[number].tolist(), strict=True)
        typical = rejected[rows]
        groups.append(
            {
                "words": [f"{word} ({cosine:.2f})" for word, cosine in words],
                "n": str(suggested.support[number]),
                "share": f"{suggested.share[number]:.0%}",
                "images": [
                    {"picture": picture, **_called(typical, row)}
                    for row, picture in enumerate(typical.pictures(_PICTURE))
                ],
            }
        )
    alone = int((suggested.groups < 0).sum())
    return {"groups": groups, "more": len(suggested) - len(groups), "alone": alone}


def _called(seen: Seen, row: int) -> dict[str, str]:
    """What to call an image: its file, or its row."""
    path = "" if seen.why.path is None else seen.why.path[row]
    number = f"row {seen.why.to_dict()['image'][row]}"
    return {"name": "/".join(PurePath(path).parts[-2:]) or number, "place": path or number}

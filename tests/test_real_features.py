"""The figures this package promises, on real CLIP features (ImageNet, OpenAI CLIP ViT-B/32)."""

import numpy as np
import pytest

from skneg import MCMDetector, NegPromptDetector
from skneg.metrics import auroc, fpr_at_tpr

SEEDS = range(3)


@pytest.fixture(scope="module")
def split4(data_folder):
    """ImageNet classes 0-99, 4 training embeddings each; 300 ID and 2,700 OOD test embeddings."""
    with np.load(data_folder / "clip-vitb32-features" / "imagenet.npz") as arrays:
        train, test = (arrays[name].astype(np.float32) for name in ("train", "test"))
        train_y, test_y = arrays["train_y"], arrays["test_y"]
        names = arrays["class_names"][:100].tolist()
    is_id = test_y < 100
    return {
        "train": (train[train_y < 100], train_y[train_y < 100]),
        "id": (test[is_id], test_y[is_id]),
        "ood": test[~is_id],
        "names": names,
        "model": f"local-dir:{data_folder / 'clip-student'}",
    }


def evaluate(detector, split) -> tuple[float, float, float]:
    """AUROC, FPR95 and closed-set accuracy, in percent."""
    known, strange = detector.score_samples(split["id"][0]), detector.score_samples(split["ood"])
    predicted = detector.classes_[detector.predict_proba(split["id"][0]).argmax(axis=1)]
    return (
        100 * auroc(known, strange),
        100 * fpr_at_tpr(known, strange),
        100 * float(np.mean(predicted == split["id"][1])),
    )


@pytest.mark.parametrize("nis_over", ["negatives", "all"])
def test_split_4(split4, nis_over):
    X, y = split4["train"]
    figures = []
    for seed in SEEDS:
        detector = NegPromptDetector(model=split4["model"], nis_over=nis_over, random_state=seed)
        detector.fit(X, y, class_names=split4["names"])
        figures.append(evaluate(detector, split4))
    auc, fpr, accuracy = np.mean(figures, axis=0)
    assert auc >= 98.3
    assert fpr <= 6
    zero_shot = MCMDetector(model=split4["model"], class_names=split4["names"]).fit(X, y)
    assert accuracy >= evaluate(zero_shot, split4)[2] - 0.5


def test_ten_classes_then_the_names_of_a_hundred(split4):
    X, y = (part[split4["train"][1] < 10] for part in split4["train"])
    figures = []
    for seed in SEEDS:
        detector = NegPromptDetector(model=split4["model"], calibration="train", random_state=seed)
        detector.fit(X, y, class_names=split4["names"][:10]).set_vocabulary(split4["names"])
        figures.append(evaluate(detector, split4))
    assert np.mean(figures, axis=0)[0] >= 97.8


def test_mcm_equals_the_published_formula(split4):
    detector = MCMDetector(model=split4["model"], class_names=split4["names"]).fit(*split4["train"])
    auc, fpr, accuracy = evaluate(detector, split4)
    assert auc == pytest.approx(96.88, abs=0.05)
    assert fpr == pytest.approx(13.5, abs=0.5)
    assert accuracy == pytest.approx(67.7, abs=0.5)

"""Scores of every detector on the same input and seed, to compare two versions of skneg.

Run `python benchmarks/compare_scores.py dump OUT.npz` in each of two checkouts, then
`python benchmarks/compare_scores.py compare OLD.npz NEW.npz`. Real features are taken from the folder that
the environment variable SKNEG_DATA names.
"""

from __future__ import annotations

import inspect
import os
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

import skneg
from skneg.datasets import make_scenes

KNOWN = ["anchor", "bottle", "heart", "key", "star", "umbrella"]
OTHERS = ["fish", "ladder", "crown", "tree"]
ROUNDED = {"NegPromptDetector", "NegLabelDetector", "CSPDetector"}  # their words are rounded to float16
COOP = ("CoOpDetector", "LoCoOpDetector", "SCTDetector", "LSNDetector")


def caption(images):
    """Stand in for a caption model."""
    return [["fish", "tree"] if np.asarray(image).mean() > 120 else ["ladder"] for image in images]


def build(name, model, no_encoder):
    """A detector by its name, with little training."""
    cls = getattr(skneg, name)
    takes = inspect.signature(cls).parameters
    settings = {"model": model, "random_state": 0, "no_encoder": no_encoder, "candidate_labels": caption}
    settings["outlier_names"] = ["circle", "square", "hexagon"]
    short = {}
    if name in COOP:
        short = {"n_epochs": 3, "n_ctx": 4}
    elif name == "NegPromptDetector":
        short = {"positive_steps": 15, "negative_steps": 15}
    if "recipe" in takes and short:
        from skneg.prompts import CoOpRecipe, PromptRecipe

        settings["recipe"] = (CoOpRecipe if name in COOP else PromptRecipe)(**short)
    else:
        settings.update(short)
    return cls(**{key: value for key, value in settings.items() if key in takes})


def run(found, where, name, detector, train, test, others):
    """Note what a detector answers."""
    detector.fit(*train)
    key = f"{where}/{name}"
    found[f"{key}/scores"] = detector.score_samples(test)
    found[f"{key}/posterior"] = detector.predict_proba(test)[:, :5]
    found[f"{key}/offset"] = np.array([detector.offset_])
    found[f"{key}/answers"] = detector.predict(test).astype(str)
    try:
        detector.set_vocabulary(others)
    except skneg.VocabularyError:
        return
    found[f"{key}/moved_scores"] = detector.score_samples(test)
    found[f"{key}/moved_offset"] = np.array([detector.offset_])


def dump(out):
    """Write the answers of every detector of this checkout."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        X, _, captions = make_scenes(64, return_captions=True, random_state=0)
        tower = Path(folder) / "no.safetensors"
        skneg.train_no_encoder(X, list(captions), model="skneg-tiny", n_epochs=1, random_state=0, out=tower)
        train = make_scenes(120, shapes=KNOWN, random_state=0)
        test = [make_scenes(60, shapes=shapes, random_state=1)[0] for shapes in (KNOWN, OTHERS)]
        for info in skneg.list_detectors():
            detector = build(info.name, "skneg-tiny", str(tower))
            run(found, "scenes", info.name, detector, train, np.concatenate(test), OTHERS)
            print("scenes", info.name, flush=True)
    found["scenes/is_known"] = np.repeat([1, 0], 60)
    if "SKNEG_DATA" in os.environ:
        data = Path(os.environ["SKNEG_DATA"])
        arrays = np.load(data / "clip-vitb32-features" / "imagenet.npz")
        names, y, test_y = arrays["class_names"].astype(str), arrays["train_y"], arrays["test_y"]
        X, test = arrays["train"].astype(np.float32), arrays["test"].astype(np.float32)
        train = X[y < 100], names[y[y < 100]]
        test = np.concatenate([test[test_y < 100], test[test_y >= 100][::9]])
        found["features/is_known"] = (np.arange(len(test)) < (test_y < 100).sum()).astype(int)
        for info in skneg.list_detectors():
            if info.needs in ("", "outlier names"):
                detector = build(info.name, f"local-dir:{data / 'clip-student'}", None)
                run(found, "features", info.name, detector, train, test, names[100:120].tolist())
                print("features", info.name, flush=True)
    np.savez(out, **found)


def compare(old, new):
    """Print a table of differences; the exit code says whether any is too large."""
    old, new = np.load(old), np.load(new)
    keys = sorted({key.rsplit("/", 1)[0] for key in old.files if key.endswith("/scores")})
    print("| data | detector | scores | posterior | offset | answers alike | new names | AUROC, points |")
    print("|---|---|---|---|---|---|---|---|")
    bad = False
    for key in keys:
        where, name = key.split("/")

        def gap(part, key=key):
            part = f"{key}/{part}"
            if part not in old.files:
                return 0.0
            return float(np.abs(old[part] - new[part]).max()) if part in new.files else np.inf

        known = old[f"{where}/is_known"]
        auroc = [100 * roc_auc_score(known, side[f"{key}/scores"]) for side in (old, new)]
        alike = (old[f"{key}/answers"] == new[f"{key}/answers"]).mean()
        gaps = [gap(part) for part in ("scores", "posterior", "offset")]
        moved = max(gap("moved_scores"), gap("moved_offset"))
        points = auroc[1] - auroc[0]
        shown = " | ".join(f"{value:.1e}" for value in gaps)
        print(f"| {where} | {name} | {shown} | {alike:.1%} | {moved:.1e} | {points:+.3f} |")
        bad |= abs(points) > 0.01 if name in ROUNDED else max(*gaps, moved) > 1e-6
    return int(bad)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if len(sys.argv) == 3 and sys.argv[1] == "dump":
        dump(sys.argv[2])
    elif len(sys.argv) == 4 and sys.argv[1] == "compare":
        sys.exit(compare(*sys.argv[2:]))
    else:
        sys.exit(__doc__)

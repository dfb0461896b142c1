"""How many images of each class are enough?

A detector learns twelve shapes from 1, 2, 5 and 10 images of each, once by names and
images, once by images alone. The picture shows how well it tells them from twelve other
shapes: AUROC with its 95 % bootstrap interval, beside a detector that knows the names
only. The intervals are those of the test images, not of the choice of the few.
"""

import warnings

from matplotlib import pyplot as plt

from skneg import CalibrationWarning, CLIPImageEncoder, NegPromptDetector, WordsDetector, ood_report
from skneg.datasets import SHAPE_NAMES, make_scenes, sample_shots

encoder = CLIPImageEncoder(model="skneg-tiny")
X, y = make_scenes(240, shapes=SHAPE_NAMES[0:36:3], random_state=0)
Z = encoder.transform(X)
known = encoder.transform(make_scenes(300, shapes=SHAPE_NAMES[0:36:3], random_state=1)[0])
other = encoder.transform(make_scenes(300, shapes=SHAPE_NAMES[1:36:3], random_state=2)[0])
warnings.simplefilter(
    "ignore", CalibrationWarning
)  # one image of a class sets no threshold; AUROC needs none


def auroc_of(detector):
    scores = detector.score_samples(known), {"other": detector.score_samples(other)}
    return ood_report(*scores, metrics=["auroc"], random_state=0).to_dict()["other"]


names_only = auroc_of(WordsDetector(model="skneg-tiny").fit(Z, y))["auroc"]
print(f"names only: AUROC {names_only:.3f}")

figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
ax.axhline(names_only, color="#666666", linestyle=":", label="names only (WordsDetector)")
shots = [1, 2, 5, 10]
for evidence, color, marker in (("both", "#0072B2", "o-"), ("images", "#D55E00", "s--")):
    rows = []
    for number in shots:
        few = sample_shots(y, number, random_state=0)
        detector = NegPromptDetector(model="skneg-tiny", evidence=evidence, random_state=0)
        rows.append(auroc_of(detector.fit(Z[few], y[few])))
        print(
            f"{evidence}, {number:>2} a class: AUROC",
            "{auroc:.3f} [{auroc_low:.3f}, {auroc_high:.3f}]".format(**rows[-1]),
        )
    values = [row["auroc"] for row in rows]
    ends = [
        [row["auroc"] - row["auroc_low"] for row in rows],
        [row["auroc_high"] - row["auroc"] for row in rows],
    ]
    ax.errorbar(
        shots, values, ends, fmt=marker, color=color, capsize=4, label=f'NegPrompt, evidence="{evidence}"'
    )
ax.set(xscale="log", xticks=shots, xticklabels=shots, xlabel="images of each class", ylabel="AUROC")
ax.minorticks_off()
ax.legend(loc="lower right")
figure.savefig("few_shots.png", dpi=80)

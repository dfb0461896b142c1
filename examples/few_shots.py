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
# One image of a class sets no threshold, of which skneg warns; AUROC needs none.
warnings.simplefilter("ignore", CalibrationWarning)


def auroc_of(detector):
    scores = detector.score_samples(known), {"other": detector.score_samples(other)}
    report = ood_report(*scores, metrics=["auroc"], random_state=0)
    return report.values[0, 0], report.low[0, 0], report.high[0, 0]


names_only, *_ = auroc_of(WordsDetector(model="skneg-tiny").fit(Z, y))
print(f"names only: AUROC {names_only:.3f}")

figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
ax.axhline(names_only, color="#666666", linestyle=":", label="names only (WordsDetector)")
shots = [1, 2, 5, 10]
for evidence, color, style in (("both", "#0072B2", "o-"), ("images", "#D55E00", "s--")):
    rows = []
    for number in shots:
        few = sample_shots(y, number, random_state=0)
        detector = NegPromptDetector(model="skneg-tiny", evidence=evidence, random_state=0)
        value, low, high = auroc_of(detector.fit(Z[few], y[few]))
        rows.append((value, value - low, high - value))
        print(f"{evidence}, {number:>2} a class: AUROC {value:.3f} [{low:.3f}, {high:.3f}]")
    values, *ends = zip(*rows, strict=True)
    label = f'NegPrompt, evidence="{evidence}"'
    ax.errorbar(shots, values, ends, fmt=style, color=color, capsize=4, label=label)
ax.set(xscale="log", xticks=shots, xticklabels=shots, xlabel="images of each class", ylabel="AUROC")
ax.minorticks_off()
ax.legend(loc="lower right")
figure.savefig("few_shots.png", dpi=80)

"""The classes change: what does a detector know of new ones by name, and with five images of each?

A detector learns twelve shapes. Then it is given the names of twelve others, and then
five images of each of these; no prompt is trained again. The picture shows how many
images get their right class, how many are rejected, and AUROC against twelve shapes
that are in no vocabulary.
"""

import numpy as np
from matplotlib import pyplot as plt

from skneg import CLIPImageEncoder, NegPromptDetector
from skneg.datasets import SHAPE_NAMES, make_scenes
from skneg.metrics import auroc

OLD, UNKNOWN, NEW = SHAPE_NAMES[0:36:3], SHAPE_NAMES[1:36:3], SHAPE_NAMES[2:36:3]
encoder = CLIPImageEncoder(model="skneg-tiny")


def images(n, shapes, seed):
    X, y = make_scenes(n, shapes=shapes, random_state=seed)
    return encoder.transform(X), y


unknown, _ = images(300, UNKNOWN, 0)
old, new = images(300, OLD, 1), images(300, NEW, 2)


def measure(X, y):
    likeliest = detector.classes_[detector.predict_proba(X).argmax(axis=1)]
    rejected = detector.predict(X) == "unknown"
    ranking = auroc(detector.score_samples(X), detector.score_samples(unknown))
    return 100 * np.array([(likeliest == y).mean(), rejected.mean(), ranking])


detector = NegPromptDetector(model="skneg-tiny", random_state=0).fit(*images(120, OLD, 3))
rows = {"old classes": measure(*old)}
detector.set_vocabulary(NEW)  # warns: no image has told how many of these are rejected
rows["new classes, names"] = measure(*new)
detector.set_vocabulary(NEW, *images(60, NEW, 4))
rows["new classes, names and 5 images"] = measure(*new)
for title, (right, rejected, ranking) in rows.items():
    print(f"{title}: {right:.1f} % right, {rejected:.1f} % rejected, AUROC {ranking:.1f} %")

figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
for place, (title, hatch) in enumerate(zip(rows, ("", "//", ".."), strict=True)):
    color = ("#0072B2", "#D55E00", "#E69F00")[place]
    bars = ax.bar(np.arange(3) + 0.27 * (place - 1), rows[title], 0.25, color=color, hatch=hatch, label=title)
    ax.bar_label(bars, fmt="%.1f", fontsize=8)
ax.set_xticks(range(3), ["right class", "rejected", "AUROC"])
ax.set(ylabel="%", ylim=(0, 140), yticks=range(0, 101, 20))
ax.legend(loc="upper center")
figure.savefig("new_vocabulary.png", dpi=80)

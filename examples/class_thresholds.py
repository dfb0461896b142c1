"""One class is harder than the others: does each class keep the promised share of its images?

``predict_set`` names all classes that an image may well be of, and leaves the right one
out with a chance of alpha. By one threshold for all classes the hard ones pay for the
easy ones; with ``by_class=True`` each keeps its own. The picture shows how often the
right class is left out, class by class, and the promise as a line.
"""

import numpy as np
from matplotlib import pyplot as plt

from skneg import CLIPImageEncoder, NegPromptDetector
from skneg.datasets import make_scenes

ALPHA = 0.1
SHAPES = ["anchor", "circle", "key", "octagon", "oval", "star"]
encoder = CLIPImageEncoder(model="skneg-tiny")


def images(n, shapes, seed):
    X, y = make_scenes(n, shapes=shapes, random_state=seed)
    return encoder.transform(X), y


detector = NegPromptDetector(model="skneg-tiny", evidence="images", random_state=0)
detector.fit(*images(120, SHAPES, 0))
detector.calibrate(*images(600, SHAPES, 1))  # 100 a class; alpha = 0.1 needs 9 at least
X, y = images(900, SHAPES, 2)
unknown, _ = images(300, ["crescent", "hexagon", "ring"], 3)

own = y[:, None] == detector.classes_
left_out, found = {}, {}
for title, by_class in (("all classes together", False), ("by class", True)):
    sets = detector.predict_set(X, alpha=ALPHA, by_class=by_class)
    wrong = ~sets[own]  # whether an image's own class is not in its set
    left_out[title] = [100 * wrong[y == label].mean() for label in detector.classes_]
    empty = ~detector.predict_set(unknown, alpha=ALPHA, by_class=by_class).any(axis=1)
    print(f"{title}: {100 * empty.mean():.1f} % of the unknown images fit no class; left out of its set:")
    for label, share in zip(detector.classes_, left_out[title], strict=True):
        print(f"  {label:<8} {share:5.1f} %")

figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
at = np.arange(len(detector.classes_))
ax.bar(
    at - 0.2,
    left_out["all classes together"],
    0.38,
    color="#D55E00",
    hatch="//",
    label="all classes together",
)
ax.bar(at + 0.2, left_out["by class"], 0.38, color="#0072B2", label="by_class=True")
ax.axhline(100 * ALPHA, color="#666666", linewidth=1, label=f"promise: {100 * ALPHA:g} %")
ax.set_xticks(at, detector.classes_)
ax.set(ylabel="images whose own class is left out [%]", ylim=(0, 27))
ax.legend(loc="upper left")
figure.savefig("class_thresholds.png", dpi=80)

"""Which labels of my training images are wrong?

One label in ten is replaced by that of another class. Each image is then judged by what the
others teach. The picture shows the images to look at first, with the label they have, the
class they look like, and the chance that the label is right.
"""

import numpy as np
from matplotlib import pyplot as plt

from skneg import CLIPImageEncoder
from skneg.datasets import make_scenes
from skneg.inspection import suspicious_labels

SHAPES = ["circle", "gear", "hexagon", "oval", "ring", "star"]
X, truth = make_scenes(240, shapes=SHAPES, noise=0, random_state=0)
classes = np.unique(truth)
rng = np.random.default_rng(0)
wrong = rng.permutation(len(truth))[:24]
y = truth.copy()
y[wrong] = [rng.choice(classes[classes != label]) for label in truth[wrong]]

Z = CLIPImageEncoder(model="skneg-tiny").transform(X)
found = suspicious_labels(Z, y, random_state=0)
print(found)

listed = found.kind == "label"
caught = listed & np.isin(found.row, wrong)
print(f"{len(wrong)} of {len(y)} labels are wrong; {listed.sum()} are listed, {caught.sum()} of them wrong")
print(f"right class proposed for {(found.likely_label == truth[found.row])[caught].sum()} of these")
order = np.argsort(found.right)  # of all images, the most doubtful label first
for n in (12, 24, 36):
    print(f"of the {n} most doubtful labels, {np.isin(order[:n], wrong).sum()} are wrong")

figure, axes = plt.subplots(2, 4, figsize=(6.4, 4.4), layout="constrained")
for ax, i in zip(axes.flat, np.flatnonzero(listed), strict=False):
    ax.imshow(X[found.row[i]], interpolation="nearest")
    ax.set_title(f"label: {found.label[i]}\nlooks like: {found.likely_label[i]}", fontsize=9)
    ax.set_xlabel(f"right: {found.chance[i]:.1%}", fontsize=9)
    ax.set(xticks=[], yticks=[])
figure.savefig("label_errors.png", dpi=80)

"""Which labels of my training images are wrong?

One label in ten is replaced by that of another class. Each image is then judged by a
detector that was fitted without it: the smaller the posterior of the label that the
image has, the sooner somebody should look. The picture shows the images to look at
first, with the label they have and the class they look like.
"""

import numpy as np
from matplotlib import pyplot as plt

from skneg import CLIPImageEncoder, NegPromptDetector
from skneg.datasets import make_scenes
from skneg.model_selection import out_of_fold_scores

SHAPES = ["circle", "gear", "hexagon", "oval", "ring", "star"]
X, truth = make_scenes(240, shapes=SHAPES, noise=0, random_state=0)
classes = np.unique(truth)
rng = np.random.default_rng(0)
wrong = rng.permutation(len(truth))[:24]
y = truth.copy()
y[wrong] = [rng.choice(classes[classes != label]) for label in truth[wrong]]

Z = CLIPImageEncoder(model="skneg-tiny").transform(X)
detector = NegPromptDetector(model="skneg-tiny", evidence="images", random_state=0)
posterior = out_of_fold_scores(detector, Z, y, method="predict_proba")
own = posterior[np.arange(len(y)), np.searchsorted(classes, y)]
order = np.argsort(own)  # most doubtful first
guess = classes[posterior.argmax(axis=1)]

print(f"{len(wrong)} of {len(y)} labels are wrong")
for n in (12, 24, 36, 48):
    print(f"of the {n} most doubtful labels, {np.isin(order[:n], wrong).sum()} are wrong")
caught = order[:24][np.isin(order[:24], wrong)]
print(f"right class proposed for {(guess[caught] == truth[caught]).sum()} of these {len(caught)}")

figure, axes = plt.subplots(2, 4, figsize=(6.4, 4), layout="constrained")
for ax, row in zip(axes.flat, order, strict=False):
    ax.imshow(X[row], interpolation="nearest")
    ax.set_title(f"label: {y[row]}\nlooks like: {guess[row]}", fontsize=9)
    ax.axis("off")
figure.savefig("label_errors.png", dpi=80)

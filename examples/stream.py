"""The same unknown things come again and again: does the detector get better at them?

A stream of 600 images, half of them of kinds that nobody has trained. `StreamDetector` scores each
image once, in its order, by what the images before it have shown; no label is given. The picture
shows how many unknown images are missed, beside the same detector without a memory.
"""

import numpy as np
from matplotlib import pyplot as plt

from skneg import CLIPImageEncoder, NegPromptDetector, StreamDetector
from skneg.datasets import SHAPE_NAMES, make_scenes
from skneg.metrics import auroc

KNOWN, UNKNOWN = SHAPE_NAMES[0:36:3], SHAPE_NAMES[1:13:3]
encoder = CLIPImageEncoder(model="skneg-tiny")


def images(n, shapes, seed):
    X, y = make_scenes(n, shapes=shapes, random_state=seed)
    return encoder.transform(X), y


detector = NegPromptDetector(model="skneg-tiny", evidence="images", random_state=0)
detector.fit(*images(60, KNOWN, 0))

known, unknown = images(300, KNOWN, 1)[0], images(300, UNKNOWN, 2)[0]
order = np.random.default_rng(0).permutation(600)
X, is_known = np.concatenate([known, unknown])[order], order < 300

stream = StreamDetector(detector)
scores = {"with a memory": stream.partial_score(X), "without": detector.score_samples(X)}

figure, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
for (name, values), color in zip(scores.items(), ("#0072B2", "#D55E00"), strict=True):
    found = (values < detector.offset_)[~is_known]
    rejected = np.mean(values[is_known] < detector.offset_)
    last = slice(300, None)
    figures = auroc(values[last][is_known[last]], values[last][~is_known[last]])
    print(f"{name}: {(~found).sum()} of 300 unknown images missed, {rejected:.1%} of the known ones rejected")
    print(f"    AUROC of the second half of the stream: {figures:.3f}")
    ax.plot(np.flatnonzero(~is_known), np.cumsum(~found), color=color, label=name)
ax.set(xlabel="images seen", ylabel="unknown images missed so far")
ax.legend(loc="upper left")
figure.savefig("stream.png", dpi=80)

"""Something has changed at the camera: when do we notice?

A p-value says how unusual an image is among images of the known classes: of such
images, a share alpha has one of alpha or less. In a stream of 900 images, unknown kinds
appear after the 500th, one image in four. The picture shows the share of small p-values
among the last 100 images, and the line that such a share passes by chance once in
1,000.
"""

import numpy as np
from matplotlib import pyplot as plt
from scipy.stats import betabinom

from skneg import CLIPImageEncoder, NegPromptDetector
from skneg.datasets import SHAPE_NAMES, make_scenes

ALPHA, WINDOW = 0.05, 100
KNOWN, UNKNOWN = SHAPE_NAMES[0:36:3], SHAPE_NAMES[1:36:3]
encoder = CLIPImageEncoder(model="skneg-tiny")


def images(n, shapes, seed):
    X, y = make_scenes(n, shapes=shapes, random_state=seed)
    return encoder.transform(X), y


detector = NegPromptDetector(model="skneg-tiny", evidence="images", contamination=ALPHA, random_state=0)
detector.fit(*images(240, KNOWN, 0))
detector.calibrate(*images(399, KNOWN, 1))  # images that fit has not seen: then p-values hold exactly

before, mixed, unknown = (
    images(n, s, i)[0] for n, s, i in ((500, KNOWN, 2), (300, KNOWN, 3), (100, UNKNOWN, 4))
)
after = np.random.default_rng(0).permutation(np.concatenate([mixed, unknown]))
small = detector.p_values(np.concatenate([before, after])) <= ALPHA
share = np.convolve(small, np.ones(WINDOW) / WINDOW, mode="valid")
seen = np.arange(WINDOW, len(small) + 1)

# Small p-values in a window, counted over the draws of the n calibration images too.
n = len(detector.calibration_scores_)
k = int(ALPHA * (n + 1) + 1e-9)
line = betabinom(WINDOW, k, n + 1 - k).ppf(0.999) / WINDOW
alarms = seen[share > line]
print(f"small p-values: {small[:500].mean():.1%} before the change, {small[500:].mean():.1%} after it")
print(f"alarm above {line:.0%} of {WINDOW} images: first after image {alarms.min() if len(alarms) else None}")

figure, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
ax.plot(seen, 100 * share, color="#0072B2", label=f"last {WINDOW} images")
ax.axhline(100 * ALPHA, color="#666666", linestyle=":", label="expected of known images")
ax.axhline(100 * line, color="#D55E00", linestyle="--", label="alarm")
ax.axvline(500, color="#000000", linewidth=0.8)
ax.set(xlabel="images seen", ylabel=f"p-values up to {ALPHA:g} [%]", ylim=(0, None))
ax.legend(loc="upper left")
figure.savefig("drift.png", dpi=80)

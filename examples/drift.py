"""Something has changed at the camera: when do we notice?

`DriftMonitor` looks at every image that a detector answers. In a stream of 900 images,
unknown kinds appear after the 500th, one image in four. The picture shows the evidence
that images have changed, and the line above which it is an alarm: while nothing changes,
the chance that it is ever passed is 1 %.
"""

import numpy as np
from matplotlib import pyplot as plt

from skneg import CLIPImageEncoder, NegPromptDetector
from skneg.datasets import SHAPE_NAMES, make_scenes
from skneg.monitoring import DriftMonitor

KNOWN, UNKNOWN = SHAPE_NAMES[0:36:3], SHAPE_NAMES[1:36:3]
encoder = CLIPImageEncoder(model="skneg-tiny")


def images(n, shapes, seed):
    X, y = make_scenes(n, shapes=shapes, random_state=seed)
    return encoder.transform(X), y


detector = NegPromptDetector(model="skneg-tiny", evidence="images", random_state=0)
detector.fit(*images(240, KNOWN, 0))
detector.calibrate(*images(399, KNOWN, 1))  # images that fit has not seen: then p-values hold exactly

before, mixed, unknown = (
    images(n, s, i)[0] for n, s, i in ((500, KNOWN, 2), (300, KNOWN, 3), (100, UNKNOWN, 4))
)
after = np.random.default_rng(0).permutation(np.concatenate([mixed, unknown]))

monitor = DriftMonitor(detector, false_alarm=0.01)
for batch in np.split(np.concatenate([before, after]), 90):  # as they come
    monitor.update(batch)
    if monitor.alarm_:
        break
alarm = monitor.alarm_
told = f"changed since about image {alarm.since}, {len(alarm.rows)} rejected since"
print(f"alarm at image {alarm.row}: {told}")
share, low, high = monitor.share_rejected(last=100)
print(f"rejected of the last 100: {share:.0%} (95 % interval: {low:.0%} to {high:.0%})")

figure, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
ax.plot(monitor.log_evidence_ / np.log(10), color="#0072B2", label="evidence of a change")
ax.axhline(2, color="#D55E00", linestyle="--", label="alarm: 100 to 1")
ax.axvline(500, color="#000000", linewidth=0.8)
ax.set(xlabel="images seen", ylabel="evidence, logarithm to base 10")
ax.legend(loc="upper left")
figure.savefig("drift.png", dpi=80)

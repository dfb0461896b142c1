"""Only names of the classes, no labelled image: how far does zero-shot go?

``MCMDetector`` compares images with the names; nothing is trained. A hundred images of
the known classes, without labels, set the threshold. The picture shows ROC curves
against other shapes, and against textures, noise and photographs.
"""

import numpy as np

from skneg import CLIPImageEncoder, MCMDetector
from skneg.datasets import SHAPE_NAMES, make_far_ood, make_scenes
from skneg.plotting import OODRocDisplay

names = list(SHAPE_NAMES[0:36:3])
encoder = CLIPImageEncoder(model="skneg-tiny")
unlabelled = encoder.transform(make_scenes(100, shapes=names, random_state=0)[0])
detector = MCMDetector(model="skneg-tiny").fit(unlabelled, class_names=names)

X, y = make_scenes(300, shapes=names, random_state=1)
known = encoder.transform(X)
ood = {
    "other shapes": encoder.transform(make_scenes(300, shapes=SHAPE_NAMES[1:36:3], random_state=2)[0]),
    "no shapes": encoder.transform(make_far_ood(300, random_state=3)),
}

answers = detector.predict(known)
print(f"known images: {np.mean(answers == y):.1%} right, {np.mean(answers == 'unknown'):.1%} rejected")
for title, Z in ood.items():
    print(f"{title}: {np.mean(detector.predict(Z) == 'unknown'):.1%} rejected")

display = OODRocDisplay.from_estimator(detector, known, ood=ood)
print(display.frame(summary=True).round(3).to_string(index=False))
display.figure_.savefig("text_only.png", dpi=80)

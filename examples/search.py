"""Which detector is best on my data?

Some images of unknown kinds are at hand, labelled "unknown", so a search of
scikit-learn can compare detectors: each fold fits them on the known images and measures
AUROC against the unknown ones. The winner is then tested once, on other images and on
kinds that had no part in the choice. The picture shows the folds' mean and spread.
"""

import numpy as np
from matplotlib import pyplot as plt
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

import skneg
from skneg.datasets import SHAPE_NAMES, make_scenes
from skneg.metrics import auroc

KNOWN, CHOOSE, TEST = SHAPE_NAMES[0:36:3], SHAPE_NAMES[1:36:3], SHAPE_NAMES[2:36:3]
encoder = skneg.CLIPImageEncoder(model="skneg-tiny")
known, labels = make_scenes(240, shapes=KNOWN, random_state=0)
unknown, _ = make_scenes(120, shapes=CHOOSE, random_state=1)
Z = encoder.transform(np.concatenate([known, unknown]))
y = np.concatenate([labels.astype(object), ["unknown"] * len(unknown)])

detectors = [
    skneg.MCMDetector(model="skneg-tiny"),
    skneg.WordsDetector(model="skneg-tiny"),
    skneg.KNNDetector(model="skneg-tiny", n_neighbors=1),
    skneg.KNNDetector(model="skneg-tiny"),
    skneg.MahalanobisDetector(model="skneg-tiny"),
    skneg.NegPromptDetector(model="skneg-tiny", evidence="images"),
]
search = GridSearchCV(
    Pipeline([("detector", detectors[0])]),
    {"detector": detectors},
    scoring="ood_auroc",
    cv=4,
    error_score="raise",
).fit(Z, y)

names = [repr(detector).replace("model='skneg-tiny'", "...") for detector in detectors]
mean, spread = search.cv_results_["mean_test_score"], search.cv_results_["std_test_score"]
for name, m, s in zip(names, mean, spread, strict=True):
    print(f"{name:<54} AUROC {m:.3f} ± {s:.3f}")
test = [encoder.transform(make_scenes(300, shapes=shapes, random_state=2)[0]) for shapes in (KNOWN, TEST)]
print(f"chosen: {names[search.best_index_]}")
print(f"AUROC on other images and other unknown kinds: {auroc(*map(search.decision_function, test)):.3f}")

figure, ax = plt.subplots(figsize=(7.2, 3.2), layout="constrained")
ax.errorbar(mean, names, xerr=spread, fmt="o", color="#0072B2", capsize=4)
ax.plot(mean[search.best_index_], search.best_index_, "D", color="#D55E00", markersize=9, label="chosen")
ax.set(xlabel="AUROC, mean and standard deviation of 4 folds")
ax.invert_yaxis()
ax.legend()
figure.savefig("search.png", dpi=80)

"""Do two detectors that fail in different ways do better together?

One goes by the names, one by distances to the training images. ``ScoreEnsemble`` puts
their scores on one scale, by where they lie among the scores of known images, and
averages them. The picture shows AUROC with 95 % bootstrap intervals, for other shapes
and for images without shapes.
"""

from matplotlib import pyplot as plt

from skneg import CLIPImageEncoder, KNNDetector, MCMDetector, ScoreEnsemble, ood_report
from skneg.datasets import SHAPE_NAMES, make_far_ood, make_scenes

KNOWN, NEAR = SHAPE_NAMES[0:36:3], SHAPE_NAMES[1:36:3]
encoder = CLIPImageEncoder(model="skneg-tiny")
X, y = make_scenes(240, shapes=KNOWN, random_state=0)
X_test, _ = make_scenes(300, shapes=KNOWN, random_state=1)
train, test = encoder.transform(X), encoder.transform(X_test)
ood = {
    "other shapes": encoder.transform(make_scenes(300, shapes=NEAR, random_state=2)[0]),
    "no shapes": encoder.transform(make_far_ood(300, random_state=3)),
}

by_names = MCMDetector(model="skneg-tiny").fit(train, y)
by_images = KNNDetector(model="skneg-tiny").fit(train, y)
both = ScoreEnsemble([by_names, by_images], method="rank")  # of fitted detectors: nothing is fitted again

figure, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
styles = {"MCM (names)": "#0072B2", "KNN (images)": "#E69F00", "ensemble": "#D55E00"}
for place, (name, detector) in enumerate(zip(styles, (by_names, by_images, both), strict=True)):
    scores = {title: detector.score_samples(Z) for title, Z in ood.items()}
    report = ood_report(detector.score_samples(test), scores, metrics=["auroc", "fpr95"], random_state=0)
    print(f"{name}; known images rejected: {(detector.predict(test) == 'unknown').mean():.1%}")
    print(report, end="\n\n")
    values, low, high = report.values[:, 0], report.low[:, 0], report.high[:, 0]
    at = [row + 0.2 * (place - 1) for row in range(len(values))]
    ax.errorbar(values, at, xerr=[values - low, high - values], fmt="os^"[place], capsize=4,
                color=styles[name], label=name)  # fmt: skip
ax.set_yticks(range(len(report.sets)), report.sets)
ax.set(xlabel="AUROC", ylim=(2.5, -0.5))
ax.legend()
figure.savefig("ensemble.png", dpi=80)

"""Do words that a caption model reads off an image help to see that it is unknown?

``ZOCDetector`` takes any function from Pillow images to words. So that this runs
without a download, the shipped model stands in for a caption model: it names the shapes
nearest to an image. Its list has the unknown shapes too, so the figures show how much
words help that fit, not what to expect. The picture shows the scores without and with
words.
"""

import numpy as np
from matplotlib import pyplot as plt

from skneg import CLIPImageEncoder, MCMDetector, ZOCDetector
from skneg.backbone import load_backbone
from skneg.datasets import SHAPE_NAMES, make_scenes
from skneg.metrics import auroc, fpr_at_tpr
from skneg.plotting import ScoreHistogramDisplay

KNOWN, UNKNOWN = SHAPE_NAMES[0:36:3], SHAPE_NAMES[1:36:3]

# A real caption model, here of Hugging Face's transformers; several captions of an image are better:
#     pipe = transformers.pipeline("image-to-text", model="Salesforce/blip-image-captioning-base")
#     def words_of(images): return [answers[0]["generated_text"].split() for answers in pipe(images)]
encoder = CLIPImageEncoder(model="skneg-tiny")
texts = load_backbone("skneg-tiny").text_tower.encode([f"a drawing of a {name}" for name in SHAPE_NAMES])


def words_of(images):
    nearest = np.argsort(-encoder.transform(images) @ texts.T, axis=1)[:, :3]
    return [[SHAPE_NAMES[i] for i in row] for row in nearest]


X, y = make_scenes(120, shapes=KNOWN, random_state=0)
known, _ = make_scenes(200, shapes=KNOWN, random_state=1)
unknown, _ = make_scenes(200, shapes=UNKNOWN, random_state=2)
figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
for ax, detector in zip(
    axes,
    (MCMDetector(model="skneg-tiny"), ZOCDetector(model="skneg-tiny", candidate_labels=words_of)),
    strict=True,
):
    detector.fit(X, y)
    scores = detector.score_samples(known), detector.score_samples(unknown)
    name = type(detector).__name__
    print(f"{name}: AUROC {auroc(*scores):.3f}, FPR95 {fpr_at_tpr(*scores):.3f}")
    ScoreHistogramDisplay.from_predictions(*scores, offset=detector.offset_, ax=ax)
    ax.set_xlabel(f"score of {name}")
figure.savefig("caption_model.png", dpi=60)

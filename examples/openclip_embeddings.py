"""The embeddings are in a file already: can a detector work without any model?

Image features, and text features of the class names and of words that mean no class,
are all that is needed. Here the shipped model writes such a file; in real work any
script with open_clip does, on another machine. The picture shows the scores: the log
odds of the class names against the words.
"""

import tempfile
from pathlib import Path

import numpy as np

from skneg import CLIPImageEncoder, TextBank, WordsDetector
from skneg.backbone import load_backbone
from skneg.datasets import SHAPE_NAMES, load_words, make_scenes
from skneg.metrics import auroc
from skneg.plotting import ScoreHistogramDisplay

# With open_clip: model.encode_image(...) and model.encode_text(...); lengths do not matter.
classes = list(SHAPE_NAMES[0:36:3])
encoder, tower = CLIPImageEncoder(model="skneg-tiny"), load_backbone("skneg-tiny").text_tower
path = Path(tempfile.mkdtemp()) / "features.npz"
np.savez(
    path,
    train=encoder.transform(make_scenes(120, shapes=classes, random_state=0)[0]),
    known=encoder.transform(make_scenes(240, shapes=classes, random_state=1)[0]),
    other=encoder.transform(make_scenes(240, shapes=SHAPE_NAMES[1:36:3], random_state=2)[0]),
    classes=classes,
    class_features=tower.encode([f"a photo of a {name}" for name in classes]),
    word_features=tower.encode([f"a photo of a {word}" for word in load_words("nouns")[:2000]]),
)

# From here on: numpy arrays, no model.
with np.load(path) as file:
    data = dict(file)
bank = TextBank(data["class_features"], data["word_features"])  # rows in the order of the sorted class names
detector = WordsDetector(text_bank=bank).fit(data["train"], class_names=data["classes"].tolist())

for name in ("known", "other"):
    rejected = detector.predict(data[name]) == "unknown"
    print(f"{name}: {rejected.sum()} of {len(rejected)} images are rejected")
scores = [detector.score_samples(data[name]) for name in ("known", "other")]
print(f"AUROC {auroc(*scores):.3f}")

display = ScoreHistogramDisplay.from_estimator(detector, data["known"], ood={"other": data["other"]})
display.figure_.savefig("openclip_embeddings.png", dpi=80)

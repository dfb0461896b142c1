"""Which of my photographs show none of my classes?

The first folder has one folder of images for each known class, named after it; the
second holds images of anything else. Half of the known images train NegPrompt and
zero-shot MCM, the other half test them. Without folders, drawn shapes take their place.
The picture shows the ROC curve of NegPrompt.
"""

import argparse
import tempfile
from pathlib import Path

from PIL import Image
from sklearn.model_selection import train_test_split

from skneg import CLIPImageEncoder, MCMDetector, NegPromptDetector
from skneg.datasets import list_images, load_image_folder, make_scenes
from skneg.metrics import auroc, fpr_at_tpr
from skneg.plotting import OODRocDisplay

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("folders", nargs="*", help="KNOWN OTHER")
parser.add_argument("--model", help="an open_clip model, or local-dir:FOLDER")
args = parser.parse_args()

if len(args.folders) not in (0, 2):
    parser.error("two folders are needed: KNOWN OTHER")
if args.folders:
    known, other = args.folders
    model = args.model or "ViT-B-16"
else:
    root = Path(tempfile.mkdtemp())
    known, other, model = root / "known", root / "other", "skneg-tiny"
    X, y = make_scenes(300, shapes=["circle", "heart", "key", "oval", "octagon", "ring"], random_state=0)
    for number, (pixels, shape) in enumerate(zip(X, y, strict=True)):
        folder = (other if shape in ("octagon", "ring") else known) / shape
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{number}.png")

paths, labels = load_image_folder(known)
encoder = CLIPImageEncoder(model=model)  # detectors take images too; this encodes each of them once
X_train, X_test, y_train, y_test = train_test_split(
    encoder.transform(paths), labels, test_size=0.5, stratify=labels, random_state=0
)
X_other = encoder.transform(list_images(other))

for detector in (MCMDetector(model=model), NegPromptDetector(model=model, random_state=0)):
    detector.fit(X_train, y_train)
    scores = detector.score_samples(X_test), detector.score_samples(X_other)
    right, found = detector.predict(X_test) == y_test, detector.predict(X_other) == "unknown"
    print(type(detector).__name__)
    print(f"  AUROC {auroc(*scores):.1%}, FPR95 {fpr_at_tpr(*scores):.1%}")
    print(f"  {right.sum()} of {len(right)} known images get their class")
    print(f"  {found.sum()} of {len(found)} other images get 'unknown'")

display = OODRocDisplay.from_estimator(detector, X_test, ood={"other images": X_other})
display.figure_.savefig("photos.png", dpi=80)

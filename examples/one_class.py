"""Only good parts are known: which new ones are not like them?

The first folder holds images of good parts, each further one a kind of defect, used for
testing only. 50 good images train the detector, 100 set its threshold again, and the
others test it. Without folders, the textiles of the package conformal-clip-data are
taken where --model sees textiles, else drawn shapes. The picture shows the scores.
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from skneg import CLIPImageEncoder, NegPromptDetector
from skneg.datasets import list_images, make_scenes
from skneg.metrics import auroc
from skneg.plotting import ScoreHistogramDisplay

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("folders", nargs="*", type=Path, help="GOOD [DEFECT ...]")
parser.add_argument("--model", default="skneg-tiny", help="an open_clip model, or local-dir:FOLDER")
args = parser.parse_args()

if not args.folders and args.model != "skneg-tiny" and find_spec("conformal_clip_data"):
    from conformal_clip_data import global_dir, local_dir, nominal_dir

    args.folders = [nominal_dir(), local_dir(), global_dir()]
if args.folders:
    images = list_images(args.folders[0])
    defects = {folder.name: list_images(folder) for folder in args.folders[1:]}
else:
    images = make_scenes(300, shapes=["gear"], random_state=0)[0]
    defects = {shape: make_scenes(100, shapes=[shape], random_state=1)[0] for shape in ("flower", "ring")}
if len(images) <= 150:
    parser.error(f"{len(images)} good images: 150 train and calibrate, the others are for the test")

encoder = CLIPImageEncoder(model=args.model)
Z = np.random.default_rng(0).permutation(encoder.transform(images))
train, fresh, good = np.split(Z, [50, 150])
bad = {name: encoder.transform(files) for name, files in defects.items()}

detector = NegPromptDetector(evidence="images", model=args.model, random_state=0)
detector.fit(train, ["good"] * len(train))


def show(title):
    print(title)
    for name, X in {"good": good, **bad}.items():
        print(f"  {name:<8} {(detector.predict(X) == 'unknown').mean():6.1%} rejected")


show("threshold from the 50 images of training")
detector.calibrate(fresh)
show("threshold from 100 other good images")
for name, X in bad.items():
    print(f"AUROC, {name}: {auroc(detector.score_samples(good), detector.score_samples(X)):.3f}")

display = ScoreHistogramDisplay.from_estimator(detector, good, ood=bad)
display.figure_.savefig("one_class.png", dpi=80)

"""ZOC with a caption model of your own: ``python examples/zoc_caption_model.py``.

A caption model is any function from a list of Pillow images to a list of words for each. So that this
runs without a network, the shipped model itself stands in for one: it names the words of a list that
lie nearest to an image. The list has the names of the unknown shapes, too, so the figures show how well
words help that fit, not what to expect of a caption model.
"""

from __future__ import annotations

import argparse
import logging

import numpy as np
from PIL import Image

from skneg import CLIPImageEncoder, MCMDetector, ZOCDetector
from skneg.backbone import load_backbone
from skneg.datasets import SHAPE_NAMES, make_scenes
from skneg.metrics import auroc, fpr_at_tpr

logging.basicConfig(level=logging.INFO, format="%(message)s")
say = logging.getLogger("zoc").info

# Every third shape is known, the next is unknown to the detectors; both are words of the captioner.
KNOWN, UNKNOWN = SHAPE_NAMES[0:36:3], SHAPE_NAMES[1:36:3]

# A real caption model goes here; with Hugging Face's transformers, for example:
#
#     pipe = transformers.pipeline("image-to-text", model="Salesforce/blip-image-captioning-base")
#
#     def words_of(images: list[Image.Image]) -> list[list[str]]:
#         captions = [answers[0]["generated_text"] for answers in pipe(images)]
#         return [caption.split() for caption in captions]  # better: its nouns only
#
# Several captions of an image, sampled or by beam search, give more words and a better score.


class NearestWords:
    """The stand-in: the `n_words` words that lie nearest to an image."""

    def __init__(self, words: tuple[str, ...], n_words: int = 3) -> None:
        self.words = words
        self.n_words = n_words

    def __call__(self, images: list[Image.Image]) -> list[list[str]]:
        """The nearest words of each image, nearest first."""
        texts = load_backbone("skneg-tiny").text_tower.encode([f"a drawing of a {w}" for w in self.words])
        cosines = CLIPImageEncoder(model="skneg-tiny").transform(images) @ texts.T
        return [[self.words[i] for i in row] for row in np.argsort(-cosines, axis=1)[:, : self.n_words]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=300, help="test images, known and unknown each")
    parser.add_argument("--words", type=int, default=3, help="words per image")
    args = parser.parse_args()

    X, y = make_scenes(120, shapes=KNOWN, random_state=0)
    known, _ = make_scenes(args.images, shapes=KNOWN, random_state=1)
    unknown, _ = make_scenes(args.images, shapes=UNKNOWN, random_state=2)
    captioner = NearestWords(SHAPE_NAMES, args.words)
    pictures = [Image.fromarray(x) for x in (known[0], unknown[0])]
    for kind, words in zip(("known", "unknown"), captioner(pictures), strict=True):
        say(f"words of one {kind} image: {', '.join(words)}")
    say(f"\n{len(KNOWN)} known shapes, {len(UNKNOWN)} unknown ones; in percent\n\n       AUROC   FPR95")
    for name, detector in (
        ("MCM", MCMDetector(model="skneg-tiny")),
        ("ZOC", ZOCDetector(model="skneg-tiny", candidate_labels=captioner)),
    ):
        detector.fit(X, y)
        scores = detector.score_samples(known), detector.score_samples(unknown)
        say(f"{name:<6} {100 * auroc(*scores):5.2f}   {100 * fpr_at_tpr(*scores):5.1f}")


if __name__ == "__main__":
    main()

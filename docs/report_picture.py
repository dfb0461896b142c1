"""Draws docs/images/report.webp, the first part of a report; needs the extra `browser` and chromium."""

from __future__ import annotations

import os
import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from skneg import NegPromptDetector
from skneg.datasets import SHAPE_NAMES, make_far_ood, make_scenes
from skneg.report import html

KNOWN, NEAR = SHAPE_NAMES[0:36:3], SHAPE_NAMES[1:36:3]
OUT = Path(__file__).parent / "images" / "report.webp"


def main() -> None:  # noqa: D103
    detector = NegPromptDetector(model="skneg-tiny", random_state=0)
    detector.fit(*make_scenes(192, shapes=KNOWN, random_state=0))
    X, y = make_scenes(240, shapes=KNOWN, random_state=1)
    ood = {
        "near OOD": make_scenes(120, shapes=NEAR, random_state=2)[0],
        "far OOD": make_far_ood(120, random_state=3),
    }
    page = html(detector, X, y, ood=ood, path=Path(tempfile.mkdtemp()) / "report.html", n_images=6)
    with sync_playwright() as playwright:
        chromium = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 860, "height": 2600})
        tab.goto(page.as_uri())
        Image.open(BytesIO(tab.screenshot())).save(OUT, quality=60)
        browser.close()


if __name__ == "__main__":
    main()

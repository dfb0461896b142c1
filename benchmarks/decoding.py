"""What a 12-megapixel JPEG file costs until a tower of 224 x 224 sees it, and how much of it is lost.

    OMP_NUM_THREADS=1 python benchmarks/decoding.py [--photos FOLDER] [--model MODEL]

The pictures are made here: a drawn scene, noise with the spectrum of photographs (amplitudes fall as
1/frequency), white noise. Errors are in grey levels of 255, of what the tower sees against a resize of the
whole image. Scores are those of 12-megapixel files, against those of their whole pixels; beside how far
scores move when each value of the whole image moves by up to one grey level, which no eye sees.

``--photos`` adds a folder of photographs per class. Each is made 1/(2f), 1/(4f) and 1/(8f) as large, from the
whole and from libjpeg's 1/2, 1/4 and 1/8: the share beyond 1 level in the mean or 4 at the 99th percentile
decides f, how many times the tower's size is decoded. Some are enlarged to 12 megapixels for the scores.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import open_clip
import torch
from _measure import best, row, show
from PIL import Image

from skneg import CLIPImageEncoder, KNNDetector, MCMDetector, NegPromptDetector
from skneg.backbone import ImageTower
from skneg.datasets import load_image_folder, make_scenes
from skneg.images import as_image_sequence, decode_image

SIZE = (4000, 3000)
BICUBIC = Image.Resampling.BICUBIC
ANCHORS = {"full decode and resize": None, "Pillow's draft mode at the tower's size": (224, 224)}


def jpeg(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90, **options)
    return buffer.getvalue()


def noise(rng: np.random.Generator, power: float) -> Image.Image:
    """A picture whose amplitudes fall as 1 / frequency ** power."""
    width, height = SIZE
    frequency = np.hypot(np.fft.rfftfreq(width)[None], np.fft.fftfreq(height)[:, None])
    amplitude = np.maximum(frequency, 1 / width) ** -power
    channels = []
    for _ in range(3):
        phases = np.exp(2j * np.pi * rng.random(amplitude.shape))
        pixels = np.fft.irfft2(amplitude * phases, (height, width))
        channels.append(np.clip(127.5 + 50 * pixels / pixels.std(), 0, 255).astype(np.uint8))
    return Image.fromarray(np.stack(channels, axis=2))


def differences(seen: np.ndarray, whole: np.ndarray) -> dict[str, float]:
    error = np.abs(seen.astype(float) - whole)
    return {"mean": round(error.mean(), 2), "percentile_99": round(np.percentile(error, 99), 2)}


def costs(pictures: dict[str, Image.Image], repeats: int) -> None:
    tower = ImageTower(open_clip.create_model("ViT-B-16"), torch.device("cpu"), torch.float32)
    prepare, std = tower._preprocess, np.array(tower._mean_and_std[1])[:, None, None]
    with TemporaryDirectory() as folder:
        for name, picture in pictures.items():
            path = Path(folder, "a.jpg")
            path.write_bytes(jpeg(picture))

            def theirs(draft: tuple[int, int] | None, path: Path = path) -> np.ndarray:
                with Image.open(path) as image:
                    if draft:
                        image.draft("RGB", draft)
                    return prepare(image.convert("RGB")).numpy()

            def ours(path: Path = path) -> np.ndarray:
                return tower.pixels(as_image_sequence([path]), [0])[0]

            seconds, whole = best(ours, repeats), theirs(None)
            mib, lost = round(path.stat().st_size / 2**20, 1), 255 * std
            for anchor, draft in ANCHORS.items():
                show(picture=name, mib=mib, how=anchor, **differences(theirs(draft) * lost, whole * lost))
                row(
                    f"decoding a JPEG of 12 megapixels: {name}",
                    seconds,
                    anchor,
                    best(lambda draft=draft: theirs(draft), repeats),
                    **differences(ours() * lost, whole * lost),
                )


def scores(X: Sequence, y: Sequence, others: list[Image.Image], model: str, rng: np.random.Generator) -> None:
    """Of images that are not in `fit`, enlarged to 12 megapixels, and of other pictures."""
    held = rng.permutation(len(X))[:12]
    enlarged = [decode_image(X[row]).resize(SIZE, BICUBIC) for row in held]
    files = [jpeg(image) for image in [*enlarged, *others]]
    encoder, is_trained = CLIPImageEncoder(model=model), ~np.isin(np.arange(len(X)), held)
    Z, y = encoder.transform(X)[is_trained], np.asarray(y)[is_trained]
    wholes = [np.asarray(decode_image(data)) for data in files]
    noisy = (np.clip(w + rng.integers(-1, 2, w.shape, np.int8).astype(int), 0, 255) for w in wholes)
    seen, whole, moved = (
        encoder.transform(images) for images in (files, wholes, [n.astype(np.uint8) for n in noisy])
    )
    for detector in (
        MCMDetector(model=model),
        KNNDetector(random_state=0),
        NegPromptDetector(model=model, random_state=0),
    ):
        detector.fit(Z, y)
        before, by_range = detector.score_samples(whole), np.ptp(detector.score_samples(Z))
        change, by_noise = (np.abs(detector.score_samples(e) - before).max() for e in (seen, moved))
        show(
            scores=type(detector).__name__,
            model=Path(model).name,
            files=len(files),
            largest_change=round(float(change), 4),
            share_of_range=round(float(change / by_range), 4),
            by_noise_of_one_level=round(float(by_noise), 4),
            labels_equal=bool((detector.predict(seen) == detector.predict(whole)).all()),
        )


def photographs(paths: Sequence[str]) -> None:
    for factor in (2, 3, 4):
        for scale in (2, 4, 8):
            errors = [list(error.values()) for error in errors_of_photographs(paths, factor, scale)]
            if not errors:
                continue
            mean, percentile = np.array(errors).T
            show(
                photographs=len(errors), factor=factor, scale=scale,
                worst_mean=mean.max(), worst_percentile_99=percentile.max(),
                share_beyond=round(float(((mean > 1) | (percentile > 4)).mean()), 4),
            )  # fmt: skip


def errors_of_photographs(paths: Sequence[str], factor: int, scale: int) -> Iterator[dict[str, float]]:
    for path in paths:
        photo = decode_image(path)
        photo = photo.crop((0, 0, photo.width // 16 * 16, photo.height // 16 * 16))
        size = (photo.width // (scale * factor), photo.height // (scale * factor))
        if min(size) < 8:
            continue
        data = jpeg(photo)
        with Image.open(io.BytesIO(data)) as whole, Image.open(io.BytesIO(data)) as small:
            small.draft("RGB", (photo.width // scale, photo.height // scale))
            yield differences(*(np.asarray(i.convert("RGB").resize(size, BICUBIC)) for i in (small, whole)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--model", default="skneg-tiny", help="of the detector whose scores are compared")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    pictures = {
        "drawn scene": Image.fromarray(make_scenes(1, random_state=0)[0][0]).resize(SIZE, BICUBIC),
        "white noise": noise(rng, 0),
        "spectrum of photographs": noise(rng, 1),
    }
    X, y = make_scenes(120, shapes=["star", "heart", "key"], random_state=0)
    if options.photos:
        X, y = load_image_folder(options.photos)
        photographs(X)
    scores(X, y, list(pictures.values())[1:], options.model, rng)
    costs(pictures, options.repeats)


if __name__ == "__main__":
    main()

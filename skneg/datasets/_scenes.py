"""Procedural images with real semantics, for examples, tests and the shipped tiny CLIP."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw
from sklearn.utils import check_random_state

from ..errors import InputError
from ._shapes import SHAPES

SHAPE_NAMES: tuple[str, ...] = tuple(SHAPES)

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (214, 39, 40),
    "orange": (255, 135, 20),
    "yellow": (245, 220, 50),
    "green": (50, 160, 60),
    "teal": (30, 175, 175),
    "blue": (40, 80, 200),
    "purple": (130, 60, 175),
    "pink": (245, 130, 190),
    "brown": (125, 80, 45),
    "white": (245, 245, 245),
    "gray": (130, 130, 130),
    "black": (25, 25, 25),
}
TEXTURES: tuple[str, ...] = ("plain", "striped", "checkered", "dotted", "wavy", "ringed", "speckled")
BACKGROUNDS: tuple[str, ...] = ("plain", "gradient", "cloudy", "striped", "grid")

FAR_KINDS: tuple[str, ...] = ("textures", "noise", "photographs")

_SUPERSAMPLE = 3


class Scene(NamedTuple):
    """What is on one image of `make_scenes`."""

    shape: str
    color: str
    texture: str
    background: str


def _choices(values: Sequence[str] | None, known: Sequence[str], parameter: str) -> list[str]:
    if values is None:
        return list(known)
    chosen = [values] if isinstance(values, str) else list(values)
    if not chosen:
        raise InputError(f"{parameter} is empty; choose from {sorted(known)} or pass None for all.")
    unknown = sorted(set(chosen) - set(known))
    if unknown:
        raise InputError(f"{parameter} contains unknown names {unknown}; known: {sorted(known)}.")
    return chosen


def _check_count(n_samples: int) -> int:
    if isinstance(n_samples, bool) or not isinstance(n_samples, int | np.integer) or n_samples < 1:
        raise InputError(f"n_samples must be a positive integer, got {n_samples!r}.")
    return int(n_samples)


def _generator(random_state: Any) -> np.random.Generator:
    return np.random.default_rng(check_random_state(random_state).randint(0, 2**31 - 1, size=4))


@cache
def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1
    x, y = np.meshgrid(axis, axis)
    return x, y


def _pattern(kind: str, size: int, rng: np.random.Generator) -> np.ndarray:
    """A pattern (size, size) in [0, 1] over the frame; 0 and 1 are the pattern's two tones."""
    x, y = _grid(size)
    if kind == "plain":
        return np.zeros_like(x)
    if kind == "speckled":
        grains = (rng.random((size // 2, size // 2)) < 0.3).astype(np.float32)
        return np.repeat(np.repeat(grains, 2, axis=0), 2, axis=1)
    angle = rng.uniform(0, np.pi)
    u = x * np.cos(angle) + y * np.sin(angle)
    v = y * np.cos(angle) - x * np.sin(angle)
    frequency = rng.uniform(2.5, 4.5)
    phase_u, phase_v = rng.uniform(0, 2 * np.pi, size=2)
    wave_u = np.sin(np.pi * frequency * u * 2 + phase_u)
    if kind == "striped":
        return (wave_u > 0).astype(np.float32)
    wave_v = np.sin(np.pi * frequency * v * 2 + phase_v)
    if kind == "checkered":
        return (wave_u * wave_v > 0).astype(np.float32)
    if kind == "dotted":
        return (wave_u + wave_v > 0.9).astype(np.float32)
    if kind == "wavy":
        return (np.sin(np.pi * frequency * 2 * (u + 0.15 * wave_v)) > 0).astype(np.float32)
    if kind == "ringed":
        return (np.sin(2 * np.pi * frequency * np.hypot(u, v) + phase_u) > 0).astype(np.float32)
    if kind == "grid":
        return (np.maximum(wave_u, wave_v) > 0.85).astype(np.float32)
    if kind == "gradient":
        return (u - u.min()) / (u.max() - u.min())
    # cloudy: a few random values, smoothly enlarged
    cells = (rng.random((4, 4)) * 255).astype(np.uint8)
    cloud = Image.fromarray(cells).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(cloud, dtype=np.float32) / 255


def _paint(pattern: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return first + pattern[:, :, None] * (second - first)


def _mask(shape: str, size: int, rng: np.random.Generator) -> np.ndarray:
    """Anti-aliased coverage (size, size) in [0, 1] of one shape, at a random place, size and angle."""
    angle = np.deg2rad(rng.uniform(-25, 25))
    scale = rng.uniform(0.4, 0.8)
    aspect = rng.uniform(0.88, 1.12)
    shift = rng.uniform(-1, 1, size=2) * (1 - scale) * 0.85
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    side = size * _SUPERSAMPLE
    canvas = Image.new("L", (side, side), 0)
    draw = ImageDraw.Draw(canvas)
    for points, filled in SHAPES[shape]:
        placed = (points * (aspect, 1 / aspect)) @ rotation * scale + shift
        pixels = (placed * (1, -1) + 1) / 2 * side  # image rows grow downwards
        draw.polygon(pixels.ravel().tolist(), fill=255 if filled else 0)
    return np.asarray(canvas.reduce(_SUPERSAMPLE), dtype=np.float32) / 255


def _far_from(color: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random RGB colour that stays visible beside `color`."""
    while True:
        candidate = rng.uniform(0, 255, size=3)
        if np.abs(candidate - color).sum() > 170:
            return candidate


def _clutter(image: np.ndarray, rng: np.random.Generator) -> None:
    """Draw a few thin strokes across the frame, in place: what the background may hold."""
    size = image.shape[0]
    for _ in range(rng.integers(0, 4)):
        canvas = Image.new("L", (size, size), 0)
        ends = rng.uniform(0, size, size=4)
        ImageDraw.Draw(canvas).line(ends.tolist(), fill=255, width=int(rng.integers(1, 3)))
        stroke = np.asarray(canvas, dtype=np.float32)[:, :, None] / 255
        image += stroke * (rng.uniform(0, 255, size=3) - image)


def _finish(image: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    grain = rng.standard_normal(image.shape, dtype=np.float32) * (255 * noise)
    return np.clip(image + grain, 0, 255).astype(np.uint8)


def _render(scene: Scene, size: int, noise: float, rng: np.random.Generator) -> np.ndarray:
    color = np.asarray(COLORS[scene.color], dtype=np.float64)
    color = np.clip(color + rng.normal(0, 10, size=3), 0, 255)
    shade = np.clip(color + (110 if color.mean() < 128 else -110), 0, 255)
    behind = _far_from(color, rng)
    second = np.clip(behind + rng.uniform(-70, 70, size=3), 0, 255)
    image = _paint(_pattern(scene.background, size, rng), behind, second).astype(np.float32)
    _clutter(image, rng)
    front = _paint(_pattern(scene.texture, size, rng), color, shade)
    coverage = _mask(scene.shape, size, rng)[:, :, None]
    return _finish(image + coverage * (front - image), noise, rng)


def true_captions(scene: Scene) -> tuple[str, ...]:
    """Every caption `make_scenes` may give this scene; all of them are true of it."""
    return (
        f"a photo of a {scene.shape}",
        f"a {scene.shape}",
        f"a {scene.color} {scene.shape}",
        f"a {scene.texture} {scene.shape}",
        f"a {scene.texture} {scene.color} {scene.shape}",
        f"a {scene.texture} {scene.color} {scene.shape} on a {scene.background} background",
        f"a photo of a {scene.shape} on a {scene.background} background",
        f"a {scene.color} thing",
        f"a {scene.texture} texture",
        f"a {scene.background} background",
    )


# How often each of `true_captions` is chosen: mostly those that name the shape.
_CAPTION_ODDS = np.array([8, 3, 3, 3, 3, 3, 3, 1, 1, 1]) / 29


def draw_caption(scene: Scene, rng: np.random.Generator) -> str:
    """One of `true_captions`, at random."""
    return true_captions(scene)[rng.choice(len(_CAPTION_ODDS), p=_CAPTION_ODDS)]


def render_scenes(
    n_samples: int,
    *,
    shapes: Sequence[str] | None = None,
    colors: Sequence[str] | None = None,
    textures: Sequence[str] | None = None,
    backgrounds: Sequence[str] | None = None,
    image_size: int = 64,
    noise: float = 0.08,
    random_state: Any = None,
) -> tuple[np.ndarray, list[Scene], list[str]]:
    """Render scenes with everything that is known of them; see `make_scenes` for the parameters.

    Returns
    -------
    X : ndarray of shape (n_samples, image_size, image_size, 3), uint8
    scenes : list of Scene
        Shape, colour, texture and background of each image.
    captions : list of str
    """
    n_samples = _check_count(n_samples)
    shape_names = _choices(shapes, SHAPE_NAMES, "shapes")
    color_names = _choices(colors, tuple(COLORS), "colors")
    texture_names = _choices(textures, TEXTURES, "textures")
    background_names = _choices(backgrounds, BACKGROUNDS, "backgrounds")
    if image_size < 16:
        raise InputError(f"image_size must be at least 16 pixels, got {image_size}.")
    if not 0 <= noise <= 1:
        raise InputError(f"noise must lie in [0, 1], got {noise}.")
    rng = _generator(random_state)
    # Every shape equally often, up to one image, in random order.
    order = rng.permutation(np.arange(n_samples) % len(shape_names))
    images = np.empty((n_samples, image_size, image_size, 3), dtype=np.uint8)
    scenes, captions = [], []
    for i, which in enumerate(order):
        scene = Scene(
            shape_names[which],
            color_names[rng.integers(len(color_names))],
            texture_names[rng.integers(len(texture_names))],
            background_names[rng.integers(len(background_names))],
        )
        images[i] = _render(scene, image_size, noise, rng)
        scenes.append(scene)
        captions.append(draw_caption(scene, rng))
    return images, scenes, captions


def make_scenes(
    n_samples: int = 100,
    *,
    shapes: Sequence[str] | None = None,
    colors: Sequence[str] | None = None,
    textures: Sequence[str] | None = None,
    backgrounds: Sequence[str] | None = None,
    image_size: int = 64,
    noise: float = 0.08,
    return_captions: bool = False,
    random_state: Any = None,
) -> tuple[np.ndarray, ...]:
    """Render small captioned scenes: one shape, coloured and textured, on a varied background.

    What `sklearn.datasets.make_blobs` is for points: images with real classes, free of licences and
    downloads. ``skneg-tiny`` is trained on them, so shapes left out of a detector's vocabulary are
    *near* out-of-distribution images; for *far* ones see `make_far_ood`.

    Parameters
    ----------
    n_samples : int, default=100
        Number of images; the shapes are balanced up to one image.
    shapes : sequence of str, optional
        Shape names to draw, from ``skneg.datasets.SHAPE_NAMES``; all by default.
    colors, textures, backgrounds : sequence of str, optional
        Attribute names to draw from ``COLORS``, ``TEXTURES`` and ``BACKGROUNDS`` of
        `skneg.datasets`; all by default.
    image_size : int, default=64
        Side of the square images, in pixels.
    noise : float, default=0.08
        Standard deviation of the pixel noise, as a share of the value range.
    return_captions : bool, default=False
        Whether to return the captions as well.
    random_state : int, RandomState or None, default=None
        Decides everything that is random.

    Returns
    -------
    X : ndarray of shape (n_samples, image_size, image_size, 3), uint8
        RGB images.
    y : ndarray of shape (n_samples,), str
        The shape on each image.
    captions : ndarray of shape (n_samples,), str
        One true caption for each image; only with ``return_captions=True``.

    Raises
    ------
    InputError
        If a count, a size, a noise level or a name is not usable.

    Examples
    --------
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(6, shapes=["star", "heart"], random_state=0)
    >>> X.shape, X.dtype
    ((6, 64, 64, 3), dtype('uint8'))
    >>> sorted(set(y.tolist()))
    ['heart', 'star']
    """
    images, scenes, captions = render_scenes(
        n_samples,
        shapes=shapes,
        colors=colors,
        textures=textures,
        backgrounds=backgrounds,
        image_size=image_size,
        noise=noise,
        random_state=random_state,
    )
    labels = np.array([scene.shape for scene in scenes])
    return (images, labels, np.array(captions)) if return_captions else (images, labels)


def make_far_ood(
    n_samples: int = 100,
    *,
    kind: str | Sequence[str] = FAR_KINDS,
    image_size: int = 64,
    noise: float = 0.08,
    random_state: Any = None,
) -> np.ndarray:
    """Make images that hold none of the shapes: textures, noise, and crops of photographs.

    The photographs are the two that scikit-learn ships (`sklearn.datasets.load_sample_images`).

    Parameters
    ----------
    n_samples : int, default=100
        Number of images, spread evenly over the kinds.
    kind : {"textures", "noise", "photographs"} or a sequence of them
        What to make; all three by default.
    image_size : int, default=64
        Side of the square images, in pixels.
    noise : float, default=0.08
        Standard deviation of the pixel noise, as a share of the value range.
    random_state : int, RandomState or None, default=None
        Decides everything that is random.

    Returns
    -------
    X : ndarray of shape (n_samples, image_size, image_size, 3), uint8
        RGB images.

    Raises
    ------
    InputError
        If `kind` or `n_samples` is not usable.

    Examples
    --------
    >>> from skneg.datasets import make_far_ood
    >>> make_far_ood(4, kind="textures", random_state=0).shape
    (4, 64, 64, 3)
    """
    n_samples = _check_count(n_samples)
    kinds = _choices(kind, FAR_KINDS, "kind")
    rng = _generator(random_state)
    images = np.empty((n_samples, image_size, image_size, 3), dtype=np.uint8)
    for i in range(n_samples):
        chosen = kinds[i % len(kinds)]
        if chosen == "photographs":
            images[i] = _photograph_crop(image_size, rng)
        elif chosen == "noise":
            blur = int(rng.choice([4, 8, 16, image_size]))
            cells = rng.integers(0, 256, size=(blur, blur, 3), dtype=np.uint8)
            noisy = Image.fromarray(cells).resize((image_size, image_size), Image.Resampling.BICUBIC)
            images[i] = np.asarray(noisy)
        else:
            texture = TEXTURES[1 + rng.integers(len(TEXTURES) - 1)]
            first = rng.uniform(0, 255, size=3)
            frame = _paint(_pattern(texture, image_size, rng), first, _far_from(first, rng))
            images[i] = _finish(frame.astype(np.float32), noise, rng)
    return images


def _photograph_crop(size: int, rng: np.random.Generator) -> np.ndarray:
    photographs = _photographs()
    photograph = photographs[rng.integers(len(photographs))]
    side = int(rng.integers(size, 4 * size))
    top = int(rng.integers(0, photograph.shape[0] - side))
    left = int(rng.integers(0, photograph.shape[1] - side))
    crop = Image.fromarray(photograph[top : top + side, left : left + side])
    return np.asarray(crop.resize((size, size), Image.Resampling.BILINEAR))


@cache
def _photographs() -> list[np.ndarray]:
    from sklearn.datasets import load_sample_images

    return load_sample_images().images

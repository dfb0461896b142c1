"""Images on disk in the two layouts they usually come in: a folder per class, or a list in a text file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import InputError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")


def list_images(folder: str | os.PathLike) -> list[Path]:
    """All image files below a folder, at any depth, in one order on every file system.

    Parameters
    ----------
    folder : str or path
        Hidden files and folders are left out, and so is what does not end as an image does. Links are
        followed, except those that lead back to a folder they lie in.

    Returns
    -------
    list of Path
        Ordered by folder, then by name.

    Raises
    ------
    InputError
        If the folder does not exist, holds no image, or cannot be read.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise InputError(f"The folder {str(root)!r} does not exist.")
    found = list(_images_below(root, ()))
    if not found:
        raise InputError(f"The folder {str(root)!r} holds no image ({', '.join(IMAGE_SUFFIXES)}).")
    return found


def _images_below(folder: Path, above: tuple[str, ...]) -> Iterator[Path]:
    # Only a way back up is not taken: two class folders may be links to one folder.
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        with os.scandir(folder) as entries:  # knows folders without asking the disk for every file
            is_folder = {entry.name: entry.is_dir() for entry in entries if not entry.name.startswith(".")}
    except OSError as error:
        raise InputError(f"The folder {str(folder)!r} cannot be read: {error}") from error
    names = sorted(is_folder)
    yield from (folder / n for n in names if not is_folder[n] and n.lower().endswith(IMAGE_SUFFIXES))
    for name in names:
        if is_folder[name]:
            yield from _images_below(folder / name, (*above, real))


def load_image_folder(folder: str | os.PathLike) -> tuple[list[Path], np.ndarray]:
    """Images and classes of a folder that holds one folder per class.

    Parameters
    ----------
    folder : str or path
        ``folder/<class>/.../<image>``, as torchvision's ImageFolder reads it.

    Returns
    -------
    paths : list of Path
    labels : ndarray of shape (n,), str
        The name of the folder right below `folder` that each image is in.

    Raises
    ------
    InputError
        If there is no image, or one that is in no class folder.

    Examples
    --------
    >>> from skneg.datasets import load_image_folder
    >>> paths, labels = load_image_folder("photographs")  # doctest: +SKIP
    """
    root = Path(folder).expanduser()
    paths = list_images(root)
    parts = [path.relative_to(root).parts for path in paths]
    for path, steps in zip(paths, parts, strict=True):
        if len(steps) < 2:
            raise InputError(
                f"{str(path)!r} lies in no class folder: expected {str(root)!r}/<class>/<image>."
            )
    return paths, np.array([steps[0] for steps in parts])


def load_image_list(file: str | os.PathLike, root: str | os.PathLike) -> tuple[list[Path], np.ndarray]:
    """Images and labels that a text file lists, one ``path label`` a line, as OpenOOD's lists do.

    Parameters
    ----------
    file : str or path
        UTF-8 text. The label is what follows the last blank of a line; a path may hold blanks. Empty lines
        and lines that start with ``#`` do not count.
    root : str or path
        What the paths are relative to.

    Returns
    -------
    paths : list of Path
        In the order of the file.
    labels : ndarray of shape (n,), str
        As they stand in the file.

    Raises
    ------
    InputError
        If the file cannot be read as UTF-8 or is empty, a line is not usable, or an image it names is not
        there; names the line.

    Examples
    --------
    >>> from skneg.datasets import load_image_list
    >>> paths, labels = load_image_list("test_ninco.txt", root="images_largescale")  # doctest: +SKIP
    """
    base, paths, labels = Path(root).expanduser(), [], []
    for number, line in enumerate(read_lines(file), 1):
        if not is_entry(line):
            continue
        name, _, label = line.strip().rpartition(" ")
        if not name:
            raise InputError(f"{str(file)!r}, line {number}: {line!r} is not 'path label'.")
        path = base / name.strip()
        if not path.is_file():
            raise InputError(f"{str(file)!r}, line {number}: there is no image {str(path)!r}.")
        paths.append(path)
        labels.append(label)
    if not paths:
        raise InputError(f"The list {str(file)!r} names no image.")
    return paths, np.array(labels)


def is_entry(line: str) -> bool:
    """Whether a line of a list names an image."""
    return bool(line.strip()) and not line.startswith("#")


def read_lines(file: str | os.PathLike) -> list[str]:
    """The lines of a UTF-8 text file; an `InputError` that names it where it cannot be read."""
    try:
        return Path(file).expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The file {str(file)!r} cannot be read as UTF-8 text: {error}") from error

"""Images on disk in the two layouts they usually come in: a folder per class, or a list in a text file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from .._files import read_regular, with_home
from .._utils import warn
from ..errors import InputError, InputTypeError, InputWarning
from ..images import image_suffixes

# Files and folders that file systems and browsers of files leave behind.
_OF_SYSTEMS = {"Thumbs.db", "ehthumbs.db", "desktop.ini", "@eaDir", "__MACOSX", "lost+found", "$RECYCLE.BIN"}


def list_images(folder: str | os.PathLike) -> list[Path]:
    """All image files below a folder, at any depth, in one order on every file system.

    Parameters
    ----------
    folder : str or path
        Hidden files and folders are left out. So is what does not end as an image that skneg reads
        (`skneg.images.image_suffixes`), with an `InputWarning` that counts it. Links are followed,
        except those that lead back to a folder they lie in.

    Returns
    -------
    list of Path
        Ordered by folder, then by name.

    Raises
    ------
    InputError
        If the folder does not exist, holds no image, or cannot be read.
    """
    root, images, others = _scan(folder)
    _warn_of(others, root)
    return images


def _scan(folder: str | os.PathLike) -> tuple[Path, list[Path], list[Path]]:
    """A folder, and the images and the other files below it."""
    try:
        root = Path(with_home(folder))
    except TypeError as error:
        raise InputTypeError(f"folder is {folder!r}, expected a path.") from error
    if not os.path.isdir(root):  # unlike pathlib, also of names that no file can have
        what = "is not a folder" if os.path.exists(root) else "does not exist"
        raise InputError(f"The folder {str(root)!r} {what}.")
    suffixes = image_suffixes()
    images: list[Path] = []
    others: list[Path] = []
    for file in _files_below(root, ()):
        (images if file.suffix.lower() in suffixes else others).append(file)
    if not images:
        held = f"; it holds {_counts(others, root)}" if others else ""
        raise InputError(f"The folder {str(root)!r} holds no image ({', '.join(suffixes)}){held}.")
    return root, images, others


def _warn_of(others: Sequence[Path], root: Path) -> None:
    if others:
        warn(
            f"left out of {str(root)!r}, since skneg reads no such files: {_counts(others, root)}. Convert "
            f"what is an image to one of {', '.join(image_suffixes())}; take the rest out of the folder.",
            InputWarning,
        )


def _counts(files: Sequence[Path], root: Path) -> str:
    """How many files of which suffix lie in which folder right below the root."""
    found = Counter((f.suffix, f.relative_to(root).parts[0]) for f in files if f.parent != root)
    found.update((f.suffix, "") for f in files if f.parent == root)
    said = [
        f"{n} {suffix or 'without a suffix'} in {place!r}" if place else f"{n} {suffix or 'without a suffix'}"
        for (suffix, place), n in found.most_common(10)
    ]
    return ", ".join([*said, "..."] if len(found) > 10 else said)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in _OF_SYSTEMS


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself: who reads it says so
        return False


def _files_below(folder: Path, above: tuple[str, ...]) -> Iterator[Path]:
    # Only a way back up is not taken: two class folders may be links to one folder.
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        with os.scandir(folder) as entries:  # knows folders without asking the disk for every file
            is_folder = {entry.name: _is_folder(entry) for entry in entries if not _is_hidden(entry.name)}
    except OSError as error:
        raise InputError(f"The folder {str(folder)!r} cannot be read: {error}") from error
    names = sorted(is_folder)
    yield from (folder / name for name in names if not is_folder[name])
    for name in names:
        if is_folder[name]:
            yield from _files_below(folder / name, (*above, real))


def load_image_folder(folder: str | os.PathLike) -> tuple[list[Path], np.ndarray]:
    """Images and classes of a folder that holds one folder per class.

    Parameters
    ----------
    folder : str or path
        ``folder/<class>/.../<image>``, as torchvision's ImageFolder reads it. Other files are left out as
        in `list_images`.

    Returns
    -------
    paths : list of Path
    labels : ndarray of shape (n,), str
        The name of the folder right below `folder` that each image is in.

    Raises
    ------
    InputError
        If there is no image, one that is in no class folder, or a class folder without any.

    Examples
    --------
    >>> from skneg.datasets import load_image_folder
    >>> paths, labels = load_image_folder("photographs")  # doctest: +SKIP
    """
    root, paths, others = _scan(folder)
    parts = [path.relative_to(root).parts for path in paths]
    for path, steps in zip(paths, parts, strict=True):
        if len(steps) < 2:
            raise InputError(
                f"{str(path)!r} lies in no class folder: expected {str(root)!r}/<class>/<image>. For images "
                "without labels: list_images(folder), or --no-labels of the command line."
            )
    labels = [steps[0] for steps in parts]
    with os.scandir(root) as entries:
        classes = {
            entry.name
            for entry in entries
            if _is_folder(entry)
            and not _is_hidden(entry.name)
            and not root.resolve().is_relative_to(
                Path(entry).resolve()  # a link that leads back
            )
        }
    if empty := sorted(classes - set(labels)):
        unread = [file for file in others if file.relative_to(root).parts[0] in empty]
        held = f" ({_counts(unread, root)})" if unread else ""
        raise InputError(
            f"{len(empty)} of the {len(classes)} class folders of {str(root)!r} hold no image that skneg "
            f"reads: {empty[:5]}{held}. Convert their images to one of {', '.join(image_suffixes())}, or "
            "take the folders away."
        )
    _warn_of(others, root)
    return paths, np.array(labels)


def load_image_list(file: str | os.PathLike, root: str | os.PathLike) -> tuple[list[Path], np.ndarray]:
    """Images and labels that a text file lists, one ``path label`` a line, as OpenOOD's lists do.

    Parameters
    ----------
    file : str or path
        UTF-8 text. The label is what follows the last blank or tab of a line; a path may hold blanks.
        Empty lines and lines that start with ``#`` do not count.
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
        there or not below `root`; names the line.

    Examples
    --------
    >>> from skneg.datasets import load_image_list
    >>> paths, labels = load_image_list("test_ninco.txt", root="images_largescale")  # doctest: +SKIP
    """
    base, paths, labels = Path(with_home(root)), [], []
    for number, line in enumerate(read_lines(file), 1):
        if not is_entry(line):
            continue
        name, *label = line.strip().rsplit(maxsplit=1)
        if not label:
            raise InputError(f"{str(file)!r}, line {number}: {line!r} is not 'path label'.")
        if _leads_out(name, base):
            raise InputError(
                f"{str(file)!r}, line {number}: {name!r} leads out of root={str(root)!r}. Write paths "
                "below it, or give a root that all of them lie below."
            )
        path = base / name
        if not os.path.isfile(path):
            raise InputError(f"{str(file)!r}, line {number}: there is no image {str(path)!r}.")
        paths.append(path)
        labels.extend(label)
    if not paths:
        raise InputError(f"The list {str(file)!r} names no image.")
    return paths, np.array(labels)


def _leads_out(name: str, base: Path) -> bool:
    if ".." not in name and not os.path.isabs(name):
        return False
    return not Path(os.path.abspath(base / name)).is_relative_to(os.path.abspath(base))


def is_entry(line: str) -> bool:
    """Whether a line of a list names an image."""
    return bool(line.strip()) and not line.startswith("#")


def read_lines(file: str | os.PathLike) -> list[str]:
    """The lines of a UTF-8 text file; an `InputError` that names it where it cannot be read."""
    try:
        return read_regular(with_home(file)).decode("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:  # also of a name that no file can have
        raise InputError(f"The file {str(file)!r} cannot be read as UTF-8 text: {error}") from error

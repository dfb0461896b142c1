"""``skneg report``: images of folders to one page."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..report import html
from ._fit import loaded
from ._images import labelled, unlabelled


def report(options: Any) -> None:
    detector = loaded(options)
    if options.no_labels:
        paths, labels = unlabelled(options.source, options.on_error), None
    else:
        paths, labels, _ = labelled(options.source, options.on_error)
    ood: dict[str, list[Path]] = {}
    for given in options.ood:
        name, equals, folder = ("", "", given) if os.path.exists(given) else given.partition("=")
        if not equals:
            name, folder = Path(given).name, given
        if not folder:
            raise InputError(f"--ood {given!r} names no folder.")
        if name in ood:
            raise InputError(f"--ood has two sets called {name!r}: write --ood NAME={folder}.")
        ood[name] = unlabelled(folder, options.on_error)
    words = None if options.no_names else "nouns"
    written = html(detector, paths, labels, ood=ood, path=options.out, words=words, n_images=options.images)
    print(written, file=sys.stderr)

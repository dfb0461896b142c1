"""``skneg models`` and ``skneg detectors``: what there is."""

from __future__ import annotations

from typing import Any


def models(options: Any) -> None:
    from ..backbone import list_models

    for name, weights in list_models():
        if options.pattern.lower() in f"{name} {weights}".lower():
            print(f"{name:31} {weights}")


def detectors(options: Any) -> None:
    from .. import list_detectors

    for info in list_detectors():
        print(f"{info.name:24}learns: {info.training:12}needs: {info.needs or '-':20}{info.paper}")

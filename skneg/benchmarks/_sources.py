"""Where the images of a protocol come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ._data import check_data
from ._experiments import Protocol
from ._features import check_features, feature_tasks
from ._folders import check_imagenet, imagenet_tasks, photo_tasks
from ._images import Encoder
from ._scenes import scenes_task
from ._tasks import Task


def check_needs(protocol: Protocol, data: Path | None) -> None:
    """Refuse, before anything runs, a data folder that lacks what the protocol needs."""
    if protocol.source == "scenes":
        return
    if protocol.source == "imagenet":
        check_imagenet(protocol, data)
    elif protocol.source == "features":
        check_features(data)
    else:
        check_data(data, [], ["id"])


def make_tasks(
    protocol: Protocol, data: Path | None, out: Path, encoder: Callable[[], Encoder]
) -> list[Task]:
    """The experiments of a protocol with their images; none is decoded yet."""
    if protocol.source == "scenes" or data is None:
        return [scenes_task(experiment, out, encoder) for experiment in protocol.experiments]
    make = {"imagenet": imagenet_tasks, "features": feature_tasks, "photos": photo_tasks}
    return make[protocol.source](protocol, data)

"""How large a model's weights are and where they go, said before they are downloaded."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import open_clip
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

logger = logging.getLogger(__name__)


def announce_download(repository: str, names: Sequence[str]) -> None:
    """Log what is about to be downloaded from the hub; nothing if it is here already, or not there.

    The first of the `names` that the repository has is taken.
    """
    for name in names if repository else ():
        try:
            if any(try_to_load_from_cache(repository, other) for other in names):
                return
            size = get_hf_file_metadata(hf_hub_url(repository, name)).size
        # open_clip and timm ask for the file themselves, and their error is the one to show.
        except Exception:  # nosec B112
            continue
        if size:
            logger.warning(
                "Downloading %s of %s: %.1f MB, to %s", name, repository, size / 1e6, constants.HF_HUB_CACHE
            )
        return


def hub_files(model: str, pretrained: str | None) -> tuple[str, list[str]]:
    """Repository and file names of an open_clip model's weights; no repository where they lie elsewhere."""
    if model.startswith("hf-hub:"):
        repository, name = model.removeprefix("hf-hub:"), ""
    else:
        # "owner/repository/" or "owner/repository/file"
        place = open_clip.get_pretrained_cfg(model, pretrained or "").get("hf_hub") or ""
        repository, _, name = place.rpartition("/")
    if name in ("", HF_WEIGHTS_NAME):
        return repository, [HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME]
    stem = name.removesuffix(".bin").removesuffix(".pth")
    return repository, [name] if stem == name else [f"{stem}.safetensors", name]

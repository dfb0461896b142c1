from __future__ import annotations

import open_clip
import pytest
import torch

from skneg.backbone import TextTower, load_backbone

NAMES = ["cat", "lightning bolt", "great white shark", "a long, comma separated; name", "dog"]


class SentenceTokenizer:
    """Stands in for SigLIP's: no start token, an end token, padding that is not 0."""

    def __init__(self, context_length: int) -> None:
        self.context_length = context_length
        self._inner = open_clip.SimpleTokenizer(context_length=context_length)

    def __call__(self, texts, context_length=None):
        length = context_length or self.context_length
        ids = torch.ones(len(texts), length, dtype=torch.long)
        for row, text in zip(ids, texts, strict=True):
            tokens = [*(5 + t % 900 for t in self._inner.encode(text)), 2][:length]
            row[: len(tokens)] = torch.tensor(tokens)
        return ids


def build_tower(name: str) -> TextTower:
    """The text tower of an open_clip config, random, beside an image tower too small to matter."""
    torch.manual_seed(0)
    config = open_clip.get_model_config(name)
    vision = {k: v for k, v in config["vision_cfg"].items() if k in ("attentional_pool", "output_tokens")}
    config["vision_cfg"] = {
        **vision, "layers": 1, "width": 64, "head_width": 32, "patch_size": 32, "image_size": 64,
    }  # fmt: skip
    custom = config.pop("custom_text", False)
    kind = (
        open_clip.CoCa
        if "multimodal_cfg" in config
        else (open_clip.CustomTextCLIP if custom else open_clip.CLIP)
    )
    network = kind(**config).eval().requires_grad_(False)
    length = config["text_cfg"].get("context_length", 77)
    sentence = config["text_cfg"].get("hf_tokenizer_name")
    tokenizer = SentenceTokenizer(length) if sentence else open_clip.SimpleTokenizer(context_length=length)
    return TextTower(network, tokenizer, torch.device("cpu"), torch.float32)


@pytest.fixture(scope="session")
def tiny_tower() -> TextTower:
    return load_backbone("skneg-tiny").text_tower

"""Prompt learning in torch: contexts through a frozen text tower, the losses, the training loop."""

from .._lazy import attach

__all__ = ["PromptEncoder", "context_from_text", "encode_prompts", "train_no_encoder", "train_prompts"]

__getattr__, __dir__ = attach(
    __name__,
    {
        "PromptEncoder": "encoding",
        "context_from_text": "training",
        "encode_prompts": "encoding",
        "train_no_encoder": "no_training",
        "train_prompts": "training",
    },
)

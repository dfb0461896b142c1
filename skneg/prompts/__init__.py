"""Prompt learning in torch: contexts through a frozen text tower, the losses, the training loop."""

from .._utils import attach

__all__ = [
    "CoOpRecipe",
    "PromptEncoder",
    "PromptRecipe",
    "context_from_text",
    "encode_prompts",
    "invert_images",
    "train_no_encoder",
    "train_prompts",
]

__getattr__, __dir__ = attach(
    __name__,
    {
        "CoOpRecipe": "recipe",
        "PromptEncoder": "encoding",
        "PromptRecipe": "recipe",
        "context_from_text": "encoding",
        "encode_prompts": "encoding",
        "invert_images": "inversion",
        "train_no_encoder": "no_training",
        "train_prompts": "training",
    },
)

"""How prompts are trained."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PromptRecipe:
    """How prompts are trained; the fields are `NegPromptDetector`'s parameters of the same names."""

    n_ctx: int | None = None
    context_init: str | None = "a photo of a"
    n_negative: int = 2
    beta: float = 0.1
    gamma: float = 0.05
    nis_over: str = "negatives"
    negative_init: str = "positive"
    negative_noise: float = 1e-2
    shared: bool = True
    one_stage: bool = False
    positive_steps: int = 50
    negative_steps: int = 50
    learning_rate: float = 5e-3
    train_batch_size: int = 1024
    train_temperature: float | None = None
    anchor_weight: float = 50.0
    outlier_weight: float = 1.0
    optimizer: str = "adam"
    step_unit: str = "steps"

    def steps(self, stage: str, n_images: int) -> int:
        """Steps of the optimizer in a stage, ``"positive"`` or ``"negative"``."""
        count: int = getattr(self, f"{stage}_steps")
        return count if self.step_unit == "steps" else count * -(-n_images // self.train_batch_size)

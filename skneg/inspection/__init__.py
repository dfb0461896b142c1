"""Why a detector answers as it does, and what its prompts mean: functions on any detector."""

from .._utils import attach

__all__ = ["Explanations", "NearestWords", "explain", "nearest_words", "summary"]

__getattr__, __dir__ = attach(
    __name__,
    {
        "Explanations": "_tables",
        "NearestWords": "_tables",
        "explain": "_explain",
        "nearest_words": "_nearest_words",
        "summary": "_summary",
    },
)

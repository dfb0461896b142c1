"""Why a detector answers so, what prompts mean, names for the unknown, wrong labels: of any detector."""

from .._utils import attach

__all__ = [
    "Explanations",
    "NearestWords",
    "Suggestions",
    "Suspicions",
    "explain",
    "nearest_words",
    "suggest_classes",
    "summary",
    "suspicious_labels",
]

__getattr__, __dir__ = attach(
    __name__,
    {
        "Explanations": "_tables",
        "NearestWords": "_tables",
        "Suggestions": "_tables",
        "Suspicions": "_suspicions",
        "explain": "_explain",
        "nearest_words": "_nearest_words",
        "suggest_classes": "_suggest",
        "summary": "_summary",
        "suspicious_labels": "_suspicious",
    },
)

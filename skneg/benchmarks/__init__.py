"""The paper's experiments, and others, on your data: ``python -m skneg.benchmarks PROTOCOL``."""

from .._utils import attach

_HOMES = {
    "BenchmarkResult": "_run",
    "PROTOCOLS": "_protocols",
    "run_benchmark": "_run",
}

__all__ = sorted(_HOMES)

__getattr__, __dir__ = attach(__name__, _HOMES)

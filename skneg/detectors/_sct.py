"""SCT: LoCoOp whose terms follow the model's confidence."""

from __future__ import annotations

from ._locoop import LoCoOpDetector


class SCTDetector(LoCoOpDetector):
    """Self-calibrated tuning [1]_: LoCoOp whose terms follow the model's confidence.

    An image's cross-entropy is weighted by 1 - p and its background entropy by p, p being the
    probability of its class: patches are only trusted as background where the image is understood.

    Parameters
    ----------
    entropy_weight, top_k, local_weight
        See `LoCoOpDetector`.
    recipe, score_temperature
        See `CoOpDetector`.
    model, class_names, contamination, random_state, calibration, unknown_label, pretrained, device, \
precision, batch_size, verbose
        See `NegPromptDetector`. The model's image tower must have local features.

    References
    ----------
    .. [1] Yu et al., "Self-Calibrated Tuning of Vision-Language Models for Out-of-Distribution
       Detection", NeurIPS 2024.

    Examples
    --------
    >>> from skneg import SCTDetector
    >>> from skneg.prompts import CoOpRecipe
    >>> from skneg.datasets import make_scenes
    >>> X, y = make_scenes(100, shapes=["star", "heart"], random_state=0)
    >>> detector = SCTDetector(model="skneg-tiny", recipe=CoOpRecipe(n_epochs=2), random_state=0)
    >>> detector.fit(X, y).score_samples(X).shape
    (100,)
    """

    reference = "Yu et al., NeurIPS 2024"
    self_calibrated = True

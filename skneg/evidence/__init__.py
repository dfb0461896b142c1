"""Words and images in one score: what the images of each class say of a new one, and how far to trust it.

With ``t_c`` the text logit of class c (its cosine over the model's temperature) and ``G_c`` the image
evidence of `ImageEvidence`, in nats, the closed-set posterior is ``softmax_c(a t_c + l G_c)``. The score is a
weighted sum of four parts, each centred and scaled by training images:

* text: what the detector scores by without images, such as the log odds of the names against words;
* images: ``sum_c p_c G_c``, with p the posterior;
* nearest: the mean cosine to the most similar training images of one class, the largest of all classes
  (`NearestImages`);
* clarity: the log odds of the likeliest class of the posterior.

Every number comes from training images whose image evidence was computed without them (`cross_fit`), and
from their labels alone: no OOD image is needed. The weights tell known images from images of known classes
that play unknown (`cross_fit_apart`, `separation`).

References
----------
.. [1] Lee et al., "A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial
   Attacks", NeurIPS 2018 (Mahalanobis distance under one covariance).
.. [2] Ren et al., "A Simple Fix to Mahalanobis Distance for Improving Near-OOD Detection", 2021 (distance to
   a background in comparison).
.. [3] Sun et al., "Out-of-Distribution Detection with Deep Nearest Neighbors", ICML 2022.
"""

from ._images import (
    N_FOLDS,
    ImageEvidence,
    cross_fit,
    cross_fit_apart,
    folds,
    folds_of_classes,
    groups_of_classes,
    taught_to_all,
)
from ._joint import CROSS_FITTED, PARTS, CrossFitted, JointScore
from ._nearest import NearestImages
from ._pair import PairedEvidence
from ._weights import information, posterior_weights, separation

__all__ = [
    "CROSS_FITTED",
    "N_FOLDS",
    "PARTS",
    "CrossFitted",
    "ImageEvidence",
    "JointScore",
    "NearestImages",
    "PairedEvidence",
    "cross_fit",
    "cross_fit_apart",
    "folds",
    "folds_of_classes",
    "groups_of_classes",
    "information",
    "posterior_weights",
    "separation",
    "taught_to_all",
]

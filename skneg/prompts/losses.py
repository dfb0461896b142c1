"""NegPrompt's losses as pure functions of tensors.

Text embeddings are unit-norm. Negatives come as (p, k, d): p negative prompts of each of k classes, the
layout that `skneg.prompts.encode_prompts` returns.

References
----------
.. [1] Li et al., "Learning Transferable Negative Prompts for Out-of-Distribution Detection", CVPR 2024.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from ..errors import InputError


def nis(
    negative_logits: torch.Tensor,
    positive_logits: torch.Tensor | None = None,
    *,
    over: str = "negatives",
) -> torch.Tensor:
    """Negative-image separation, eq. 4 of [1]_: spread ID images evenly over the negatives.

    Parameters
    ----------
    negative_logits : Tensor of shape (n, m)
        Cosines of n images to the m = k p negatives, divided by the temperature.
    positive_logits : Tensor of shape (n, k), optional
        The same to the positives; needed for ``over="all"`` alone.
    over : {"negatives", "all"}, default="negatives"
        ``"negatives"``: cross-entropy of the uniform distribution against the softmax over the
        negatives, as printed. ``"all"``: over negatives and positives together, as the authors' code
        computes it; this also raises the negatives until they hold p / (1 + p) of the mass.

    Returns
    -------
    Tensor, scalar
        Mean over the images.

    Raises
    ------
    InputError
        If `over` is not known or the positives it needs are not given.
    """
    if over == "negatives":
        logits = negative_logits
    elif over == "all":
        if positive_logits is None:
            raise InputError("nis(over='all') needs positive_logits.")
        logits = torch.cat([positive_logits, negative_logits], dim=1)
    else:
        raise InputError(f"over must be 'negatives' or 'all', got {over!r}.")
    return -logits.log_softmax(dim=1).mean()


def npd(negatives: torch.Tensor, positives: torch.Tensor) -> torch.Tensor:
    """Negative-positive distance, eq. 5 of [1]_: keep negatives near their own class's positive.

    Parameters
    ----------
    negatives : Tensor of shape (p, k, d)
    positives : Tensor of shape (k, d)

    Returns
    -------
    Tensor, scalar
        Minus the mean cosine, in [-1, 1].
    """
    return -(negatives * positives).sum(dim=-1).mean()


def nnd(negatives: torch.Tensor) -> torch.Tensor:
    """Negative-negative distance, eq. 6 of [1]_: keep the negatives of a class apart.

    Parameters
    ----------
    negatives : Tensor of shape (p, k, d)

    Returns
    -------
    Tensor, scalar
        Mean cosine over the p (p - 1) ordered pairs of each class; 0 for p = 1.
    """
    p = len(negatives)
    if p == 1:
        return negatives.new_zeros(())
    cosines = torch.einsum("ikd,jkd->kij", negatives, negatives)
    own = cosines.diagonal(dim1=1, dim2=2).sum(dim=-1)
    return ((cosines.sum(dim=(1, 2)) - own) / (p * (p - 1))).mean()


def textual_outliers(
    image_positive: torch.Tensor,
    image_negative: torch.Tensor,
    outlier_positive: torch.Tensor,
    outlier_negative: torch.Tensor,
) -> torch.Tensor:
    """Negatives should outweigh positives on outliers, positives negatives on ID images; our own.

    The outliers are words in the place of images: their text embeddings, moved by the difference of the
    mean ID image and the mean ID text embedding.

    Parameters
    ----------
    image_positive, image_negative : Tensor of shape (n, k), (n, m)
        Logits of ID images: cosines divided by the temperature.
    outlier_positive, outlier_negative : Tensor of shape (o, k), (o, m)
        Logits of outliers.

    Returns
    -------
    Tensor, scalar
        Mean logistic loss of the log odds over the outliers, and over the images.
    """
    lead = image_positive.logsumexp(dim=1) - image_negative.logsumexp(dim=1)
    outlier_lead = outlier_positive.logsumexp(dim=1) - outlier_negative.logsumexp(dim=1)
    return functional.softplus(outlier_lead).mean() + functional.softplus(-lead).mean()


def complementary(
    positive_logits: torch.Tensor,
    negative_logits: torch.Tensor,
    labels: torch.Tensor,
    n_rivals: int,
) -> torch.Tensor:
    """For class j, images of other classes are OOD: its positive leads on its own images only; our own.

    The lead of class j on an image is its positive logit less the logarithm of the mean of the
    exponentials of its negative logits. Of the classes that an image is not of, the most likely ones count.

    Parameters
    ----------
    positive_logits : Tensor of shape (n, k)
        Cosines of images to positives of 2 classes or more, divided by the temperature.
    negative_logits : Tensor of shape (n, p, k)
        The same to the p negatives of each class.
    labels : Tensor of shape (n,), int
        Which class each image is of.
    n_rivals : int
        Most alike classes for each image.

    Returns
    -------
    Tensor, scalar
        Mean logistic loss of the leads of own classes, and of minus those of rivals.
    """
    leads = positive_logits - negative_logits.logsumexp(dim=1) + math.log(negative_logits.shape[1])
    own = labels[:, None]
    alike = positive_logits.detach().scatter(1, own, -math.inf)
    rivals = alike.topk(min(n_rivals, leads.shape[1] - 1), dim=1).indices
    return (
        functional.softplus(-leads.gather(1, own)).mean()
        + functional.softplus(leads.gather(1, rivals)).mean()
    )

"""Losses for training on exported batches, as references: NumPy alone, in float64.

Method: multi-positive contrastive learning, StableRep (arXiv 2306.00984), equation 2, and SynCLR
(arXiv 2312.17742): the images of one caption are each other's positives.
"""

import numpy as np
from numpy.typing import NDArray

TEMPERATURE = 0.08  # SynCLR, appendix

Floats = NDArray[np.floating]
Numbers = NDArray[np.integer]


def multi_positive_loss(
    anchors: Floats,
    others: Floats,
    anchor_captions: Numbers,
    other_captions: Numbers,
    *,
    temperature: float = TEMPERATURE,
    are_same: bool = False,
) -> float:
    """Return the mean cross-entropy between positives and the softmax of the cosines.

    Parameters
    ----------
    anchors : (n, d), of length 1
    others : (m, d), of length 1
    anchor_captions : (n,); an other of the same caption is a positive
    other_captions : (m,)
    temperature : divisor of the cosines
    are_same : whether the others are the anchors, in their order: none is then its own positive or
        negative

    Raises
    ------
    ValueError
        If shapes differ, or an anchor has no positive.
    """
    is_positive = anchor_captions[:, None] == other_captions[None]  # (n, m)
    logits = np.asarray(anchors, np.float64) @ np.asarray(others, np.float64).T / temperature
    if logits.shape != is_positive.shape:
        raise ValueError(
            f"vectors for {logits.shape} pairs, captions for {is_positive.shape}; want one caption "
            "of each vector"
        )
    if are_same:
        np.fill_diagonal(logits, -np.inf)
        np.fill_diagonal(is_positive, False)
    n_positive = is_positive.sum(axis=1)
    if not n_positive.all():
        raise ValueError(
            f"anchor {int(np.argmin(n_positive))} has no other image of its caption in the batch; "
            "want all images of a caption in one batch, and at least two"
        )
    largest = logits.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(logits - largest).sum(axis=1)) + largest[:, 0]
    own = np.where(is_positive, logits, 0.0).sum(axis=1) / n_positive
    return float((log_sum - own).mean())

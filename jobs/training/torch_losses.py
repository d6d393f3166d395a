"""The losses of ``jobs.training.losses`` in PyTorch, to train by."""

from typing import Any

import torch

from jobs.training.losses import TEMPERATURE


def multi_positive_loss(
    anchors: Any,
    others: Any,
    anchor_captions: Any,
    other_captions: Any,
    *,
    temperature: float = TEMPERATURE,
    are_same: bool = False,
) -> Any:
    """Return the same as its reference, as a tensor with a gradient.

    Raises
    ------
    ValueError
        If an anchor has no positive.
    """
    is_positive = anchor_captions[:, None] == other_captions[None]  # (n, m)
    logits = anchors @ others.T / temperature
    if are_same:
        own = torch.eye(len(anchors), dtype=torch.bool, device=logits.device)
        logits, is_positive = logits.masked_fill(own, -torch.inf), is_positive & ~own
    n_positive = is_positive.sum(dim=1)
    if not bool(n_positive.all()):
        raise ValueError(
            f"anchor {int(n_positive.argmin())} has no other image of its caption in the batch; "
            "want all images of a caption in one batch, and at least two"
        )
    positives = logits.masked_fill(~is_positive, 0.0).sum(dim=1) / n_positive
    return (logits.logsumexp(dim=1) - positives).mean()

"""How hard negatives are: their cosine to a point, and the contrastive loss against them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.contrast.encoders import Floats

N_NEGATIVES = 32
TEMPERATURE = 0.2  # divisor of the cosines in the loss


class Hardness(NamedTuple):
    """Means over points: of the cosine to their negatives, and of InfoNCE in nats."""

    cosine: float
    info_nce: float


def hardness(
    left: Floats, right: Floats, labels: NDArray[np.integer], *, rng: np.random.Generator
) -> Hardness:
    """Measure negatives that are drawn, with repetition, from each point's own cluster.

    Clusters of one point have no negatives, and do not count.

    Parameters
    ----------
    left, right : (n, n_components) codes of both views, of length 1
    labels : (n,) the clusters
    """
    cosines, losses = [], []
    for k in np.unique(labels):
        mine = np.flatnonzero(labels == k)
        if len(mine) < 2:
            continue
        # never the point itself
        drawn = rng.integers(1, len(mine), size=(len(mine), N_NEGATIVES))
        others = mine[(np.arange(len(mine))[:, None] + drawn) % len(mine)]
        found = np.einsum("nd,nmd->nm", left[mine], right[others])  # (n_mine, N_NEGATIVES)
        matched = np.einsum("nd,nd->n", left[mine], right[mine])
        cosines.append(found.mean(axis=1))
        losses.append(info_nce(matched, found))
    return Hardness(*(float(np.concatenate(each).mean()) for each in (cosines, losses)))


def info_nce(matched: Floats, negatives: Floats) -> Floats:
    """Return how badly each point tells its other view from negatives : (n,), (n, m) -> (n,)."""
    logits = np.column_stack([matched, negatives]) / TEMPERATURE
    highest = logits.max(axis=1)
    total = np.exp(logits - highest[:, None]).sum(axis=1)
    return np.asarray(highest + np.log(total) - logits[:, 0])

"""How hard it is to tell the points of a batch apart."""

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.learning.losses import instance_losses

Floats = NDArray[np.float64]

SCALE = 10.0  # of cosines in the InfoNCE loss: a temperature of 0.1


def centred(X: Floats, mean: Floats) -> Floats:
    """Return directions as seen from their mean : (n, d), of length 1 unless they are the mean.

    Vectors of many models all lie in one narrow cone, where any two have a high cosine.
    """
    found = X - mean
    norms = np.sqrt(np.einsum("ij,ij->i", found, found))[:, None]
    return np.asarray(np.divide(found, norms, out=np.zeros_like(found), where=norms > 0))


def mean_cosine(Z: Floats) -> float:
    """Return the mean cosine of a batch's pairs : (n, d) rows of length 1; nan for one row."""
    n, total = len(Z), Z.sum(axis=0)
    return float((total @ total - np.einsum("ij,ij->", Z, Z)) / (n * (n - 1))) if n > 1 else np.nan


def info_nce(Z: Floats) -> float:
    """Return the mean InfoNCE loss of a batch in nats : (n, d), a row being both of its views."""
    return float(np.nanmean(instance_losses(Z, Z, SCALE)))


def share_of_pairs(is_pair: NDArray[np.bool_]) -> float:
    """Return the share of a batch's pairs for which something holds : (n, n), symmetric."""
    n = len(is_pair)
    holds = is_pair.sum() - is_pair.diagonal().sum()
    return float(holds / (n * (n - 1))) if n > 1 else np.nan

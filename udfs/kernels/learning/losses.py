"""Losses of rows, one each, of models simple enough to be computed here."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LOSS_GRID = 2.0**-24  # losses are multiples of this
LEAST_PROBABILITY = 1e-6  # so that one confident mistake does not outweigh all other rows


def on_grid(losses: Floats) -> Floats:
    """Round losses to multiples of LOSS_GRID : (n,)."""
    return np.asarray(np.rint(losses / LOSS_GRID) * LOSS_GRID)


def classifier_losses(X: Floats, y: NDArray[np.int64], coef: Floats, intercept: Floats) -> Floats:
    """Return -log of the probability that one-against-rest logistic models give the label : (n,).

    As scikit-learn's SGDClassifier does, the probabilities of the classes are scaled to sum to 1.

    Parameters
    ----------
    X : (n, n_features)
    y : (n,) the class's number
    coef, intercept : (n_classes, n_features), (n_classes,)
    """
    with np.errstate(over="ignore"):
        p = 1 / (1 + np.exp(-(X @ coef.T + intercept)))  # (n, n_classes)
    total = p.sum(axis=1)
    mine = np.divide(
        p[np.arange(len(y)), y], total, out=np.full(len(y), 1 / len(coef)), where=total > 0
    )
    return np.asarray(-np.log(np.maximum(mine, LEAST_PROBABILITY)))


def centroid_losses(X: Floats) -> Floats:
    """Return the squared distance of each row to the mean of all : (n,), rows (n, n_features)."""
    return np.asarray(((X - X.mean(axis=0)) ** 2).sum(axis=1))


def instance_losses(A: Floats, B: Floats, scale: float) -> Floats:
    """Return how badly each row's first view tells its second view from those of the others : (n,).

    Instance discrimination (Wu et al., arXiv 1805.01978): -log softmax, over the rows, of scaled
    cosines. A row with a view of length 0 gets nan, and is not among the others.

    Parameters
    ----------
    A, B : (n, n_features) the views
    scale : factor of the cosines, the inverse of a temperature
    """
    norms = np.linalg.norm(A, axis=1), np.linalg.norm(B, axis=1)
    kept = np.flatnonzero((norms[0] > 0) & (norms[1] > 0))
    units = [V[kept] / norm[kept, None] for V, norm in zip((A, B), norms, strict=True)]
    logits = scale * units[0] @ units[1].T  # (n_kept, n_kept)
    losses = np.full(len(A), np.nan)
    if len(kept):
        highest = logits.max(axis=1)
        total = np.exp(logits - highest[:, None]).sum(axis=1)
        losses[kept] = highest + np.log(total) - np.diagonal(logits)
    return losses

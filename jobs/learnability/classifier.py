"""Classifiers in place of a user's models: the reference, fitted once, and one that keeps learning.

One-against-rest logistic models on the run's embeddings (scikit-learn's SGDClassifier, which both
sides share, so that their losses compare). Two more references, each of half the clean rows, tell
how much of a score is the reference's own noise.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import SGDClassifier
from threadpoolctl import threadpool_limits

from jobs.config.errors import InputError
from jobs.sections.learnability import ClassifierConfig

Arrays = Mapping[str, NDArray[Any]]
MIN_CLEAN = 2  # rows of each class


@dataclass(frozen=True)
class Labelled:
    """Rows to fit on.

    Attributes
    ----------
    X : (n, n_features) float32
    labels : (n,) str
    """

    X: NDArray[np.float32]
    labels: NDArray[np.str_]


def started(given: ClassifierConfig, clean: Labelled, seen: Labelled | None, seed: int) -> Arrays:
    """Fit the reference, one on each half of its rows, and the online model on what it has seen.

    Parameters
    ----------
    clean, seen : rows in an order that depends only on their ids

    Returns
    -------
    models : classes (n_classes,), and coef, intercept, t of each of ``udfs.losses.CLASSIFIERS``

    Raises
    ------
    InputError
        If the clean rows are of one class, or have too few rows of one.
    """
    classes, counts = np.unique(clean.labels, return_counts=True)
    if len(classes) < 2 or counts.min() < MIN_CLEAN:
        few = {str(c): int(n) for c, n in zip(classes, counts, strict=True) if n < MIN_CLEAN}
        raise InputError(
            f"learnability.classifier.clean has labels {[*map(str, classes[:10])]}, with fewer "
            f"than {MIN_CLEAN} rows of {few or 'a second one'}; want {MIN_CLEAN} or more of every "
            "class that is to be learned"
        )
    y = np.searchsorted(classes, clean.labels)
    half = _halves(y)
    models: dict[str, NDArray[Any]] = {"classes": classes}
    fits = {"reference": half >= 0, "half_a": half == 0, "half_b": half == 1}
    with threadpool_limits(1):
        for name, rows in fits.items():
            model = _blank(given, clean.X.shape[1], len(classes), seed)
            models |= _named(name, _trained(model, clean.X[rows], y[rows], given.epochs))
        online = _blank(given, clean.X.shape[1], len(classes), seed)
        if seen is not None:
            known = np.isin(seen.labels, classes)
            y_seen = np.searchsorted(classes, seen.labels[known])
            online = _trained(online, seen.X[known], y_seen, given.epochs)
    return models | _named("online", online)


def trained_on(given: ClassifierConfig, models: Arrays, rows: Labelled, seed: int) -> Arrays:
    """Train the online model on one pass over rows that were drawn, in their order."""
    y = np.searchsorted(models["classes"], rows.labels)
    with threadpool_limits(1):
        model = _blank(given, rows.X.shape[1], len(models["classes"]), seed)
        n_kept = len(model.coef_)  # for two classes, scikit-learn keeps the second's
        model.coef_ = models["online_coef"][-n_kept:].copy()
        model.intercept_ = models["online_intercept"][-n_kept:].copy()
        model.t_ = float(models["online_t"])
        online = _named("online", _trained(model, rows.X, y, 1))
    return dict(models) | online


def gflop_of(n_features: int, n_classes: int) -> tuple[float, float]:
    """Return what a row costs, in GFLOP, to score and to train on: a step is three scorings."""
    score = 2.0 * n_features * n_classes / 1e9
    return score, 3 * score


def _halves(y: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cut rows into halves that share every class : (n,) 0 or 1."""
    turn = np.empty(len(y), np.int64)
    for c in np.unique(y):
        turn[y == c] = np.arange((y == c).sum())
    return turn % 2


def _blank(given: ClassifierConfig, n_features: int, n_classes: int, seed: int) -> Any:
    """Return a model of all classes that has learned nothing: each is as likely."""
    model = SGDClassifier(
        loss="log_loss", alpha=given.alpha, shuffle=False, random_state=seed % 2**32
    )
    model.partial_fit(np.zeros((1, n_features)), [0], classes=np.arange(n_classes))
    model.coef_, model.intercept_ = np.zeros_like(model.coef_), np.zeros_like(model.intercept_)
    model.t_ = 1.0
    return model


def _trained(model: Any, X: NDArray[np.float32], y: NDArray[np.int64], epochs: int) -> Any:
    for _ in range(epochs if len(X) else 0):
        model.partial_fit(X.astype(np.float64), y)
    return model


def _named(name: str, model: Any) -> dict[str, NDArray[Any]]:
    coef, intercept = model.coef_, model.intercept_
    if len(coef) == 1:
        coef, intercept = np.concatenate([-coef, coef]), np.concatenate([-intercept, intercept])
    return {
        f"{name}_coef": coef, f"{name}_intercept": intercept, f"{name}_t": np.array(model.t_)
    }  # fmt: skip

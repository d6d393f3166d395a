"""Losses of models that are computed here: by hand, and beside scikit-learn."""

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.linear_model import SGDClassifier

from udfs.kernels.learning.losses import (
    LEAST_PROBABILITY,
    LOSS_GRID,
    centroid_losses,
    classifier_losses,
    instance_losses,
    on_grid,
)


def test_centroid_losses_are_squared_distances_to_the_mean() -> None:
    X = np.array([[0.0, 0.0], [4.0, 0.0], [2.0, 3.0]])  # the mean is (2, 1)
    assert centroid_losses(X).tolist() == [5.0, 5.0, 4.0]


def test_instance_losses_by_hand() -> None:
    """Both rows tell themselves apart: cosine 1 with their own view, 0 with the other's."""
    A, B = np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [0.0, 5.0]])
    assert instance_losses(A, B, scale=1.0) == pytest.approx([np.log(1 + np.exp(-1.0))] * 2)


def test_instance_losses_are_a_log_softmax_and_a_zero_view_has_none(seed: int) -> None:
    rng = np.random.default_rng(seed)
    A, B = rng.standard_normal((2, 20, 5))
    A[3] = 0
    kept = np.delete(np.arange(20), 3)
    units = [V[kept] / np.linalg.norm(V[kept], axis=1, keepdims=True) for V in (A, B)]
    want = -np.diagonal(log_softmax(7.0 * units[0] @ units[1].T, axis=1))
    found = instance_losses(A, B, scale=7.0)
    assert np.isnan(found[3])
    assert found[kept] == pytest.approx(want)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_classifier_losses_are_those_of_scikit_learn(seed: int, n_classes: int) -> None:
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((200, 3)), rng.integers(0, n_classes, 200)
    model = SGDClassifier(loss="log_loss", random_state=0).fit(X, y)
    coef, intercept = model.coef_, model.intercept_
    if n_classes == 2:
        coef, intercept = np.r_[-coef, coef], np.r_[-intercept, intercept]
    want = -np.log(np.maximum(model.predict_proba(X)[np.arange(200), y], LEAST_PROBABILITY))
    assert classifier_losses(X, y, coef, intercept) == pytest.approx(want)


def test_a_hopeless_classifier_has_a_bounded_loss() -> None:
    X, y = np.array([[1.0]]), np.array([0])
    coef, intercept = np.array([[-1e4], [1e4]]), np.zeros(2)
    assert classifier_losses(X, y, coef, intercept).tolist() == [-np.log(LEAST_PROBABILITY)]
    all_gone = np.array([[-1e4], [-1e4]])
    assert classifier_losses(X, y, all_gone, intercept) == pytest.approx([np.log(2)])


def test_losses_are_rounded_to_a_grid() -> None:
    assert on_grid(np.array([0.1])) == pytest.approx([0.1], abs=LOSS_GRID / 2)
    assert (on_grid(np.array([0.1, 1e-9])) / LOSS_GRID % 1 == 0).all()

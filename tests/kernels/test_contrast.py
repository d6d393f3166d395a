"""Divide and Contrast: moments by hand and exact, encoders beside scipy, students, hardness."""

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from udfs.kernels.contrast import moments as of_moments
from udfs.kernels.contrast.encoders import (
    HANDED_ON,
    POINT_LENGTH,
    Encoder,
    Layer,
    as_floats,
    embedding_itself,
    encoder_of,
    layer_of,
    linear_encoder,
)
from udfs.kernels.contrast.hardness import TEMPERATURE, hardness, info_nce
from udfs.kernels.contrast.moments import Moments, MomentSums, total
from udfs.kernels.contrast.students import Study, Teachers, taught
from udfs.kernels.joint.dots import to_coordinates

Floats = NDArray[np.float64]


def views(seed: int, n: int, n_features: int = 12, noise: float = 0.5) -> list[NDArray[np.int16]]:
    """Return two views of points, as whole numbers."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, n_features)) * np.linspace(2, 0.5, n_features)
    both = (X + noise * rng.standard_normal(X.shape) for _ in range(2))
    return [to_coordinates(Y / np.linalg.norm(Y, axis=1, keepdims=True)) for Y in both]


def moments_of(a: NDArray[np.int16], b: NDArray[np.int16]) -> Moments:
    sums = MomentSums(1, a.shape[1])
    sums.add(a, b, np.zeros(len(a), np.int64))
    return sums.result()[0]


# --- moments --------------------------------------------------------------------------------------


def test_moments_by_hand() -> None:
    a, b = np.array([[1, 2], [0, 1]]), np.array([[3, 0], [0, -1]])
    sums = MomentSums(2, 2)
    sums.add(a, b, np.array([1, 1]))
    empty, mine = sums.result()
    assert (empty.n, mine.n) == (0, 2) and not empty.plus.any()
    assert mine.sums.tolist() == [4, 2]  # u = (4, 2), (0, 0)
    assert mine.plus.tolist() == [[16, 8], [8, 4]]
    assert mine.minus.tolist() == [[4, -4], [-4, 8]]  # v = (-2, 2), (0, 2)
    S, X = (mine.plus + mine.minus) // 2, (mine.plus - mine.minus) // 2
    assert S.tolist() == (a.T @ a + b.T @ b).tolist()
    assert X.tolist() == (a.T @ b + b.T @ a).tolist()


def test_one_pass_gives_what_each_cluster_gives_alone(seed: int) -> None:
    a, b = views(seed, 1000)
    labels = np.random.default_rng(seed).integers(10, size=1000)
    sums = MomentSums(10, a.shape[1])
    sums.add(a, b, labels)
    for k, mine in enumerate(sums.result()):
        at = labels == k
        u, v = (a[at].astype(np.int64) + b[at]), (a[at].astype(np.int64) - b[at])
        assert mine.n == at.sum()
        np.testing.assert_array_equal(mine.sums, u.sum(axis=0))
        np.testing.assert_array_equal(mine.plus, u.T @ u)
        np.testing.assert_array_equal(mine.minus, v.T @ v)


@settings(max_examples=25)
@given(st.lists(st.integers(0, 200), max_size=6), st.integers(0, 2**31))
def test_moments_do_not_depend_on_batches_tasks_or_order(cuts: list[int], seed: int) -> None:
    a, b = views(seed, 200, n_features=5)
    rng = np.random.default_rng(seed)
    labels, order = rng.integers(3, size=200), rng.permutation(200)
    whole = MomentSums(3, 5)
    whole.add(a, b, labels)
    parts = []
    for rows in np.split(order, sorted(cuts)):
        parts.append(MomentSums(3, 5))
        parts[-1].add(a[rows], b[rows], labels[rows])
    for k, want in enumerate(whole.result()):
        got = total([part.result()[k] for part in parts])
        assert got.n == want.n
        for mine, theirs in zip(got[1:], want[1:], strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_sums_beyond_what_float64_holds_are_carried(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = views(0, 90)
    want = moments_of(a, b)
    monkeypatch.setattr(of_moments, "_MOST_POINTS", 40)
    sums = MomentSums(1, a.shape[1])
    for start in range(0, 90, 30):
        sums.add(a[start : start + 30], b[start : start + 30], np.zeros(30, np.int64))
    np.testing.assert_array_equal(sums.result()[0].plus, want.plus)
    # the longest points of all: half of what an entry may be
    full = np.full((3, 1), 4096)
    assert moments_of(full, full).plus.tolist() == [[3 * 2**26]]


# --- encoders -------------------------------------------------------------------------------------


def test_the_encoder_is_that_of_scipys_generalised_eigenvectors() -> None:
    a, b = views(1, 400)
    codes = as_floats(linear_encoder(moments_of(a, b), 4, 1e-3)(a + b))
    A, B = (view - (a + b).mean(axis=0) / 2 for view in (a, b))
    S, X = A.T @ A + B.T @ B, A.T @ B + B.T @ A
    S += 1e-3 * np.trace(S) / len(S) * np.eye(len(S))
    values, vectors = scipy.linalg.eigh(X, S)
    Z = (A + B) @ (vectors[:, ::-1][:, :4] * np.sqrt(values[::-1][:4]))
    Z /= np.linalg.norm(Z, axis=1, keepdims=True)
    signs = np.sign((codes * Z).sum(axis=0))
    np.testing.assert_allclose(codes, Z * signs, atol=1e-5)


def test_what_views_share_is_found_and_what_varies_is_not() -> None:
    rng = np.random.default_rng(3)
    shared = rng.standard_normal((500, 1))
    both = [np.hstack([shared, 5 * rng.standard_normal((500, 3))]) for _ in range(2)]
    a, b = (to_coordinates(Y / 30) for Y in both)
    encoder = linear_encoder(moments_of(a, b), 1, 1e-3)
    weights = np.abs(encoder.layers[0].weights[:, 0])
    assert weights[0] > 20 * weights[1:].max()


def test_codes_are_exact_whatever_rows_are_beside_them_and_however_they_are_computed() -> None:
    a, b = views(4, 300, n_features=64)
    rng = np.random.default_rng(0)
    hidden, scale = layer_of(rng.standard_normal((64, 32)), rng.standard_normal(32))
    second, _ = layer_of(
        rng.standard_normal((32, 6)), rng.standard_normal(6) * scale * HANDED_ON * 1e3
    )
    for encoder in (linear_encoder(moments_of(a, b), 6, 1e-3), Encoder([hidden, second])):
        U = a.astype(np.int64) + b
        whole = encoder(U)
        with threadpool_limits(2):
            np.testing.assert_array_equal(encoder(U), whole)
        alone = np.vstack([encoder(U[i : i + 1]) for i in range(len(U))])
        np.testing.assert_array_equal(alone, whole)
        # by whole numbers of any size
        Z = U.astype(object)
        for weights, bias in encoder.layers[:-1]:
            Z = Z.dot(weights.astype(np.int64).astype(object)) + bias.astype(np.int64)
            assert max(abs(Z).ravel()) < 2**53
            Z = np.rint(np.maximum(Z.astype(np.float64), 0) * HANDED_ON)
            Z = Z.astype(np.int64).astype(object)
        weights, bias = (x.astype(np.int64).astype(object) for x in encoder.layers[-1])
        Z = Z.dot(weights) + bias
        assert max(abs(Z).ravel()) < 2**53
        Z = Z.astype(np.float64)
        Z /= np.linalg.norm(Z, axis=1, keepdims=True)
        np.testing.assert_allclose(as_floats(whole), Z, atol=2.0**-24)


def test_an_encoder_of_layers_gives_what_the_layers_give() -> None:
    a, b = views(9, 100)
    rng = np.random.default_rng(0)
    W1, b1 = rng.standard_normal((12, 30)), rng.standard_normal(30)
    W2, b2 = rng.standard_normal((30, 5)), rng.standard_normal(5)
    encoder = encoder_of([(W1, b1), (W2, b2)], input_length=POINT_LENGTH)
    X = (a.astype(np.float64) + b) / POINT_LENGTH
    Z = np.maximum(X @ W1 + b1, 0) @ W2 + b2
    Z /= np.linalg.norm(Z, axis=1, keepdims=True)
    np.testing.assert_allclose(as_floats(encoder(POINT_LENGTH * X)), Z, atol=1e-4)


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_layers_of_any_scale_stay_within_their_bounds(size: float) -> None:
    rng = np.random.default_rng(1)
    layer, scale = layer_of(size * rng.standard_normal((50, 7)), size * rng.standard_normal(7))
    norms = np.linalg.norm(layer.weights, axis=0)
    assert 2**23 < norms.max() < 2**26
    assert np.abs(layer.bias).max() <= POINT_LENGTH * 2**25
    assert np.frexp(scale)[0] == 0.5


def test_the_embedding_itself_is_the_mean_of_both_views() -> None:
    a, b = views(8, 30)
    U = a.astype(np.int64) + b
    want = U / np.linalg.norm(U, axis=1, keepdims=True)
    np.testing.assert_allclose(as_floats(embedding_itself(12)(U)), want, atol=2.0**-24)


def test_an_encoder_comes_back_from_its_arrays() -> None:
    encoder = Encoder([Layer(np.ones((2, 3)), np.zeros(3)), Layer(np.ones((3, 1)), np.ones(1))])
    again = Encoder.of(encoder.arrays())
    U = np.array([[5, -1]])
    np.testing.assert_array_equal(again(U), encoder(U))


def test_views_that_never_differ_and_points_that_never_do_have_codes() -> None:
    a, _ = views(2, 50)
    assert np.isfinite(linear_encoder(moments_of(a, a), 3, 1e-3)(2 * a)).all()
    one = np.tile(a[:1], (50, 1))
    assert np.isfinite(linear_encoder(moments_of(one, one), 3, 1e-3)(2 * one)).all()


# --- students -------------------------------------------------------------------------------------


def test_a_student_learns_what_its_teachers_agree_on() -> None:
    a, b = views(5, 600)
    U = a.astype(np.int64) + b
    base = as_floats(linear_encoder(moments_of(a, b), 3, 1e-3)(U))
    student = taught(U, Teachers(base), Study(32, 3, 150), rng=np.random.default_rng(0))
    codes = as_floats(student(U))
    # up to a linear map, which heads are
    design = np.column_stack([codes, np.ones(len(U))])
    error = base - design @ np.linalg.lstsq(design, base, rcond=None)[0]
    assert 1 - (error**2).sum() / ((base - base.mean(axis=0)) ** 2).sum() > 0.8


def test_an_expert_teaches_its_own_cluster_alone() -> None:
    a, b = views(6, 200)
    U = a.astype(np.int64) + b
    rng = np.random.default_rng(1)
    base, expert = (rng.standard_normal((200, 3)) for _ in range(2))
    labels = np.arange(200) % 2
    study = Study(8, 3, 3)

    def learned(targets: Floats, of: NDArray[np.int64]) -> Floats:
        teachers = Teachers(base, targets, of)
        return as_floats(taught(U, teachers, study, rng=np.random.default_rng(2))(U))

    first = learned(expert, labels)
    np.testing.assert_array_equal(first, learned(expert, labels))
    assert (first != learned(expert, 1 - labels * 0)).any()
    assert (first != learned(-expert, labels)).any()


def test_gradients_are_those_of_the_loss() -> None:
    """Of one step, beside finite differences."""
    from udfs.kernels.contrast.students import _Net

    rng = np.random.default_rng(7)
    X, rows = rng.standard_normal((12, 5)), np.arange(12)
    labels = np.arange(12) % 3
    teachers = Teachers(rng.standard_normal((12, 2)), rng.standard_normal((12, 4)), labels)
    net = _Net(5, Study(6, 3, 1), teachers, rng)

    def loss() -> float:
        w = net.weights
        code = np.maximum(X @ w["W1"] + w["b1"], 0) @ w["W2"] + w["b2"]
        errors = [code @ w["base"] - teachers.base * np.sqrt(2)]
        errors += [
            code[labels == k] @ w[f"expert_{k}"] - teachers.expert[labels == k] * 2
            for k in range(3)
        ]
        return sum(float((e**2).sum()) for e in errors) / 2 / len(X)

    for name, gradient in net.gradients(X, rows).items():
        at = tuple(0 for _ in gradient.shape)
        before = loss()
        net.weights[name][at] += 1e-6
        assert (loss() - before) / 1e-6 == pytest.approx(gradient[at], abs=1e-4), name
        net.weights[name][at] -= 1e-6


# --- hardness -------------------------------------------------------------------------------------


def test_the_loss_by_hand() -> None:
    got = info_nce(np.array([TEMPERATURE]), np.array([[0.0, 2 * TEMPERATURE]]))
    assert got == pytest.approx(np.log(np.e + 1 + np.e**2) - 1)
    assert info_nce(np.array([0.3]), np.full((1, 31), 0.3)) == pytest.approx(np.log(32))


def test_negatives_of_ones_own_cluster_are_harder_and_never_the_point_itself() -> None:
    left = np.array([[1.0, 0], [1, 0], [0, 1], [0, 1], [-1, 0]])
    labels = np.array([0, 0, 1, 1, 2])  # the last is alone, and does not count
    found = hardness(left, left, labels, rng=np.random.default_rng(0))
    assert found.cosine == 1 and found.info_nce == pytest.approx(np.log(33))
    apart = hardness(np.eye(4), np.eye(4), np.zeros(4, int), rng=np.random.default_rng(0))
    assert apart.cosine == 0

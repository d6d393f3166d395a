"""Joint selection: by hand, beside plain float64, exact whatever computes it, sizes kept."""

import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from udfs.kernels.joint.dots import LONGEST, cosines, matched_dots, scale_of, to_coordinates
from udfs.kernels.joint.draws import admitted, draw_independently, draw_jointly, gumbel
from udfs.kernels.joint.elementary import exp, log, softplus
from udfs.kernels.joint.fitting import fit
from udfs.kernels.joint.losses import FORMS, UNIT, Calibration, Losses
from udfs.kernels.joint.sums import SumsOf, computed, looked_up

Floats = NDArray[np.float64]
Towers = tuple[NDArray[np.float32], NDArray[np.float32]]
LEARNER, REFERENCE = Calibration(8.0, -6.0), Calibration(12.0, -9.0)
FORM = pytest.mark.parametrize("form", ["sigmoid", "softmax"])


def coordinates(X: NDArray[np.floating]) -> NDArray[np.float32]:
    return to_coordinates(unit(X)).astype(np.float32)


def unit(X: NDArray[np.floating]) -> Floats:
    return np.asarray(X / np.linalg.norm(X, axis=1, keepdims=True))


def towers(seed: int, n: int, n_features: int = 24, noise: float = 0.7) -> Towers:
    """Image and text embeddings of pairs that match more or less."""
    rng = np.random.default_rng(seed)
    image = rng.standard_normal((n, n_features))
    return coordinates(image), coordinates(image + noise * rng.standard_normal(image.shape))


def hashes_of(seed: int, n: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(-(2**63), 2**63 - 1, n)


def both(form: str, seed: int, n: int, sums: SumsOf = looked_up) -> tuple[Losses, Losses]:
    return (
        FORMS[form](*towers(seed, n, noise=1.5), LEARNER, sums),
        FORMS[form](*towers(seed, n, noise=0.5), REFERENCE, sums),
    )


# --- by hand --------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", range(5))
def test_four_pairs_by_hand(draw: int) -> None:
    """Two pairs of concept a, one of b, one mismatched; the learner takes all for the same.

    With logits of 100 cos - 50: for the learner all pairs look matched, so any other pair of the
    batch costs 50 a way. The reference sees concepts: another pair of the same costs it 50, of
    another concept nothing, and the mismatched pair alone 50. So after an a, an a gains 0, the b
    100 and the mismatched 100 - 50; after a b, either a gains 100.
    """
    same = np.tile([[1.0, 0, 0, 0]], (4, 1))
    image, text = np.eye(4)[[0, 0, 1, 2]], np.eye(4)[[0, 0, 1, 3]]
    of = Calibration(100.0, -50.0)
    learner = FORMS["sigmoid"](coordinates(same), coordinates(same), of, computed)
    reference = FORMS["sigmoid"](coordinates(image), coordinates(text), of, computed)
    gains = learner.matched - reference.matched
    np.testing.assert_allclose(gains, [0, 0, 0, -50], atol=1e-6)
    drawn = draw_jointly(learner, reference, hashes_of(draw, 4), 2, 2)
    assert sorted(drawn.rows.tolist()) in ([0, 2], [1, 2])
    np.testing.assert_allclose(drawn.scores, [0, 100], atol=1e-6)
    learned = learner.of_batch(drawn.rows) - reference.of_batch(drawn.rows)
    assert learned == pytest.approx((0 + 0 + 50 + 50) / 2, abs=1e-6)
    assert admitted(reference.matched, 0.25).tolist() == [0, 1, 2]


# --- by other means -------------------------------------------------------------------------------


def dense_sigmoid(pair: Towers, of: Calibration) -> Floats:
    """Return all losses, in their unit : (n, n), of images by texts."""
    logits = of.temperature * cosines(pair[0] @ pair[1].T, pair[0].shape[1]) + of.bias
    losses = np.logaddexp(0, np.where(np.eye(len(logits)), -logits, logits))
    return np.asarray(np.rint(losses / UNIT) * UNIT)


def test_streamed_sums_equal_the_dense_matrix() -> None:
    n, rng = 200, np.random.default_rng(3)
    learner, reference = both("sigmoid", 1, n, computed)
    G = dense_sigmoid(towers(1, n, noise=1.5), LEARNER)
    G -= dense_sigmoid(towers(1, n, noise=0.5), REFERENCE)
    chosen = rng.permutation(n)[:60]
    for some in np.split(chosen, 4):
        learner.add(some)
        reference.add(some)
    rest = np.setdiff1d(np.arange(n), chosen)
    want = np.diagonal(G) + G[chosen].sum(axis=0) + G[:, chosen].sum(axis=1)
    got = learner.scores() - reference.scores()
    np.testing.assert_allclose(got[rest], want[rest], atol=1e-9)
    batch = learner.of_batch(chosen) - reference.of_batch(chosen)
    assert batch == pytest.approx(G[np.ix_(chosen, chosen)].sum() / 60, abs=1e-9)


def test_streamed_exponentials_equal_the_dense_matrix() -> None:
    n = 200
    pair, chosen = towers(1, n), np.arange(60)
    losses = FORMS["softmax"](*pair, LEARNER, computed)
    for some in np.split(chosen, 4):
        losses.add(some)
    logits = LEARNER.temperature * cosines(pair[0] @ pair[1].T, 24)
    ways = (np.log(np.exp(part).sum(axis=0)) for part in (logits[:60], logits.T[:60]))
    want = sum(ways) / 2 - np.diagonal(logits)
    np.testing.assert_allclose(losses.scores()[60:], want[60:], atol=1e-9)
    part = logits[:60, :60]
    clip = (np.log(np.exp(part).sum(axis=0)) + np.log(np.exp(part).sum(axis=1))) / 2
    want_batch = float((clip - np.diagonal(part)).mean())
    assert losses.of_batch(chosen) == pytest.approx(want_batch, abs=1e-9)


@FORM
@pytest.mark.parametrize("n_features", [24, 512])
def test_whole_numbers_and_looking_up_cost_no_more_than_is_said(form: str, n_features: int) -> None:
    rng, n, of = np.random.default_rng(8), 300, Calibration(50.0, -20.0)
    image = unit(rng.standard_normal((n, n_features)))
    text = unit(image + rng.standard_normal(image.shape) / n_features**0.5)
    pair = coordinates(image), coordinates(text)
    error = np.abs(cosines(pair[0] @ pair[1].T, n_features) - image @ text.T)
    scale = scale_of(n_features)
    bound = n_features**0.5 / scale + n_features / (4 * scale**2)
    assert error.max() < bound
    assert error.std() < 1.5e-4
    logits, chosen = of.temperature * (image @ text.T) + of.bias, np.arange(100)
    losses = FORMS[form](*pair, of, looked_up)
    losses.add(chosen)
    if form == "sigmoid":
        want = np.logaddexp(0, -np.diagonal(logits)) + sum(
            np.logaddexp(0, part[:100]).sum(axis=0) for part in (logits, logits.T)
        )
    else:
        sums = [np.log(np.exp(part[:100]).sum(axis=0)) for part in (logits, logits.T)]
        want = (sums[0] + sums[1]) / 2 - np.diagonal(logits)
    off = np.abs(losses.scores() - want)[100:]
    n_terms = 201 if form == "sigmoid" else 2
    assert off.max() <= n_terms * of.temperature * (bound + 2.0**-16)
    assert off.max() <= of.temperature * 2e-3  # and far less, as errors seldom agree


def test_elementary_functions() -> None:
    x = np.linspace(-60, 60, 10_001)
    np.testing.assert_allclose(exp(x), np.exp(x), rtol=1e-15)
    np.testing.assert_allclose(log(np.exp(x)), x, atol=1e-14)
    np.testing.assert_allclose(softplus(x), np.logaddexp(0, x), rtol=1e-15, atol=4e-16)
    assert exp(np.array([0.0, -1e9])).tolist() == [1.0, exp(np.array([-700.0]))[0]]


@pytest.mark.parametrize(("form", "size"), [("sigmoid", 40), ("sigmoid", 400), ("softmax", 400)])
def test_a_fit_is_the_least_of_its_neighbours(form: str, size: int) -> None:
    image, text = towers(2, 40, n_features=8, noise=1.5)
    cosine, weight = cosines(image @ text.T, 8), (size - 1) / 39
    is_own = np.eye(40, dtype=bool)

    def loss(at: Calibration) -> float:
        logits = at.temperature * cosine + at.bias
        if form == "sigmoid":
            each = np.logaddexp(0, np.where(is_own, -logits, logits))
            return float((each * np.where(is_own, 1, weight)).sum())
        terms = np.exp(logits - np.diagonal(logits)) * np.where(is_own, 1, weight)
        terms_t = np.exp(logits.T - np.diagonal(logits)) * np.where(is_own, 1, weight)
        return float(np.log(terms.sum(axis=0)).sum() + np.log(terms_t.sum(axis=0)).sum())

    found = fit(image, text, form, size)
    biases = (-0.05, 0, 0.05) if form == "sigmoid" else (0,)
    around = [
        loss(Calibration(found.temperature * factor, found.bias + more))
        for factor in (0.97, 1, 1.03)
        for more in biases
    ]
    assert loss(found) == min(around)


def test_a_sample_that_a_model_tells_apart_has_the_largest_temperature() -> None:
    image, _ = towers(2, 30)
    assert fit(image, image, "sigmoid", 30).temperature == pytest.approx(100)
    assert fit(image, image, "softmax", 30).temperature > 50  # its loss is 0 from here on


# --- exact ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_features", [1, 4, 100, 512, 4096])
def test_products_are_exact(n_features: int) -> None:
    """The longest there can be among them: all components equal, in sign or not."""
    rng = np.random.default_rng(n_features)
    X = rng.standard_normal((40, n_features))
    X[0], X[1], X[2] = 1, -1, np.resize([1, -1], n_features)
    A = to_coordinates(unit(X))
    longest = (A.astype(np.int64) ** 2).sum(axis=1).max()
    assert longest <= LONGEST**2
    want = A.astype(np.int64) @ A.astype(np.int64).T
    order = rng.permutation(n_features)
    for n_threads in (1, 2):
        with threadpool_limits(n_threads):
            for columns in (slice(None), order, order[::-1]):
                some = A.astype(np.float32)[:, columns]
                assert (some @ some.T == want).all()
                assert (some @ some[:7].T == want[:, :7]).all()
                assert (matched_dots(some, some) == np.diagonal(want)).all()


@FORM
def test_nothing_depends_on_threads_or_the_order_of_features(form: str) -> None:
    def drawn(columns: NDArray[np.int64], n_threads: int) -> tuple[list[int], list[float]]:
        pairs = [
            tuple(side[:, columns].copy() for side in towers(4, 600, noise=noise))
            for noise in (1.5, 0.5)
        ]
        with threadpool_limits(n_threads):
            learner, reference = (
                FORMS[form](image, text, of, looked_up)
                for (image, text), of in zip(pairs, (LEARNER, REFERENCE), strict=True)
            )
            found = draw_jointly(learner, reference, hashes_of(4, 600), 64, 8)
        return found.rows.tolist(), found.scores.tolist()

    order = np.random.default_rng(0).permutation(24)
    first = drawn(np.arange(24), 1)
    assert drawn(np.arange(24), 2) == first
    assert drawn(order, 1) == first


_DRAW = """
from tests.kernels.test_joint import *
for form in FORMS:
    learner, reference = both(form, 7, 400)
    drawn = draw_jointly(learner, reference, hashes_of(7, 400), 64, 8)
    print(drawn.rows.tolist(), drawn.scores.tolist(), learner.of_batch(drawn.rows))
print(fit(*towers(2, 40), "sigmoid", 100), fit(*towers(2, 40), "softmax", 100))
"""


def test_nothing_depends_on_the_cpu() -> None:
    """As far as one machine can show: other kernels of OpenBLAS, and NumPy without wide vectors."""
    kernels = ("", "Haswell", "Sandybridge")
    wide = ("", "", "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_ICL X86_V3 X86_V4")
    printed = {
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", _DRAW],
            env=os.environ | {"OPENBLAS_CORETYPE": kernel, "NPY_DISABLE_CPU_FEATURES": disabled},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for kernel, disabled in zip(kernels, wide, strict=True)
    }
    assert len(printed) == 1
    assert len(printed.pop().splitlines()) == 3


# --- what always holds ----------------------------------------------------------------------------


@FORM
@settings(max_examples=30)
@given(seed=st.integers(0, 99), step=st.integers(1, 5), n_chunks=st.integers(1, 6))
def test_a_batch_has_its_size_and_no_row_twice(
    form: str, seed: int, step: int, n_chunks: int
) -> None:
    learner, reference = both(form, seed, 30)
    drawn = draw_jointly(learner, reference, hashes_of(seed, 30), step * n_chunks, n_chunks)
    assert len({*drawn.rows.tolist()}) == step * n_chunks
    assert np.bincount(drawn.chunks).tolist() == [step] * n_chunks


def test_in_one_chunk_it_is_the_independent_draw() -> None:
    learner, reference = both("sigmoid", 1, 100)
    hashes, gains = hashes_of(1, 100), learner.matched - reference.matched
    drawn = draw_jointly(learner, reference, hashes, 20, 1)
    assert (drawn.scores == gains[drawn.rows]).all()
    keys = gains + gumbel(hashes, 0)
    assert drawn.rows.tolist() == np.argsort(-keys)[:20].tolist()
    assert all(a >= b for a, b in pairwise(keys[drawn.rows]))


def test_independent_draws_follow_the_softmax() -> None:
    """Two rows of known odds: over many hashes the first is drawn as often as they say."""
    gains, odds, n = np.array([1.0, 0.0]), np.e / (1 + np.e), 2000
    first = [
        draw_independently(gains, hashes, 1, "x")[0] == 0
        for hashes in np.split(hashes_of(0, 2 * n), n)
    ]
    assert np.mean(first) == pytest.approx(odds, abs=4 * (odds * (1 - odds) / n) ** 0.5)

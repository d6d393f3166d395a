"""Fit a model's temperature and bias, where they are not known, to a sample of its pairs.

They minimise the model's own loss on the sample. A batch has more mismatched pairs beside a matched
one than a small sample: each of the sample's counts for (batch - 1) / (sample - 1). All sums are
correctly rounded (``math.fsum``) or elementwise, so that the fit is the same on every machine.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.joint.dots import Coordinates, cosines
from udfs.kernels.joint.elementary import exp, log, softplus
from udfs.kernels.joint.losses import Calibration

LEAST, MOST = 0.01, 100.0  # temperatures; CLIP's training stops at 100 as well
START = Calibration(10.0, -10.0)  # where SigLIP's training starts (arXiv 2303.15343, section 3.3)
_MAX_STEPS, _TOLERANCE = 200, 1e-7
_LOG_RANGE = 9.210340371976182736  # ln(MOST / LEAST), written out: libm's may differ
_GOLDEN = (math.sqrt(5) - 1) / 2
_NARROWINGS = 45  # narrows the range to (100 / .01)^(.618^45): nine digits

Floats = NDArray[np.float64]


def fit(image: Coordinates, text: Coordinates, form: str, size: int) -> Calibration:
    """Fit temperature and bias to a sample.

    Parameters
    ----------
    image, text : (n, n_features) coordinates, n >= 2
    form : sigmoid or softmax
    size : size of the batches to fit for
    """
    n, n_features = image.shape
    dots = image @ text.T  # exact
    weight = (size - 1) / (n - 1)
    if form == "softmax":
        return Calibration(_fit_softmax(cosines(dots, n_features), weight), 0.0)
    is_own = np.eye(n, dtype=bool)
    return _fit_sigmoid(
        _counted(dots[is_own], n_features, 1.0, -1), _counted(dots[~is_own], n_features, weight, 1)
    )


class _Cosines(NamedTuple):
    """Distinct cosines, what each counts for, and the sign of its logit in the loss."""

    values: Floats
    weights: Floats
    sign: int


def _counted(dots: NDArray[np.float32], n_features: int, weight: float, sign: int) -> _Cosines:
    distinct, counts = np.unique(dots, return_counts=True)
    return _Cosines(cosines(distinct, n_features), weight * counts.astype(np.float64), sign)


def _fit_sigmoid(*groups: _Cosines) -> Calibration:
    """Minimise the loss, which is convex, by Newton's method with halved steps."""
    here, loss = START, _loss(START, groups)
    for _ in range(_MAX_STEPS):
        step = _newton_step(here, groups)
        for _ in range(40):  # halvings
            temperature = min(max(here.temperature + step[0], LEAST), MOST)
            tried = Calibration(temperature, here.bias + step[1])
            if (found := _loss(tried, groups)) <= loss:
                break
            step = step[0] / 2, step[1] / 2
        else:
            break
        gain, here, loss = loss - found, tried, found
        if gain <= _TOLERANCE * loss:
            break
    return here


def _loss(at: Calibration, groups: tuple[_Cosines, ...]) -> float:
    terms = [w * softplus(s * (at.temperature * x + at.bias)) for x, w, s in groups]
    return math.fsum(np.concatenate(terms))


def _newton_step(at: Calibration, groups: tuple[_Cosines, ...]) -> tuple[float, float]:
    """Return the step in temperature and bias; in bias alone if a bound stops the temperature."""
    slopes, curvatures, cosine = [], [], np.concatenate([g.values for g in groups])
    for x, weights, sign in groups:
        logit = sign * (at.temperature * x + at.bias)
        share = exp(-softplus(-logit))  # the sigmoid
        slopes.append(sign * weights * share)
        curvatures.append(weights * share * (1 - share))
    slope, curvature = np.concatenate(slopes), np.concatenate(curvatures)
    by_t, by_c = math.fsum(slope * cosine), math.fsum(slope)
    tt, tc, cc = (math.fsum(curvature * part) for part in (cosine * cosine, cosine, 1.0))
    determinant = tt * cc - tc * tc
    if cc <= 0:
        return 0.0, 0.0
    if determinant > 1e-12 * tt * cc:
        step = (tc * by_c - cc * by_t) / determinant, (tc * by_t - tt * by_c) / determinant
        if LEAST < at.temperature + step[0] < MOST:
            return step
        if LEAST < at.temperature < MOST:
            return step
    return 0.0, -by_c / cc


def _fit_softmax(cosine: Floats, weight: float) -> float:
    """Minimise the loss, which is convex, by golden sections of the temperature's logarithm."""
    own = np.diagonal(cosine)
    above = [cosine - own[:, None], cosine.T - own[:, None]]  # (n, n), of the others, both ways
    for way in above:
        np.fill_diagonal(way, -np.inf)

    def loss(power: float) -> float:
        total = 0.0
        for way in above:
            # exp has its own lower bound, in place of which nothing is counted
            terms = np.where(np.isinf(way), 0.0, exp(_temperature(power) * way))
            total += math.fsum(log(1 + weight * np.cumsum(terms, axis=1)[:, -1]))
        return total

    low, high = 0.0, 1.0
    inner = [high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)]
    losses = [*map(loss, inner)]
    for _ in range(_NARROWINGS):
        if losses[0] <= losses[1]:
            high, inner[1], losses[1] = inner[1], inner[0], losses[0]
            inner[0] = high - _GOLDEN * (high - low)
            losses[0] = loss(inner[0])
        else:
            low, inner[0], losses[0] = inner[0], inner[1], losses[1]
            inner[1] = low + _GOLDEN * (high - low)
            losses[1] = loss(inner[1])
    return _temperature((low + high) / 2)


def _temperature(power: float) -> float:
    """Return LEAST to MOST for powers of 0 to 1, evenly by logarithm."""
    return LEAST * float(exp(np.array(power * _LOG_RANGE)))

"""Exponentials and logarithms with the same bits on every CPU.

``np.exp`` and ``np.log`` differ in their last bits between libms and vector units, and a draw is
decided by a comparison. Here are only sums, products, quotients, rounding and powers of two, which
IEEE 754 defines to the last bit. Errors are below 1e-15, relative to the value (for ``log`` and
``softplus``: or absolute).
"""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# ln 2 in two parts, the first with 32 bits, so that multiples of it are exact (fdlibm, e_exp.c)
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_LOG2_E = 1.44269504088896338700e00
_SQRT_HALF = 0.7071067811865476
_LEAST, _MOST = -700.0, 700.0  # exponents that leave a normal float64
_EXP_TERMS = [1 / math.factorial(i) for i in range(14)]  # Taylor series, up to .35^14 / 14!
_LOG_TERMS = [1 / (2 * i + 1) for i in range(12)]  # inverse hyperbolic tangent, up to .172^25


def exp(x: Floats) -> Floats:
    """Return e to the x, of -700 <= x <= 700; what is beyond counts as the bound : (n,)."""
    x = np.clip(x, _LEAST, _MOST)
    k = np.rint(x * _LOG2_E)
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    return np.asarray(np.ldexp(_polynomial(_EXP_TERMS, r), k.astype(np.int32)))


def log(x: Floats) -> Floats:
    """Return the natural logarithm of positive numbers : (n,)."""
    m, e = np.frexp(x)
    is_low = m < _SQRT_HALF
    m, k = np.where(is_low, 2 * m, m), np.where(is_low, e - 1, e).astype(np.float64)
    s = (m - 1) / (m + 1)
    return np.asarray(k * _LN2_HIGH + (2 * s * _polynomial(_LOG_TERMS, s * s) + k * _LN2_LOW))


def softplus(x: Floats) -> Floats:
    """Return log(1 + e to the x) : (n,)."""
    return np.asarray(np.maximum(x, 0) + log(1 + exp(-np.abs(x))))


def _polynomial(terms: list[float], x: Floats) -> Floats:
    """Return terms[0] + terms[1] x + ..., by Horner's rule."""
    value = np.full(np.shape(x), terms[-1])
    for term in reversed(terms[:-1]):
        value *= x
        value += term
    return value

"""Find the rows that cannot be clustered, and measure and normalise the others.

The same answer on every CPU: squares of float32 are exact in float64 and are added one after
another, because the order of a BLAS or SIMD reduction depends on the machine.
"""

import numpy as np
from numpy.typing import NDArray

CHUNK_ROWS = 256  # rows widened to float64 at a time: 2 MiB at 1024 features


def row_norms(X: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the L2 norm of every row.

    Parameters
    ----------
    X : (n_samples, n_features) float32

    Returns
    -------
    norms : (n_samples,) float64
        From a sequential sum of squares; nan or inf for a row that holds one.
    """
    n_samples, n_features = X.shape
    norms = np.zeros(n_samples, dtype=np.float64)
    if n_features == 0:
        return norms
    for start in range(0, n_samples, CHUNK_ROWS):
        squares = X[start : start + CHUNK_ROWS].astype(np.float64)
        squares *= squares
        np.cumsum(squares, axis=1, out=squares)  # sum() may add in another order
        norms[start : start + CHUNK_ROWS] = squares[:, -1]
    return np.sqrt(norms, out=norms)


def check_vectors(X: NDArray[np.float32]) -> NDArray[np.object_]:
    """Name what is wrong with each row.

    Parameters
    ----------
    X : (n_samples, n_features) float32

    Returns
    -------
    reasons : (n_samples,) object
        The first that applies of ``nan``, ``inf``, ``zero_norm`` and ``constant`` (all components
        are equal and there are several), else None.
    """
    reasons = np.full(X.shape[0], None, dtype=object)
    if X.shape[1] == 0:
        reasons[:] = "zero_norm"
        return reasons
    low = X.min(axis=1)  # (n_samples,); min and max are exact, and nan wins both
    high = X.max(axis=1)
    if X.shape[1] > 1:
        reasons[low == high] = "constant"
    reasons[(low == 0) & (high == 0)] = "zero_norm"
    reasons[np.isinf(low) | np.isinf(high)] = "inf"
    reasons[np.isnan(low)] = "nan"
    return reasons


def normalize_rows(X: NDArray[np.float32], norms: NDArray[np.float64]) -> NDArray[np.float32]:
    """Scale every row to length 1.

    Parameters
    ----------
    X : (n_samples, n_features) float32
    norms : (n_samples,) float64
        The rows' norms, from `row_norms`.

    Returns
    -------
    unit : (n_samples, n_features) float32
        Divided in float64, so that neither denormals nor values near 1e38 are lost. A row whose
        norm is 0, nan or inf has no direction and becomes zeros.
    """
    unit = np.zeros(X.shape, dtype=np.float32)
    has_direction = (norms > 0) & np.isfinite(norms)
    for start in range(0, X.shape[0], CHUNK_ROWS):
        chunk = slice(start, start + CHUNK_ROWS)
        rows = np.flatnonzero(has_direction[chunk]) + start
        unit[rows] = X[rows].astype(np.float64) / norms[rows, None]
    return unit

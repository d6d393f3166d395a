"""Encoders that give the same bytes everywhere: layers of whole numbers, applied without rounding.

An encoder reads points as the sum of their two views, or a view twice: whole numbers of length at
most 2^13. Weights are whole numbers whose columns are at most 2^26 long, and what a hidden layer
hands on is rounded to at most 2^20 a unit; so every sum of products is below 2^53, exact in float64
in any order. Codes have length 1, on the grid of 2^-24 that clustering works on.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.contrast.moments import VIEW_LENGTH, Moments
from udfs.kernels.exact.grid import GRID_BITS
from udfs.kernels.passes.step import Arrays

Floats = NDArray[np.float64]
Codes = NDArray[np.float32]  # (n, n_components) grid coordinates, of length 2^24
POINT_LENGTH = 2 * VIEW_LENGTH
MOST_HIDDEN = 1024  # units of a hidden layer: 2^20 each, 2^25 together
_WEIGHT_BITS = 26
_SHORTEST = 2.0**-500  # stands in for the length of weights that are all 0
HANDED_ON = 2.0**-20  # scale of a hidden unit, which is at most 2^(1 + 13 + 26)


class Layer(NamedTuple):
    """Whole numbers in float64: weights (n_in, n_out), bias (n_out,)."""

    weights: Floats
    bias: Floats


class Encoder:
    """One layer, or more with the positive part between them."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = list(layers)

    def __call__(self, U: NDArray[np.number]) -> Codes:
        """Encode points : (n, n_features) whole numbers, of length at most 2^13."""
        X = U.astype(np.float64)
        for weights, bias in self.layers[:-1]:
            X = np.rint(np.maximum(X @ weights + bias, 0.0) * HANDED_ON)
        weights, bias = self.layers[-1]
        return on_sphere(X @ weights + bias)

    def arrays(self) -> Arrays:
        """Return it as arrays by name."""
        return {
            f"{i}.{name}": value
            for i, layer in enumerate(self.layers)
            for name, value in layer._asdict().items()
        }

    @classmethod
    def of(cls, arrays: Arrays) -> "Encoder":
        """Return an encoder from its arrays."""
        n_layers = len(arrays) // 2
        return cls([Layer(arrays[f"{i}.weights"], arrays[f"{i}.bias"]) for i in range(n_layers)])


def on_sphere(Z: Floats) -> Codes:
    """Scale rows to length 1 on the grid; a row of zeros stays : (n, n_components)."""
    sq_norms = np.zeros(len(Z))
    for column in Z.T:  # in sequence: no reduction whose order depends on the CPU
        sq_norms += column * column
    norms = np.sqrt(sq_norms)
    norms[norms == 0] = 1.0
    return np.rint(Z / norms[:, None] * 2.0**GRID_BITS).astype(np.float32)


def layer_of(weights: Floats, bias: Floats) -> tuple[Layer, float]:
    """Round a layer to whole numbers.

    Parameters
    ----------
    weights, bias : (n_in, n_out), (n_out,)

    Returns
    -------
    layer : scaled
    scale : a power of two
    """
    longest = max(np.sqrt((weights**2).sum(axis=0)).max(), np.abs(bias).max() / POINT_LENGTH)
    # rounding lengthens a column by at most half the root of n_in: one bit is left for it
    exponent = np.frexp(max(longest, _SHORTEST))[1]
    scale = 2.0 ** (_WEIGHT_BITS - 1 - int(exponent))
    return Layer(np.rint(weights * scale), np.rint(bias * scale)), scale


def encoder_of(layers: Sequence[tuple[Floats, Floats]], *, input_length: float) -> Encoder:
    """Return an encoder of one or two layers, given in floating point.

    Parameters
    ----------
    layers : weights (n_in, n_out) and bias (n_out,) each; at most MOST_HIDDEN units between
    input_length : what a point of length 1, as the layers read it, is long as encoders read it
    """
    larger, found = input_length, []  # input length relative to what the layer is made for
    for weights, bias in layers:
        layer, scale = layer_of(weights, bias * larger)
        found.append(layer)
        larger *= scale * HANDED_ON
    return Encoder(found)


def linear_encoder(moments: Moments, n_components: int, ridge: float) -> Encoder:
    """Return the linear encoder that best contrasts what two views share with what varies.

    Its directions are the first generalised eigenvectors of (X, S + ridge), S and X the moments of
    the views, each and with each other, about the views' mean; each is weighted by the root of its
    eigenvalue, as the spectral contrastive loss has it (HaoChen et al., arXiv 2106.04156).

    Parameters
    ----------
    moments : moments of at least two points
    n_components : at most the number of features
    ridge : relative to the mean of S's diagonal

    Returns
    -------
    encoder : determined by the moments, on one machine; signs are set by the largest weight
    """
    n, n_features = moments.n, len(moments.sums)
    plus, minus = moments.plus.astype(np.float64), moments.minus.astype(np.float64)
    mean = moments.sums / (2 * n)  # mean of the views
    about = 2 * n * np.outer(mean, mean)
    S, X = (plus + minus) / 2 - about, (plus - minus) / 2 - about
    mean_variance = np.trace(S) / n_features
    S += (ridge * mean_variance + np.finfo(np.float64).eps) * np.eye(n_features)
    L = np.linalg.cholesky(S)
    M = np.linalg.solve(L, np.linalg.solve(L, X).T)
    values, vectors = np.linalg.eigh((M + M.T) / 2)
    values, vectors = values[::-1][:n_components], vectors[:, ::-1][:, :n_components]
    W = np.linalg.solve(L.T, vectors) * np.sqrt(np.maximum(values, 0.0))
    largest = np.take_along_axis(W, np.abs(W).argmax(axis=0)[None], axis=0)[0]
    W = W * np.where(largest < 0, -1.0, 1.0) * np.sqrt(n)
    layer, _ = layer_of(W, -(2 * mean) @ W)  # encoders read a point as the sum of its views
    return Encoder([layer])


def embedding_itself(n_features: int) -> Encoder:
    """Return the encoder that leaves embeddings as they are: the mean of both views."""
    return Encoder([layer_of(np.eye(n_features), np.zeros(n_features))[0]])


def as_floats(codes: Codes) -> Floats:
    """Return codes as vectors of length 1 : (n, n_components)."""
    return codes.astype(np.float64) * 2.0**-GRID_BITS

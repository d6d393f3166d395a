"""A model's contrastive losses on pairs, given those that are in the batch already.

Sigmoid form: l_ij = softplus(-y_ij (t cos_ij + c)), y = 1 for the pair itself, -1 for any other; a
pair costs its own and those with all others of the batch, both ways. Softmax form: -t cos_ii plus
the logarithm of the sum of exp(t cos) over the others, both ways averaged.
"""

import math
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.joint.dots import Coordinates, cosines, matched_dots
from udfs.kernels.joint.elementary import exp, log, softplus
from udfs.kernels.joint.sums import SumsOf, looked_up, turned

# Losses in the sigmoid form are multiples of this: sums below 2^23 are exact in any order.
UNIT = 2.0**-30

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


class Calibration(NamedTuple):
    """How a model's cosines become logits: temperature x cosine + bias."""

    temperature: float
    bias: float


class Losses(Protocol):
    """One model's losses on all pairs of a super-batch, while a batch grows.

    Attributes
    ----------
    matched : (n,), of the pairs by themselves
    """

    matched: Floats

    def add(self, chosen: Rows) -> None:
        """Put rows into the batch."""

    def scores(self) -> Floats:
        """Return what each pair would cost with the batch, as it is : (n,)."""

    def of_batch(self, rows: Rows) -> float:
        """Return the model's loss on a batch of these rows, by pair."""


class SigmoidLosses:
    """The form of SigLIP (arXiv 2303.15343).

    Parameters
    ----------
    image, text : (n, n_features) coordinates
    sums : how losses are summed
    """

    def __init__(
        self, image: Coordinates, text: Coordinates, of: Calibration, sums: SumsOf = looked_up
    ) -> None:
        self._pairs, n_features = (image, text), image.shape[1]

        def logits(cosine: Floats) -> Floats:
            return of.temperature * cosine + of.bias

        own = logits(cosines(matched_dots(image, text), n_features))
        self.matched, self._mismatched = _rounded(softplus(-own)), _rounded(softplus(own))
        self._sums = sums(lambda cosine: _rounded(softplus(logits(cosine))), n_features)
        self._with_batch = np.zeros(len(image))

    @cached_property
    def _turned(self) -> tuple[Coordinates, Coordinates]:
        return turned(self._pairs[0]), turned(self._pairs[1])

    def add(self, chosen: Rows) -> None:
        """Put rows into the batch."""
        (image, text), (images, texts) = self._pairs, self._turned
        self._with_batch += self._sums(image[chosen], texts) + self._sums(text[chosen], images)

    def scores(self) -> Floats:
        """Return what each pair would cost with the batch, as it is : (n,)."""
        return self.matched + self._with_batch

    def of_batch(self, rows: Rows) -> float:
        """Return the model's loss on a batch of these rows, by pair."""
        image, text = self._pairs
        others = self._sums(image[rows], text[rows].T) - self._mismatched[rows]
        return math.fsum(self.matched[rows] + others) / len(rows)


class SoftmaxLosses:
    """The form of CLIP (arXiv 2103.00020), which has no bias.

    Parameters
    ----------
    image, text : (n, n_features) coordinates
    sums : how exponentials are summed
    """

    def __init__(
        self, image: Coordinates, text: Coordinates, of: Calibration, sums: SumsOf = looked_up
    ) -> None:
        self._pairs, self._temperature = (image, text), of.temperature
        n_features = image.shape[1]
        self.matched = -of.temperature * cosines(matched_dots(image, text), n_features)
        # less the largest logit there can be, so that nothing overflows
        self._sums = sums(lambda cosine: exp(of.temperature * (cosine - 1)), n_features)
        self._with_batch = np.zeros((2, len(image)))
        self._is_empty = True

    @cached_property
    def _turned(self) -> tuple[Coordinates, Coordinates]:
        return turned(self._pairs[0]), turned(self._pairs[1])

    def add(self, chosen: Rows) -> None:
        """Put rows into the batch."""
        (image, text), (images, texts) = self._pairs, self._turned
        self._with_batch[0] += self._sums(image[chosen], texts)
        self._with_batch[1] += self._sums(text[chosen], images)
        self._is_empty = False

    def scores(self) -> Floats:
        """Return what each pair would cost with the batch, as it is : (n,)."""
        return self.matched if self._is_empty else self.matched + self._averaged(self._with_batch)

    def of_batch(self, rows: Rows) -> float:
        """Return the model's loss on a batch of these rows, by pair."""
        image, text = (side[rows] for side in self._pairs)
        ways = np.array([self._sums(image, text.T), self._sums(text, image.T)])
        return math.fsum(self.matched[rows] + self._averaged(ways)) / len(rows)

    def _averaged(self, sums: Floats) -> Floats:
        """Return the mean of both ways' logarithms : (2, n) -> (n,)."""
        ways = log(sums)
        return np.asarray((ways[0] + ways[1]) / 2 + self._temperature)


FORMS: dict[str, Callable[[Coordinates, Coordinates, Calibration, SumsOf], Losses]] = {
    "sigmoid": SigmoidLosses,
    "softmax": SoftmaxLosses,
}


def _rounded(values: Floats) -> Floats:
    return np.asarray(np.rint(values / UNIT) * UNIT)

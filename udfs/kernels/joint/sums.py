"""Sums of a function of cosines over chosen rows: matrix products, used while in the cache."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.joint.dots import (
    DOTS_PER_PLACE,
    Coordinates,
    cosines,
    place_cosines,
    to_places,
)

# Rows of a product's tile: its dot products, places and values take 1.3 MB, and stay in the cache.
CHOSEN_ROWS, ROWS = 128, 512
TURNED_ROWS = 64

Floats = NDArray[np.float64]
Function: TypeAlias = Callable[[Floats], Floats]  # elementwise, of cosines
# (m, n_features) chosen, (n_features, n) others -> (n,): the function's sums over the chosen.
# The others lie feature by feature: sgemm is a tenth faster than if it turns them itself.
Sums: TypeAlias = Callable[[Coordinates, Coordinates], Floats]
SumsOf: TypeAlias = Callable[[Function, int], Sums]  # function, n_features

_Tile = Callable[[NDArray[np.float32], Floats], None]  # dot products -> values, in place


def turned(rows: Coordinates) -> Coordinates:
    """Return embeddings feature by feature : (n_features, n), contiguous."""
    columns = np.empty(rows.shape[::-1], np.float32)
    for start in range(0, len(rows), TURNED_ROWS):  # few enough to stay in the cache
        columns[:, start : start + TURNED_ROWS] = rows[start : start + TURNED_ROWS].T
    return columns


def looked_up(function: Function, n_features: int) -> Sums:
    """Return sums of a function whose values are looked up at the nearest of 2^16 cosines."""
    table = function(place_cosines(n_features))
    # a power of two changes no digit: the product comes in places
    scale = np.float32(1 / DOTS_PER_PLACE)
    room = np.empty(CHOSEN_ROWS * ROWS, np.int64)

    def look_up(dots: NDArray[np.float32], values: Floats) -> None:
        places = room[: dots.size].reshape(dots.shape)
        to_places(dots, places)
        # clip never applies; without it, take would copy its result
        np.take(table, places, out=values, mode="clip")

    return lambda chosen, others: _sums(look_up, chosen * scale, others)


def computed(function: Function, n_features: int) -> Sums:
    """Return sums of a function that is computed at every cosine: some twenty times slower."""

    def compute(dots: NDArray[np.float32], values: Floats) -> None:
        values[:] = function(cosines(dots, n_features))

    return lambda chosen, others: _sums(compute, chosen, others)


def _sums(fill: _Tile, chosen: Coordinates, others: Coordinates) -> Floats:
    """Add up tile by tile, and within a tile one chosen row after another : (n,).

    So the order is fixed, whatever the vector unit: sums over the first axis are elementwise.
    """
    n = others.shape[1]
    sums = np.zeros(n)
    dots, values = np.empty(CHOSEN_ROWS * ROWS, np.float32), np.empty(CHOSEN_ROWS * ROWS)
    for first in range(0, len(chosen), CHOSEN_ROWS):
        mine = chosen[first : first + CHOSEN_ROWS]
        for start in range(0, n, ROWS):
            some = others[:, start : start + ROWS]
            shape = len(mine), some.shape[1]
            size = shape[0] * shape[1]
            product, filled = dots[:size].reshape(shape), values[:size].reshape(shape)
            np.matmul(mine, some, out=product)
            fill(product, filled)
            sums[start : start + ROWS] += np.add.reduce(filled, axis=0)
    return sums

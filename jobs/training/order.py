"""The order of batches in an epoch, and every rank's and worker's share of it: numpy alone."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Uneven = Literal["refuse", "drop", "repeat", "keep"]
UNEVEN = ("refuse", "drop", "repeat", "keep")
Order = NDArray[np.int64]


def order_of(n_batches: int, *, seed: int, epoch: int) -> Order:
    """Return the batches in an epoch's random order : (n_batches,), the same on every machine.

    Sorted by a hash of (seed, epoch, batch), so that no version of numpy's generators matters.
    """
    start = _mixed(_mixed(np.array([seed], np.uint64)) + np.array([epoch], np.uint64))
    keys = _mixed(start + np.arange(n_batches).astype(np.uint64))  # (n_batches,)
    return np.argsort(keys, kind="stable").astype(np.int64)


def share_of_rank(order: Order, *, rank: int, world: int, uneven: Uneven) -> Order:
    """Return the batches of one rank : (n_batches,) -> (n_mine,), every world-th of the order.

    Parameters
    ----------
    uneven : what to do if ranks cannot have equally many: ``refuse``; ``drop`` the last of the
        epoch's order; ``repeat`` its first ones; or ``keep``, so that some ranks have one more

    Raises
    ------
    ValueError
        If it refuses.
    """
    n_over = len(order) % world
    if n_over and uneven == "refuse":
        raise ValueError(
            f"{len(order)} batches cannot be shared evenly by {world} ranks, which would wait for "
            "each other at the end; choose uneven='drop' (leaves out "
            f"{n_over} of them in each epoch, others where shuffled), 'repeat' (reads "
            f"{world - n_over} twice), or 'keep' (some ranks have one more: only where ranks need "
            "not keep in step, such as inside DDP's join())"
        )
    if n_over and uneven == "drop":
        order = order[: len(order) - n_over]
    if n_over and uneven == "repeat":
        order = np.concatenate([order, np.resize(order, world - n_over)])
    return order[rank::world]


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix bits as splitmix64 does (Steele, Lea, Flood 2014); sums wrap."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))

"""Points in batches of one size, such that no batch holds two that must be kept apart."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.near.pairs import better_neighbours

Rows = NDArray[np.int64]
NOWHERE = -1  # the batch of a row without one


class Apart(NamedTuple):
    """Pairs of rows that may not share a batch : (n_pairs,) int64 each, in any order."""

    one: Rows
    other: Rows


def pairs_above(X: NDArray[np.float32], max_cosine: float) -> Apart:
    """Return the pairs of rows whose cosine is above one : (n, d), grid coordinates."""
    similar = better_neighbours(X, float(np.nextafter(max_cosine, 2)), most=len(X))
    return Apart(similar.row, similar.better)


def fill(n_rows: int, apart: Apart, size: int) -> Rows:
    """Place rows in whole batches, and leave out those that find no place.

    Rows come in the order in which they should follow each other; each goes to the first batch
    that has room and holds none that it must be kept apart from. Where a batch then lacks rows, one
    moves there from another batch and leaves its place to a row that has none; the rows of the
    last batches that still lack some fill the first ones.

    Returns
    -------
    batch : (n_rows,) int64, numbered from 0; NOWHERE for rows that are in no whole batch
    """
    batches = _Batches(n_rows, apart, size, n_rows // size)
    batches.place_all()
    for row in np.flatnonzero(batches.batch == NOWHERE):
        batches.exchange(int(row))
    batches.close_ranks()
    return _renumbered(np.where(batches.is_whole(batches.batch), batches.batch, NOWHERE))


def place_all(n_rows: int, apart: Apart, size: int) -> Rows:
    """Place every row in batches of at most ``size`` : (n_rows,) int64, numbered from 0."""
    degrees = np.bincount(np.concatenate(apart), minlength=n_rows)
    # a row finds its neighbours' batches closed, and the full ones
    n_batches = n_rows // size + int(degrees.max(initial=0)) + 1
    batches = _Batches(n_rows, apart, size, n_batches)
    batches.place_all()
    batches.close_ranks()
    return _renumbered(batches.batch)


def positions(batch: Rows) -> NDArray[np.int32]:
    """Return each row's place among the rows of its batch, in their order : (n_rows,) int32."""
    order = np.argsort(batch, kind="stable")
    ordered = batch[order]
    found = np.empty(len(batch), np.int32)
    found[order] = np.arange(len(batch)) - np.searchsorted(ordered, ordered)
    return found


def _renumbered(batch: Rows) -> Rows:
    """Number the batches that have rows from 0."""
    known, found = np.unique(batch, return_inverse=True)
    return np.asarray(found - int(NOWHERE in known), np.int64)


class _Batches:
    """Batches as they fill.

    Attributes
    ----------
    batch : (n_rows,) int64, of each row
    room : (n_batches,) rows that each can still take
    blocked : (n_rows, n_batches) int32, those of a batch that a row must be kept apart from
    """

    def __init__(self, n_rows: int, apart: Apart, size: int, n_batches: int) -> None:
        ends = np.concatenate([apart.one, apart.other])
        order = np.argsort(ends, kind="stable")
        self._others = np.concatenate([apart.other, apart.one])[order]
        self._starts = np.searchsorted(ends[order], np.arange(n_rows + 1))
        self.size = size
        self.batch = np.full(n_rows, NOWHERE, np.int64)
        self.room = np.full(n_batches, size, np.int64)
        self.blocked = np.zeros((n_rows, n_batches), np.int32)

    def is_whole(self, batch: Rows) -> NDArray[np.bool_]:
        """Return which rows are in a whole batch."""
        return np.asarray((batch != NOWHERE) & (np.append(self.room, 1)[batch] == 0))

    def place_all(self) -> None:
        """Place each row in the first batch that takes it, if any does."""
        for row in range(len(self.batch)):
            self._place(row, len(self.room))

    def _place(self, row: int, n_first: int) -> None:
        takes = (self.room[:n_first] > 0) & (self.blocked[row, :n_first] == 0)
        if takes.any():
            self._move(row, int(takes.argmax()))

    def exchange(self, row: int) -> None:
        """Place a row where another is, the closest in order that some batch with room takes."""
        takes = np.append(self.blocked[row] == 0, False)[self.batch]
        for target in np.flatnonzero(self.room):
            movable = np.flatnonzero(takes & (self.blocked[:, target] == 0))
            if len(movable):
                other = int(movable[np.abs(movable - row).argmin()])
                place = int(self.batch[other])
                self._move(other, int(target))
                self._move(row, place)
                return

    def close_ranks(self) -> None:
        """Move rows of the last batches with room to the first ones."""
        for last in np.flatnonzero(self.room)[::-1]:
            for row in np.flatnonzero(self.batch == last):
                self._place(int(row), int(last))

    def _move(self, row: int, to: int) -> None:
        others = self._others[self._starts[row] : self._starts[row + 1]]
        if (now := self.batch[row]) != NOWHERE:
            self.blocked[others, now] -= 1
            self.room[now] += 1
        self.blocked[others, to] += 1
        self.room[to] -= 1
        self.batch[row] = to

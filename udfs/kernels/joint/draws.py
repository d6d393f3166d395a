"""Draw a batch from a super-batch, chunk by chunk, each by what is in the batch already.

JEST, arXiv 2406.17711, algorithm 1. A draw from the softmax of scores without replacement is the
largest of score plus Gumbel noise; the noise is a hash of the pair, not of its place.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.exact.hashing import xxhash64_on
from udfs.kernels.joint.elementary import log
from udfs.kernels.joint.losses import Losses

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Hashes = NDArray[np.int64]


class Drawn(NamedTuple):
    """A batch, in the order in which it was drawn.

    Attributes
    ----------
    rows : (size,), of the super-batch
    chunks : (size,), the step in which each was drawn
    scores : (size,), by which each was drawn: what the learner loses with it above the reference
    """

    rows: Rows
    chunks: NDArray[np.int32]
    scores: Floats


def gumbel(hashes: Hashes, salt: str | int) -> Floats:
    """Return noise of Gumbel's distribution : (n,)."""
    bits = xxhash64_on(hashes, salt).view(np.uint64) >> np.uint64(12)
    return -log(-log((bits.astype(np.float64) + 0.5) * 2.0**-52))


def admitted(matched: Floats, share: float) -> Rows:
    """Return the rows, sorted, without the share that the reference matches worst.

    Most of them are mismatched. Ties: the later row goes.

    Parameters
    ----------
    matched : (n,), the reference's losses on the pairs by themselves
    """
    n_kept = len(matched) - int(share * len(matched))
    return np.sort(np.argsort(matched, kind="stable")[:n_kept])


def draw_jointly(
    learner: Losses, reference: Losses, hashes: Hashes, size: int, n_chunks: int
) -> Drawn:
    """Draw a batch, ``size / n_chunks`` rows at a time.

    Parameters
    ----------
    learner, reference : losses on the same n pairs; their batches must be empty
    hashes : (n,), of the pairs
    size : at most n, a multiple of ``n_chunks``
    """
    step = size // n_chunks
    rest = np.arange(len(hashes))
    rows, scores = np.empty(size, np.int64), np.empty(size)
    for chunk in range(n_chunks):
        # 1. what each of the rest would add to what can be learned from the batch
        gains = learner.scores() - reference.scores()
        # 2. draw by it
        mine = slice(chunk * step, (chunk + 1) * step)
        rows[mine] = rest[_largest(gains[rest] + gumbel(hashes[rest], chunk), step)]
        scores[mine] = gains[rows[mine]]
        rest = np.setdiff1d(rest, rows[mine], assume_unique=True)
        # 3. score the rest with them
        if chunk + 1 < n_chunks:
            learner.add(rows[mine])
            reference.add(rows[mine])
    return Drawn(rows, np.repeat(np.arange(n_chunks, dtype=np.int32), step), scores)


def draw_independently(gains: Floats, hashes: Hashes, size: int, salt: str) -> Rows:
    """Draw rows from the softmax of their own gains, whatever is beside them.

    Parameters
    ----------
    gains : (n,); all the same for a uniform draw
    """
    return _largest(gains + gumbel(hashes, salt), size)


def _largest(keys: Floats, n: int) -> Rows:
    """Return the n largest keys' places, the largest first; ties: the earlier."""
    return np.argsort(-keys, kind="stable")[:n]

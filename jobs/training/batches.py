"""A rank's batches of an exported folder, in its order, and a state to resume from.

The order of an epoch is the files' own, or a random one of (seed, epoch). Rank r of R takes every
R-th batch of it, and worker w of W every W-th of its rank's. A loader that takes one batch from
each worker in turn, as PyTorch's does, therefore gives a rank's batches in the same order with any
number of workers, and "n batches seen by this rank" is a place to resume from.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jobs.training.files import Batch, BatchFiles, chosen_columns
from jobs.training.index import read_index
from jobs.training.order import UNEVEN, Order, Uneven, order_of, share_of_rank

State = dict[str, Any]
Place = tuple[
    int, int, int
]  # epoch, the batches of the rank before, those read by one reader since

MOST_WORKERS = 1024
# what the processes that read share: the epoch, where the next pass starts, whether workers have
# read; and then of the main process and of each worker, whether it has taken that start
_EPOCH, _START, _HAS_WORKERS, _TAKEN = range(4)
N_MARKS = _TAKEN + 1 + MOST_WORKERS


@dataclass(frozen=True)
class Reader:
    """The reader: a process by itself, or one of several workers of a rank."""

    worker: int = 0
    n_workers: int = 1
    is_main: bool = True


class Batches:
    """The batches of one rank.

    Parameters
    ----------
    folder : path or URI of a folder that ``evenlake export`` wrote
    columns : columns to read besides batch_id; all by default
    rank, world : this process's number, and the number of processes that train together
    shuffle : another order of batches in every epoch; batches stay as they are
    seed : seed of the shuffle; the same in every rank
    uneven : if ranks cannot have equally many batches; see ``jobs.training.order.share_of_rank``

    Raises
    ------
    ValueError
        If the folder holds no finished export, or the ranks cannot share it as asked.
    """

    def __init__(
        self,
        folder: str,
        *,
        columns: Sequence[str] | None = None,
        rank: int = 0,
        world: int = 1,
        shuffle: bool = False,
        seed: int = 0,
        uneven: Uneven = "refuse",
    ) -> None:
        if not 0 <= rank < world:
            raise ValueError(f"rank={rank}, world={world}; want a rank from 0 to world - 1")
        if uneven not in UNEVEN:
            raise ValueError(f"uneven={uneven!r}; want one of {', '.join(UNEVEN)}")
        self.folder, self.index = folder, read_index(folder)
        self.columns = chosen_columns(self.index, columns)
        self.rank, self.world, self.uneven = rank, world, uneven
        self.shuffle, self.seed = shuffle, seed
        self._n_mine = len(self.order(epoch=0))
        self._marks: Any = np.zeros(N_MARKS, np.int64)
        self._place: Place | None = None  # place in this process's last pass
        self._resumed: Place | None = None  # place loaded from a worker's own state

    def __len__(self) -> int:
        """Return the batches of this rank in an epoch."""
        return self._n_mine

    @property
    def epoch(self) -> int:
        """The epoch of the next pass."""
        return int(self._marks[_EPOCH])

    @property
    def start(self) -> int:
        """The batches of this rank that the next pass passes over: those seen before."""
        is_taken = bool(self._marks[_TAKEN:].any())
        return 0 if is_taken else int(self._marks[_START])

    def order(self, *, epoch: int) -> Order:
        """Return this rank's batches in an epoch."""
        n = self.index.n_batches
        whole = order_of(n, seed=self.seed, epoch=epoch) if self.shuffle else np.arange(n)
        return share_of_rank(whole, rank=self.rank, world=self.world, uneven=self.uneven)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next pass; another than the last begins at its first batch."""
        if epoch != self.epoch:
            self._marks[_EPOCH], self._marks[_START] = epoch, 0
            self._place = None

    def reader(self) -> Reader:
        """Return the reader that this process is."""
        return Reader()

    def __iter__(self) -> Iterator[Batch]:
        """Pass over one epoch's batches, or what is left of it after ``load_state_dict``."""
        reader = self.reader()
        place = self._resumed or (self.epoch, self._take_start(reader), 0)
        self._place, self._resumed = place, None
        self._marks[_HAS_WORKERS] = int(not reader.is_main)
        epoch, start, n_read = place
        mine = self.order(epoch=epoch)[start:][reader.worker :: reader.n_workers][n_read:]
        return self._read(mine, place, use_threads=reader.is_main)

    def _read(self, mine: Order, place: Place, *, use_threads: bool) -> Iterator[Batch]:
        files = BatchFiles(self.folder, self.index, self.columns, use_threads=use_threads)
        epoch, start, n_read = place
        for batch in mine:
            read = files.read(int(batch))
            n_read += 1
            self._place = (epoch, start, n_read)
            yield read

    def _take_start(self, reader: Reader) -> int:
        """Return where a reader's pass starts; its next one, or another loader's, starts at 0."""
        slot, mark = (0, -1) if reader.is_main else (1 + reader.worker, reader.n_workers)
        taken = self._marks[_TAKEN:]
        is_taken = bool(taken[slot] != 0 or ((taken != 0) & (taken != mark)).any())
        if not is_taken:
            taken[slot] = mark
        return 0 if is_taken else int(self._marks[_START])

    # --- the state --------------------------------------------------------------------------------

    def state_dict(self) -> State:
        """Return the place after the last batch that this process, or this worker, has given.

        Raises
        ------
        ValueError
            In the main process, if workers read: it does not know how far they are.
        """
        reader = self.reader()
        if reader.is_main and self._marks[_HAS_WORKERS]:
            raise ValueError(
                "workers read the batches, so the dataset in this process does not know how many "
                "were given; take the state of a BatchLoader, or of torchdata's StatefulDataLoader"
            )
        place = self._resumed or self._place or (self.epoch, self.start, 0)
        epoch, start, n_read = place
        if reader.n_workers == 1:
            return self.state_at(epoch, start + n_read)
        more = {"n_read": n_read, "worker": reader.worker, "n_workers": reader.n_workers}
        return self.state_at(epoch, start) | more

    def state_at(self, epoch: int, n_seen: int) -> State:
        """Return the state of a rank that has seen ``n_seen`` of its batches in an epoch."""
        return {"epoch": epoch, "n_seen": n_seen} | self._what()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume, in the next pass, at the batch after those that a state has seen.

        Raises
        ------
        ValueError
            If it is the state of other batches, or of another order or sharing of them.
        """
        wanted = self._what()
        wrong = {k: (state.get(k), v) for k, v in wanted.items() if state.get(k) != v}
        if wrong:
            told = "; ".join(f"{key}={got!r}, not {want!r}" for key, (got, want) in wrong.items())
            raise ValueError(
                f"the state is of other batches, or of another order of them: {told}; open the "
                "dataset as it was, or start the epoch anew"
            )
        reader, of = self.reader(), (state.get("worker", 0), state.get("n_workers", 1))
        if of != (reader.worker, reader.n_workers) and of != (0, 1):
            raise ValueError(
                f"the state is that of worker {of[0]} of {of[1]}, this is worker {reader.worker} "
                f"of {reader.n_workers}; want as many workers as before, or a BatchLoader, whose "
                "state goes with any number"
            )
        epoch, start, n_read = state["epoch"], state["n_seen"], state.get("n_read", 0)
        if not reader.is_main:
            self._resumed = (epoch, start, n_read)
            return
        self._marks[:] = 0
        self._marks[_EPOCH], self._marks[_START] = epoch, start
        self._place = None

    def _what(self) -> State:
        """Return what a state has to agree on."""
        return {
            "n_batches": self.index.n_batches,
            "n_rows": self.index.n_rows,
            "stage_keys": list(self.index.source.get("stage_keys", [])),
            "world": self.world,
            "uneven": self.uneven,
            "shuffle": self.shuffle,
            "seed": self.seed,
        }

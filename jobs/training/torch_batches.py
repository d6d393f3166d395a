"""PyTorch: an IterableDataset over exported batches, and a loader that knows its place.

Each item is a whole batch, so PyTorch does no batching of its own::

    batches = TorchBatches("/lake/export", shuffle=True)
    loader = BatchLoader(batches, num_workers=4)
    for epoch in range(n_epochs):
        loader.set_epoch(epoch)
        for batch in loader:  # {"batch_id": 7, "id": [...], "embedding": tensor (n, d), ...}
            ...
            torch.save(loader.state_dict(), path)  # load_state_dict goes on after this batch
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset, default_convert, get_worker_info
from torch.utils.data._utils.collate import default_collate_fn_map

from jobs.training.batches import N_MARKS, Batches, Reader, State
from jobs.training.files import Batch


class TorchBatches(Batches, IterableDataset):  # type: ignore[misc]  # torch has no types here
    """The batches of one rank as a dataset; for ``DataLoader(..., batch_size=None)``.

    Within a ``DataLoader``, numeric columns become tensors. ``set_epoch`` reaches persistent
    workers too. With torchdata's ``StatefulDataLoader`` every worker keeps its own state; with
    PyTorch's ``DataLoader`` and workers, ``BatchLoader`` keeps it.

    Parameters
    ----------
    rank, world : by default those of torch.distributed, or torchrun's RANK and WORLD_SIZE
    options : see ``Batches``
    """

    def __init__(
        self, folder: str, *, rank: int | None = None, world: int | None = None, **options: Any
    ) -> None:
        if (rank is None) != (world is None):
            raise ValueError(f"rank={rank}, world={world}; want both or neither")
        if rank is None or world is None:
            rank, world = _place_among_ranks()
        Batches.__init__(self, folder, rank=rank, world=world, **options)
        self._marks = torch.zeros(N_MARKS, dtype=torch.int64).share_memory_()

    def __iter__(self) -> Iterator[Batch]:
        """Pass over one epoch's batches, or what is left of it after ``load_state_dict``."""
        return map(WholeBatch, super().__iter__())

    def reader(self) -> Reader:
        """Return which of a loader's workers this process is, if it is one."""
        info = get_worker_info()
        return Reader() if info is None else Reader(info.id, info.num_workers, is_main=False)


class WholeBatch(dict[str, Any]):
    """A batch as it is trained on: PyTorch is not to make one of several."""


def _uncollated(items: Sequence[WholeBatch], **_: Any) -> Batch:
    """Return the one item of what a ``DataLoader`` takes for a batch; by default it takes one.

    Raises
    ------
    ValueError
        If there are several.
    """
    if len(items) > 1:
        raise ValueError(
            f"DataLoader(batch_size={len(items)}) over whole batches, which are trained on as they "
            "are; want batch_size=None, or a BatchLoader; evenlake export --batch-size sets the "
            "rows of a batch"
        )
    batch: Batch = default_convert(items[0])
    return batch


default_collate_fn_map[WholeBatch] = _uncollated  # also runs in workers, which import this module


class BatchLoader:
    """A ``DataLoader`` that counts the batches it has given, so that it can resume at any of them.

    Its state is (epoch, batches seen by this rank), counted where they are used, so that what
    workers have read ahead does not count; it goes with any number of workers.

    Parameters
    ----------
    options : options of ``DataLoader``, such as num_workers
    """

    def __init__(self, batches: TorchBatches, **options: Any) -> None:
        refused = {"batch_size", "shuffle", "sampler", "batch_sampler", "drop_last"} & set(options)
        if refused or not options.get("in_order", True):
            raise ValueError(
                f"{sorted(refused) or 'in_order=False'}: the dataset gives whole batches in an "
                "order of its own; set shuffle and uneven there"
            )
        self.batches = batches
        self.loader = DataLoader(batches, batch_size=None, **options)
        self._seen = (batches.epoch, batches.start)

    def __len__(self) -> int:
        """Return the batches of this rank in an epoch."""
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        """Pass over an epoch, or what is left of it."""
        epoch, n_seen = self._seen = (self.batches.epoch, self.batches.start)
        for batch in self.loader:
            n_seen += 1
            self._seen = (epoch, n_seen)
            yield batch

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next pass."""
        self.batches.set_epoch(epoch)
        if epoch != self._seen[0]:
            self._seen = (epoch, 0)

    def state_dict(self) -> State:
        """Return the place after the last batch given."""
        return self.batches.state_at(*self._seen)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume, in the next pass, after the batches that a state has seen.

        Raises
        ------
        ValueError
            If it is the state of other batches.
        """
        self.batches.load_state_dict(state)
        self._seen = (self.batches.epoch, self.batches.start)


def _place_among_ranks() -> tuple[int, int]:
    """Return rank and world size."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))

"""Exported batches in PyTorch: ranks and workers see each id once, a state resumes at its batch."""

import multiprocessing
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tests.training.exported import N_FEATURES, write_export

torch = pytest.importorskip("torch", reason="make test-models installs it")

from torch import distributed  # noqa: E402  after the check for torch
from torch.utils.data import DataLoader  # noqa: E402  after the check for torch

from jobs.training.torch_batches import BatchLoader, TorchBatches  # noqa: E402  after the check for torch

pytestmark = pytest.mark.models

N_BATCHES, SIZE = 40, 3


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        for ours in ("The given NumPy array", "Length of IterableDataset"):
            warnings.filterwarnings("error", message=ours)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    made = tmp_path_factory.mktemp("torch") / "export"
    return str(write_export(made, [SIZE] * N_BATCHES, per_file=7))


def numbers(loader: Iterable[Any]) -> list[int]:
    return [int(batch["batch_id"]) for batch in loader]


def in_rank(rank: int, folder: str, place: str, results: Any) -> None:
    """Read as one of two ranks of torch.distributed, with two workers."""
    distributed.init_process_group("gloo", init_method=f"file://{place}", rank=rank, world_size=2)
    ids = []
    loader = BatchLoader(TorchBatches(folder, shuffle=True), num_workers=2)
    for epoch in range(2):
        loader.set_epoch(epoch)
        ids.append([id_ for batch in loader for id_ in batch["id"]])
        distributed.barrier()
    results.put(ids)
    distributed.destroy_process_group()


def test_two_ranks_of_two_workers_see_each_id_once(folder: str, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    ranks = [
        context.Process(target=in_rank, args=(r, folder, str(tmp_path / "meet"), results))
        for r in range(2)
    ]
    for rank in ranks:
        rank.start()
    seen = [results.get(timeout=300) for _ in ranks]
    for rank in ranks:
        rank.join()
        assert rank.exitcode == 0
    for epoch in range(2):
        both = Counter(seen[0][epoch] + seen[1][epoch])
        assert both == Counter(map(str, range(N_BATCHES * SIZE)))
    assert seen[0][0] != seen[0][1]


def test_a_batch_is_tensors_where_it_holds_numbers(folder: str) -> None:
    batch = next(iter(BatchLoader(TorchBatches(folder), num_workers=1)))
    assert batch["batch_id"] == 0
    assert batch["id"] == ["0", "1", "2"]
    assert batch["label"] == [None, "l1", "l2"]
    assert batch["vector"].tolist() == [[float(i)] * N_FEATURES for i in range(SIZE)]
    assert batch["vector"].dtype == torch.float32


@pytest.mark.parametrize(("before", "after"), [(0, 0), (2, 2), (2, 0), (0, 3), (3, 2)])
def test_a_loader_goes_on_at_the_same_batch_with_any_number_of_workers(
    folder: str, before: int, after: int
) -> None:
    def opened(n_workers: int) -> BatchLoader:
        batches = TorchBatches(folder, shuffle=True, seed=5, rank=1, world=2)
        return BatchLoader(batches, num_workers=n_workers)

    whole = opened(before)
    whole.set_epoch(2)
    all_of_it = numbers(whole)
    assert len(all_of_it) == len(whole) == N_BATCHES // 2
    assert whole.state_dict()["n_seen"] == N_BATCHES // 2
    for n in (0, 1, 7, 20):
        first, second = opened(before), opened(after)
        first.set_epoch(2)
        seen = numbers(islice(first, n))
        second.load_state_dict(first.state_dict())
        second.set_epoch(2)
        assert seen + numbers(second) == all_of_it
        assert numbers(second) == all_of_it
        second.set_epoch(3)
        assert numbers(second) != all_of_it


def test_persistent_workers_hear_of_the_epoch(folder: str) -> None:
    batches = TorchBatches(folder, shuffle=True)
    loader = BatchLoader(batches, num_workers=2, persistent_workers=True)
    for epoch in (0, 1):
        loader.set_epoch(epoch)
        assert numbers(loader) == batches.order(epoch=epoch).tolist()


def test_a_plain_loader_goes_on_too_but_does_not_tell_its_place(folder: str) -> None:
    batches = TorchBatches(folder)
    batches.load_state_dict(batches.state_at(0, 31))
    loader = DataLoader(batches, batch_size=None, num_workers=2)
    assert numbers(loader) == list(range(31, 40))
    assert numbers(loader) == list(range(40))
    with pytest.raises(ValueError, match="take the state of a BatchLoader"):
        batches.state_dict()


@pytest.mark.parametrize("n_workers", [0, 2])
def test_a_stateful_loader_of_torchdata_goes_on_at_the_same_batch(
    folder: str, n_workers: int
) -> None:
    stateful = pytest.importorskip("torchdata.stateful_dataloader").StatefulDataLoader

    def opened() -> Any:
        batches = TorchBatches(folder, shuffle=True)
        batches.set_epoch(1)
        return stateful(batches, batch_size=None, num_workers=n_workers)

    all_of_it = numbers(opened())
    for n in (1, 2, 7, 39):
        first, second = opened(), opened()
        seen = numbers(islice(first, n))
        second.load_state_dict(first.state_dict())
        assert seen + numbers(second) == all_of_it
        assert numbers(second) == all_of_it


def test_ranks_are_those_of_torchrun(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")
    batches = TorchBatches(folder)
    assert (batches.rank, batches.world, len(batches)) == (1, 4, 10)


def test_what_a_loader_cannot_do_is_refused(folder: str) -> None:
    with pytest.raises(ValueError, match=r"\['shuffle'\]: the dataset gives whole batches"):
        BatchLoader(TorchBatches(folder), shuffle=True)
    with pytest.raises(ValueError, match="rank=1, world=None; want both or neither"):
        TorchBatches(folder, rank=1)


@pytest.mark.parametrize("n_workers", [0, 2])
def test_a_loader_that_was_told_no_batch_size_gives_whole_batches_too(
    folder: str, n_workers: int
) -> None:
    how = {"num_workers": n_workers, "multiprocessing_context": "spawn" if n_workers else None}
    by_default = DataLoader(TorchBatches(folder), **how)
    assert len(by_default) == N_BATCHES
    as_documented = DataLoader(TorchBatches(folder), batch_size=None)
    for mine, theirs in zip(by_default, as_documented, strict=True):
        assert mine.keys() == theirs.keys()
        assert torch.equal(mine["vector"], theirs["vector"])
        assert (mine["id"], mine["label"]) == (theirs["id"], theirs["label"])


@pytest.mark.parametrize("n_workers", [0, 1])
def test_several_batches_are_not_made_one(folder: str, n_workers: int) -> None:
    loader = DataLoader(TorchBatches(folder), batch_size=2, num_workers=n_workers)
    with pytest.raises(
        ValueError, match=r"batch_size=2\) over whole batches.* want batch_size=None"
    ):
        next(iter(loader))

"""Exported batches: by hand, each seen once over ranks and workers, resumed at every batch."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.training.batches import Batches, Reader
from jobs.training.files import BatchFiles, as_array
from jobs.training.index import INDEX, UNFINISHED, read_index
from jobs.training.order import Uneven, order_of, share_of_rank
from tests.training.exported import N_FEATURES, write_export

SIZES = (2, 2, 2, 2, 2, 2, 2, 2, 2, 1)  # the last is incomplete


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_export(tmp_path_factory.mktemp("batches") / "export", SIZES))


def numbers(batches: Batches) -> list[int]:
    return [batch["batch_id"] for batch in batches]


def forked(batches: Batches, worker: int, n_workers: int) -> Batches:
    """Return the dataset as a worker has it: its marks are shared, its place is its own."""
    mine = copy(batches)
    mine.reader = lambda: Reader(worker, n_workers, is_main=False)  # type: ignore[method-assign]  # as torch has it
    return mine


@pytest.mark.parametrize("name", ["a b", "a%20b", "a#b", "a?b", "a+b=c"])
def test_a_folder_is_the_one_that_is_written_in_a_uri_too(name: str, tmp_path: Path) -> None:
    folder = write_export(tmp_path / name, [2, 1])
    for place in (f"{folder}", f"file:{folder}", f"file://{folder}", f"file://{folder}/"):
        assert [batch["id"] for batch in Batches(place)] == [["0", "1"], ["2"]]


# --- reading --------------------------------------------------------------------------------------


def test_a_batch_is_its_columns_as_arrays(folder: str) -> None:
    *_, before, last = Batches(folder)
    assert (before["batch_id"], last["batch_id"]) == (8, 9)
    assert before["id"] == ["16", "17"]
    assert before["label"] == ["l16", "l17"]
    np.testing.assert_array_equal(before["vector"], np.repeat([[16.0], [17.0]], N_FEATURES, 1))
    assert before["vector"].dtype == np.float32
    assert before["vector"].flags.writeable
    assert (last["id"], last["label"]) == (["18"], [None])
    assert [*Batches(folder, columns=["label"])][8] == {
        "batch_id": 8,
        "label": ["l16", "l17"],
    }


@pytest.mark.parametrize("row_group_size", [1, 3, 4, 100])
def test_row_groups_need_not_be_batches(tmp_path: Path, folder: str, row_group_size: int) -> None:
    sizes = (2, 3, 1, 4, 2, 2)
    one_each = write_export(tmp_path / "a", sizes)
    other = write_export(tmp_path / "b", sizes, row_group_size=row_group_size)
    files = {path: BatchFiles(str(path), read_index(str(path))) for path in (one_each, other)}
    for batch in (0, 1, 5, 4, 3, 3, 2, 0):
        got, want = files[other].read(batch), files[one_each].read(batch)
        assert {k: np.asarray(v).tolist() for k, v in got.items()} == {
            k: np.asarray(v).tolist() for k, v in want.items()
        }


@pytest.mark.parametrize(
    ("values", "kind", "want"),
    [
        ([1, 2], pa.int64(), np.array([1, 2])),
        ([True, False], pa.bool_(), np.array([True, False])),
        ([1, None], pa.int64(), [1, None]),
        ([[1, 2], [3, 4]], pa.list_(pa.int64()), np.array([[1, 2], [3, 4]])),
        ([[1, 2], [3]], pa.list_(pa.int64()), [[1, 2], [3]]),
        ([[1, 2], None], pa.list_(pa.int64()), [[1, 2], None]),
        ([[1, None]], pa.list_(pa.int64()), [[1, None]]),
        ([b"x"], pa.binary(), [b"x"]),
        ([[]], pa.list_(pa.int64()), np.zeros((1, 0), int)),
    ],
)
def test_only_what_an_array_holds_without_loss_becomes_one(
    values: list[Any], kind: pa.DataType, want: Any
) -> None:
    got = as_array(pa.chunked_array([pa.array([*values, *values], kind).slice(len(values))]))
    assert type(got) is type(want)
    np.testing.assert_array_equal(got, want) if isinstance(want, np.ndarray) else None
    assert np.asarray(got, object).tolist() == np.asarray(want, object).tolist()


# --- who reads what -------------------------------------------------------------------------------


@given(
    n_batches=st.integers(0, 40),
    world=st.integers(1, 5),
    n_workers=st.integers(1, 4),
    epoch=st.integers(0, 3),
)
def test_every_batch_is_seen_once_over_ranks_and_workers(
    n_batches: int, world: int, n_workers: int, epoch: int
) -> None:
    order = order_of(n_batches, seed=7, epoch=epoch)
    assert sorted(order) == list(range(n_batches))
    ways: tuple[Uneven, ...] = ("keep", "drop", "repeat")
    for uneven in ways:
        shares = [share_of_rank(order, rank=r, world=world, uneven=uneven) for r in range(world)]
        seen = Counter(int(b) for s in shares for w in range(n_workers) for b in s[w::n_workers])
        lengths = {len(share) for share in shares}
        n_over = n_batches % world
        if uneven == "keep":
            assert seen == Counter(range(n_batches))
            assert max(lengths) - min(lengths) <= 1
            continue
        assert len(lengths) == 1
        if uneven == "drop":
            assert seen == Counter(order[: n_batches - n_over].tolist())
        else:
            assert set(seen) == set(range(n_batches))
            assert sum(seen.values()) == n_batches + (world - n_over if n_over else 0)


def test_ranks_that_cannot_have_equally_many_must_say_what_is_wanted(folder: str) -> None:
    with pytest.raises(ValueError, match="10 batches cannot be shared evenly by 3 ranks.*'keep'"):
        Batches(folder, rank=0, world=3)
    assert len(Batches(folder, rank=0, world=5)) == 2
    kept = [Batches(folder, rank=r, world=3, uneven="keep") for r in range(3)]
    assert [len(each) for each in kept] == [4, 3, 3]


def test_an_epochs_order_is_random_and_the_same_everywhere() -> None:
    def mixed(x: int) -> int:
        """Mix as splitmix64, in Python's integers."""
        x = (x + 0x9E3779B97F4A7C15) % 2**64
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
        return x ^ (x >> 31)

    assert mixed(0) == 0xE220A8397B1DCDAF  # as published
    want = sorted(range(50), key=lambda i: mixed(mixed(mixed(2**62) + 3) + i))
    assert order_of(50, seed=2**62, epoch=3).tolist() == want
    firsts = Counter(int(order_of(5, seed=1, epoch=e)[0]) for e in range(2000))
    assert all(abs(n - 400) < 4 * (2000 * 0.2 * 0.8) ** 0.5 for n in firsts.values())
    orders = {tuple(order_of(20, seed=s, epoch=e)) for s in range(10) for e in range(10)}
    assert len(orders) == 100


def test_the_files_order_is_kept_without_shuffle_and_another_in_each_epoch_with_it(
    folder: str,
) -> None:
    assert numbers(Batches(folder)) == list(range(10))
    shuffled = Batches(folder, shuffle=True, seed=3)
    passes = []
    for epoch in (0, 1, 0):
        shuffled.set_epoch(epoch)
        passes.append(numbers(shuffled))
    assert passes[0] == passes[2] != passes[1]
    assert sorted(passes[0]) == sorted(passes[1]) == list(range(10))


# --- going on -------------------------------------------------------------------------------------


def test_a_pass_goes_on_at_any_batch(folder: str) -> None:
    whole = Batches(folder, shuffle=True, rank=1, world=2)
    whole.set_epoch(4)
    all_of_it = numbers(whole)
    assert len(all_of_it) == 5
    for n in range(6):
        first = Batches(folder, shuffle=True, rank=1, world=2)
        first.set_epoch(4)
        reading = iter(first)
        seen = [next(reading)["batch_id"] for _ in range(n)]
        state = json.loads(json.dumps(first.state_dict()))
        assert (state["epoch"], state["n_seen"]) == (4, n)
        second = Batches(folder, shuffle=True, rank=1, world=2)
        second.load_state_dict(state)
        assert second.state_dict() == state
        assert seen + numbers(second) == all_of_it
        assert second.state_dict()["n_seen"] == 5
        assert numbers(second) == all_of_it  # the next pass is a whole one again
        second.set_epoch(5)
        assert (second.state_dict()["epoch"], second.state_dict()["n_seen"]) == (5, 0)


@pytest.mark.parametrize("n_workers", [1, 2, 3])
def test_workers_share_what_is_left_and_their_own_states_go_on(folder: str, n_workers: int) -> None:
    def each(of: Callable[[int], list[int]]) -> list[int]:
        """Take one from each worker in turn, as loaders do."""
        lists = [of(w) for w in range(n_workers)]
        return [many[i] for i in range(10) for many in lists if i < len(many)]

    start = Batches(folder).state_at(0, 3)
    batches = Batches(folder)
    batches.load_state_dict(start)
    left, whole = list(range(3, 10)), list(range(10))
    assert each(lambda w: numbers(forked(batches, w, n_workers))) == left
    assert each(lambda w: numbers(forked(batches, w, n_workers))) == whole
    # a loader with one worker more: none of them goes on from there either
    assert numbers(forked(batches, n_workers, n_workers + 1)) == whole[n_workers :: n_workers + 1]

    for worker in range(n_workers):
        mine, again = (forked(Batches(folder), worker, n_workers) for _ in range(2))
        mine.load_state_dict(start)
        reading = iter(mine)
        seen = [next(reading)["batch_id"]]
        again.load_state_dict(mine.state_dict())
        assert seen + numbers(again) == left[worker::n_workers]
    if n_workers > 1:
        with pytest.raises(ValueError, match=f"of {n_workers}, this is worker 0 of 9; want as man"):
            forked(batches, 0, 9).load_state_dict(mine.state_dict())


def test_the_main_process_does_not_pretend_to_know_where_workers_are(folder: str) -> None:
    batches = Batches(folder)
    next(iter(forked(batches, 0, 2)))
    with pytest.raises(ValueError, match="take the state of a BatchLoader"):
        batches.state_dict()


def test_a_state_of_other_batches_is_refused(folder: str, tmp_path: Path) -> None:
    state = Batches(folder).state_dict()
    with pytest.raises(ValueError, match="shuffle=False, not True; open the dataset as it was"):
        Batches(folder, shuffle=True).load_state_dict(state)
    with pytest.raises(ValueError, match="world=1, not 2"):
        Batches(folder, world=2).load_state_dict(state)
    other = write_export(tmp_path / "other", SIZES, stage_keys=["j"])
    with pytest.raises(ValueError, match=r"stage_keys=\['k'\], not \['j'\]"):
        Batches(str(other)).load_state_dict(state)


# --- what is refused ------------------------------------------------------------------------------


def test_what_is_no_finished_export_is_refused(tmp_path: Path) -> None:
    def said(because: str) -> None:
        with pytest.raises(ValueError, match=because):
            Batches(str(tmp_path))

    with pytest.raises(ValueError, match="nothing is there; want a folder that evenlake export"):
        Batches(str(tmp_path / "nowhere"))
    (tmp_path / "part-00000.parquet").touch()
    said(r"no _index.json; want a folder that evenlake export wrote, got \['part-00000.parquet'\]")
    (tmp_path / UNFINISHED).mkdir()
    said("not finished .* run evenlake export again")
    index = tmp_path / INDEX
    index.write_text("[]")
    said("is no index of exported batches")
    index.write_text('{"format": 2}')
    said("of format 2, this version reads 1")


def test_files_that_were_changed_are_refused(tmp_path: Path) -> None:
    folder = write_export(tmp_path / "export", SIZES)
    index = json.loads((folder / INDEX).read_text())
    (folder / INDEX).write_text(json.dumps(index | {"n_batches": 11}))
    with pytest.raises(ValueError, match="10 batches in the files, n_batches=11"):
        Batches(str(folder))
    (folder / INDEX).write_text(json.dumps(index))
    (folder / "part-00001.parquet").write_bytes((folder / "part-00002.parquet").read_bytes())
    with pytest.raises(ValueError, match="part-00001.parquet has 3 rows, the index says 8"):
        numbers(Batches(str(folder)))
    (folder / "part-00001.parquet").write_bytes((folder / "part-00000.parquet").read_bytes())
    with pytest.raises(ValueError, match="does not hold batches 4 to 7 in order"):
        numbers(Batches(str(folder)))
    (folder / "part-00001.parquet").unlink()
    with pytest.raises(ValueError, match="part-00001.parquet cannot be read"):
        numbers(Batches(str(folder)))


def test_what_cannot_be_meant_is_refused(folder: str) -> None:
    with pytest.raises(ValueError, match=r"\['x'\] not among the export's .*--columns x"):
        Batches(folder, columns=["x"])
    with pytest.raises(ValueError, match="rank=2, world=2; want a rank from 0 to world - 1"):
        Batches(folder, rank=2, world=2)
    with pytest.raises(ValueError, match="uneven='pad'; want one of refuse, drop, repeat, keep"):
        Batches(folder, uneven="pad")  # type: ignore[arg-type]  # what is refused


def test_trainers_need_neither_spark_nor_torch(folder: str) -> None:
    program = (
        "import sys; from jobs.training.batches import Batches; n = len([*Batches(sys.argv[1])]); "
        "print(n, *{'pyspark', 'torch', 'pydantic'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", program, folder], capture_output=True, text=True)
    assert (said.stdout, said.stderr) == ("10\n", "")

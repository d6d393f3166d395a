"""How many groups of copies each split gets, and how large files are; without Spark."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.exporting.bands import parts_of
from jobs.exporting.splitting import groups_of_splits
from jobs.training.index import as_uri, located
from udfs.kernels.sampling.remainders import apportioned

SHARES = [Fraction(98, 100), Fraction(2, 100)]
shares = st.lists(st.integers(1, 50), min_size=1, max_size=5).map(
    lambda parts: [Fraction(part, sum(parts)) for part in parts]
)


def rows_of(given: dict[int, list[int]], split: int) -> int:
    return sum(size * counts[split] for size, counts in given.items())


def test_largest_remainders_by_hand() -> None:
    assert apportioned(10, [1, 1, 1]) == [4, 3, 3]  # ties go to the first
    assert apportioned(7, [Fraction(1, 2), Fraction(3, 10), Fraction(1, 5)]) == [4, 2, 1]
    assert apportioned(50, SHARES) == [49, 1]


def test_single_rows_fill_up_what_groups_leave() -> None:
    # of 100 rows 98 and 2 are owed; the group of 50, and then each of 3, is the larger split's
    assert groups_of_splits({50: 1, 3: 2, 1: 44}, SHARES) == {50: [1, 0], 3: [2, 0], 1: [42, 2]}


def test_groups_of_one_size_are_shared_by_largest_remainder() -> None:
    assert groups_of_splits({2: 50}, SHARES) == {2: [49, 1]}


@given(st.dictionaries(st.integers(1, 9), st.integers(1, 40), min_size=1), shares)
def test_every_group_has_one_split(n_groups: dict[int, int], shares: list[Fraction]) -> None:
    given = groups_of_splits(n_groups, shares)
    assert {size: sum(counts) for size, counts in given.items()} == n_groups
    assert min(min(counts) for counts in given.values()) >= 0


@given(st.dictionaries(st.integers(2, 9), st.integers(1, 40)), shares)
def test_sizes_are_exact_if_single_rows_are_many(
    n_groups: dict[int, int], shares: list[Fraction]
) -> None:
    n_single = 9 * 50 * sum(size * n for size, n in n_groups.items()) + 500
    given = groups_of_splits(n_groups | {1: n_single}, shares)
    n = sum(size * sum(counts) for size, counts in given.items())
    assert [rows_of(given, i) for i in range(len(shares))] == apportioned(n, shares)


@given(st.integers(1, 500), st.integers(1, 90), st.integers(1, 2000))
def test_files_of_a_part_have_as_many_rows_and_are_bounded(
    n_rows: int, row_bytes: int, file_bytes: int
) -> None:
    (part,) = parts_of([None], [n_rows], row_bytes=row_bytes, file_bytes=file_bytes)
    sizes = part.rows_of_files
    assert sum(sizes) == n_rows and len(sizes) == part.n_files
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) * row_bytes <= max(file_bytes, row_bytes)
    slots = [place * part.n_files // n_rows for place in range(n_rows)]  # as ``banded`` has it
    assert [slots.count(i) for i in range(part.n_files)] == sizes


def test_files_are_numbered_over_all_splits() -> None:
    train, val = parts_of(["train", "val"], [10, 3], row_bytes=100, file_bytes=400)
    assert (train.n_files, train.first, val.n_files, val.first) == (3, 0, 1, 3)
    assert val.path(0, ".tar") == "val/part-00000.tar"


def test_a_store_needs_two_slashes() -> None:
    with pytest.raises(ValueError, match="has one slash; want a path, or a URI such as s3://"):
        located("dbfs:/lake/out")
    assert located("file:/tmp/out")[1] == "/tmp/out"


@pytest.mark.parametrize(
    ("place", "uri"),
    [
        ("/a%20b/c d", "/a%20b/c d"),
        ("file:/a%20b/#1?", "file:/a%2520b/%231%3F"),
        ("s3a://bucket/a%20b/c d", "s3://bucket/a%2520b/c%20d"),
        ("s3n://bucket", "s3://bucket"),
        ("s3://bucket/a#b?region=eu-west-1", "s3://bucket/a%23b?region=eu-west-1"),
        ("s3://bucket?endpoint_override=http://here", "s3://bucket?endpoint_override=http://here"),
        (
            "abfss://box@account.dfs.core.windows.net/a",
            "abfss://box@account.dfs.core.windows.net/a",
        ),
    ],
)
def test_a_path_of_hadoops_is_encoded_for_all_others(place: str, uri: str) -> None:
    assert as_uri(place) == uri


def test_parent_steps_in_a_store_are_taken_away_as_text() -> None:
    assert located("mock:///lake/x/../out/..b")[1] == "lake/out/..b"
    assert located("mock:///lake/a..b/out")[1] == "lake/a..b/out"

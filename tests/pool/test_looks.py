"""What is odd about a pool's files is reported before a run, without reading them."""

from typing import Any

import pytest

from jobs.config.model import InputConfig
from jobs.pool.inputs import Pool
from jobs.pool.looks import large_files
from jobs.reading.files import Files
from jobs.reading.local_listing import File

GIB = 1 << 30
LINES = {"multiLine": "False"}
ROWS: Any = None  # nobody looks at them


def said(sizes: dict[str, float], way: str = "", **options: str) -> list[str]:
    found = [File(f"file:/pool/{name}", 0, round(size * GIB)) for name, size in sizes.items()]
    pool = Pool(ROWS, "/pool", "v", Files("/pool", found, {}, ()), ways=(way,))
    return [*large_files(pool, InputConfig(table="/pool", options=options))]


BY_LINES = "split it, or if no field holds a line break, set input.options.multiLine: 'false'"
SPLIT = "is read by one task: split it"
TOLD = {  # -> sizes in GiB, ways of reading, options
    f"a.csv of 3.2 GiB is read by one task: {BY_LINES}": (
        {"a.csv": 3.24, "b.csv": 1},
        "rfc4180",
        {},
    ),
    "deep/b.csv of 4.0 GiB is read by one task, as are 2 more files of over 1 GiB: " + BY_LINES: (
        {"a.csv": 3, "deep/b.csv": 4, "c.csv": 1.5},
        "rfc4180",
        {},
    ),
    f"a.csv.gz of 2.0 GiB {SPLIT}": ({"a.csv.gz": 2}, "rfc4180", LINES),
    "a.json of 2.0 GiB is read by one task: write a record a line (jq -c '.[]' FILE)": (
        {"a.json": 2},
        "document",
        {},
    ),
    f"a.jsonl.zst of 2.0 GiB {SPLIT}": ({"a.jsonl.zst": 2, "b.jsonl": 3}, "", {}),
    f"a.tar of 2.0 GiB {SPLIT}": ({"a.tar": 2}, "", {}),
}


@pytest.mark.parametrize("told", TOLD)
def test_a_large_file_that_one_task_reads_is_told(told: str) -> None:
    sizes, way, options = TOLD[told]
    assert said(sizes, way, **options) == [told]


@pytest.mark.parametrize("name", ["a.parquet", "a.npy", "a.jsonl", "a.json", "a.jsonl.bz2"])
def test_large_files_that_are_read_in_parts_are_not_told(name: str) -> None:
    assert said({name: 9}) == []
    assert said({"a.csv": 9}, "rfc4180", **LINES) == []
    assert said({"a.csv": 1, "b.tar": 0.5}, "rfc4180") == []

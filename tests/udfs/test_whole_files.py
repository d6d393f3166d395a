"""Files read whole: their bytes in order, in batches that a worker can hold."""

from pathlib import Path

import pandas as pd
import pytest

from udfs.readers import whole_files
from udfs.readers.whole_files import read_contents


def test_contents_come_in_the_order_of_paths_and_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_files, "BATCH_BYTES", 10)
    contents = [b"12345", b"1234567", b"", b"123456789012", b"1"]
    paths = []
    for i, content in enumerate(contents):
        (tmp_path / f"{i}").write_bytes(content)
        paths.append(f"file:{tmp_path}/{i}")
    batches = [pd.Series(paths[:4]), pd.Series([], dtype=object), pd.Series(paths[4:])]
    parts = [[*part] for part in read_contents(iter(batches))]
    assert sum(parts, []) == contents
    assert [len(part) for part in parts] == [2, 2, 0, 1]

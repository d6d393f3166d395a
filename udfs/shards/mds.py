"""MDS shards, as MosaicML Streaming reads them: a shard is one file, and the index lists all."""

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import numpy as np
from pyarrow import fs

from udfs.points import Batches
from udfs.shards.numbered import WriteShard
from udfs.shards.tars import as_text

JSON, TEXT, ARRAY = "json", "str", "ndarray:"  # the last with the type of its numbers


def make_mds(system: fs.FileSystem, folder: str, encodings: Mapping[str, str]) -> WriteShard:
    """Return a function that writes a shard, and returns its entry in the index as JSON.

    Where a row lacks a value, the JSON has ``missing`` instead, [column, id]: MDS has no nulls, and
    no arrays without numbers.

    Parameters
    ----------
    encodings : MDS encoding of every column; ``json`` holds what has none of its own, nulls too
    """

    def write(shard: int, batches: Batches) -> str:
        from streaming import MDSWriter

        with TemporaryDirectory() as local:
            with MDSWriter(columns=dict(encodings), out=local, size_limit=None) as writer:
                for batch in batches:
                    for row in batch.to_pylist():
                        if missing := _missing(row, encodings):
                            for _ in batches:  # a shard takes all its rows
                                pass
                            return json.dumps({"missing": [missing, as_text(row["id"])]})
                        writer.write({name: _plain(row[name], e) for name, e in encodings.items()})
            (entry,) = writer.shards
            name = f"{shard}-{uuid4().hex}.mds"
            written = Path(local, entry["raw_data"]["basename"]).read_bytes()
        with system.open_output_stream(f"{folder}/{name}") as stream:
            stream.write(written)
        return json.dumps({"name": name, "entry": entry})

    return write


def _missing(row: Mapping[str, Any], encodings: Mapping[str, str]) -> str | None:
    """Return the first column that should have a value, and has none."""
    return next((name for name, e in encodings.items() if _is_missing(row[name], e)), None)


def _is_missing(value: Any, encoding: str) -> bool:
    if encoding.startswith(ARRAY):
        return not value or None in value
    return value is None and encoding != JSON


def _plain(value: Any, encoding: str) -> Any:
    """Return a value as the encoding takes it."""
    if encoding == JSON:
        return json.loads(json.dumps(value, default=as_text))
    if encoding.startswith(ARRAY):
        return np.array(value, encoding.removeprefix(ARRAY))
    if encoding == TEXT and not isinstance(value, str):
        return as_text(value)
    return value

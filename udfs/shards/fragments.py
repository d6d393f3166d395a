"""Fragments of a Lance dataset: data files that belong to it once the driver has committed them."""

import json
from bisect import bisect_right
from collections.abc import Sequence
from itertools import chain

import pyarrow as pa

from udfs.points import Batches
from udfs.shards.numbered import WriteShard

_NO_LIMIT = 1 << 40  # of rows and bytes, so that a shard is one fragment


def make_fragment(firsts: Sequence[int], datasets: Sequence[str]) -> WriteShard:
    """Return a function that writes a shard as a fragment, and returns what Lance reports of it.

    Parameters
    ----------
    firsts : the first shard of each dataset, rising
    datasets : their paths or URIs
    """

    def write(shard: int, batches: Batches) -> str:
        from lance.fragment import write_fragments

        first = next(batches)
        rows = pa.RecordBatchReader.from_batches(first.schema, chain([first], batches))
        (fragment,) = write_fragments(
            rows,
            datasets[bisect_right(firsts, shard) - 1],
            mode="create",
            max_rows_per_file=_NO_LIMIT,
            max_bytes_per_file=_NO_LIMIT,
        )
        return json.dumps(fragment.to_json())

    return write

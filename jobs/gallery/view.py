"""All that a page shows of single points, read from the pool in one go."""

from collections.abc import Iterable

import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.config.model import RunConfig
from jobs.gallery.contents import contents
from jobs.gallery.exemplars import (
    N_LARGEST,
    N_NODES,
    exemplars,
    few_turned_away,
    largest_nodes,
    shown_nodes,
)
from jobs.gallery.nodes import MOST_OF_OTHER, Gallery, gallery_of
from jobs.gallery.turned_away import Gone, turned_away
from jobs.pool.inputs import Pool

PICTURE_BYTES = 3_000_000  # for all pictures together; a third more as text


def looked_at(
    pool: Pool,
    config: RunConfig,
    allocations: pa.Table,
    assignments: DataFrame,
    drawn: DataFrame,
    gone: Iterable[DataFrame],
) -> tuple[Gallery, list[tuple[str, list[Gone]]]]:
    """Return points that the first sample kept and left out, and points that gates turned away.

    Parameters
    ----------
    allocations : sample, level, node_id, n_points, quota
    assignments : id, path, sq_distance
    drawn : sample, id, replica, position
    gone : id, beside_id, reason, detail; of each gate
    """
    n_shown, sample = config.report.examples, config.samples[0].name
    shown = shown_nodes(allocations, sample)
    nodes = [shown, largest_nodes(allocations, sample, shown)]
    mine = drawn.where((F.col("sample") == sample) & (F.col("replica") == 0))
    picked = exemplars(assignments, mine, pd.concat(nodes)).toArrow()
    few = [few_turned_away(rows, n_shown).toArrow() for rows in gone]
    ids = [picked["id"], *(table[name] for table in few for name in ("id", "beside_id"))]
    looks = contents(pool, config, pa.chunked_array([chunk for x in ids for chunk in x.chunks]))
    n_shown = fitting(n_shown, looks, sum(len(table["reason"].unique()) for table in few))
    points = picked.to_pandas().merge(looks, on="id", how="left")
    parts = [part[part["group"] < n_shown] for part in (_records(table) for table in few)]
    reasons = [reason for part in parts for reason in turned_away(part, looks)]
    return gallery_of(sample, allocations, nodes, points, n_shown), reasons


def _records(table: pa.Table) -> pd.DataFrame:
    """Return a table with its numbers as they are: beside nulls, pandas makes floats of them."""
    frame: pd.DataFrame = table.to_pandas(integer_object_nulls=True)
    return frame


def fitting(n_shown: int, looks: pd.DataFrame, n_reasons: int) -> int:
    """Return how many points of a kind to show, so that their pictures keep the page small.

    Parameters
    ----------
    n_shown : the number that the config asks for
    looks : picture; null where there is none
    n_reasons : number of reasons for which points were turned away
    """
    sizes = looks["picture"].dropna().map(len)
    if sizes.empty:
        return n_shown
    n_pictures = PICTURE_BYTES / sizes.mean() - N_LARGEST * (2 * MOST_OF_OTHER + 2)
    for_each = 2 * N_NODES + 4 * n_reasons  # more pictures for each further point of a kind
    return max(1, min(n_shown, int(n_pictures / for_each)))

"""What batches are worth: how close the points of a few are, beside uniform batches."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.points.hash_sample import sample_rows
from jobs.reporting.rows import Row
from jobs.spark.frames import as_frame
from udfs.kernels.negatives.hardness import centred, info_nce, mean_cosine, share_of_pairs
from udfs.kernels.negatives.placing import pairs_above
from udfs.near import UNIT, DirectionReader

SECTION = "negatives"
CONTROL = ".control"  # suffix of the figures of uniform batches
_MEASURED_ROWS = 8192  # rows of batches, and as many of uniform ones
_OF_ONE = 1024  # rows of a batch, all of whose pairs are measured

Figures = dict[str, float]


def hardness_of(
    batches: DataFrame,
    points: DataFrame,
    read: DirectionReader,
    *,
    size: int,
    n_whole: int,
    n_points: int,
    max_cosine: float | None,
    seed: int,
) -> list[tuple[Figures, Figures]]:
    """Measure the first whole batches, and as many of uniform draws from the same points.

    The first batches come from all over the walk. Large ones are thinned at regular intervals.

    Parameters
    ----------
    batches : batch_id, id, position; all of them
    points : id, embedding, label (null if it has none)

    Returns
    -------
    figures : figures of each batch, and of a uniform one
    """
    step = -(-size // _OF_ONE)
    n_rows = -(-size // step)  # rows measured of a batch
    n = min(n_whole, _MEASURED_ROWS // n_rows)
    if n == 0:
        return []
    wanted = [("mine_negatives.control", n * n_rows)]
    (uniform,) = sample_rows(batches.select("id"), wanted, n_points, seed=seed)
    number = pa.array(np.arange(len(uniform)) // n_rows - n)  # controls have negative numbers
    control = as_frame(batches.sparkSession, uniform.append_column("batch_id", number))
    mine = batches.where((F.col("batch_id") < n) & (F.col("position") % step == 0))
    both = F.broadcast(mine.select("id", "batch_id").unionByName(control))
    table = points.join(both, on="id", how="inner").toArrow()
    table = table.sort_by([("batch_id", "ascending"), ("id", "ascending")])
    measure = _Measure(table, read, max_cosine)
    return [(measure(batch), measure(batch - n)) for batch in range(n)]


class _Measure:
    """Measures batches of the same points.

    Parameters
    ----------
    points : batch_id (negative for uniform batches), embedding, label
    """

    def __init__(self, points: pa.Table, read: DirectionReader, max_cosine: float | None) -> None:
        (vectors,) = points.select(["embedding"]).combine_chunks().to_batches()
        self.grid = read(vectors)
        self.X = self.grid.astype(np.float64) * UNIT
        self.batch = points["batch_id"].to_numpy()
        labels = points["label"].combine_chunks().dictionary_encode().indices
        has_labels = labels.null_count < len(labels)
        self.y = labels.fill_null(-1).to_numpy() if has_labels else None
        self.mean = self.X[self.batch < 0].mean(axis=0)
        self.max_cosine = max_cosine

    def __call__(self, batch: int) -> Figures:
        """Measure one batch."""
        rows = np.flatnonzero(self.batch == batch)
        Z = centred(self.X[rows], self.mean)
        found = {"mean_cosine": mean_cosine(Z), "info_nce": info_nce(Z)}
        if self.max_cosine is not None:
            n_above, n = len(pairs_above(self.grid[rows], self.max_cosine).one), len(rows)
            found["pairs_above_max_cosine"] = 2 * n_above / max(1, n * (n - 1))
        if self.y is not None:
            y = self.y[rows]
            y = y[y >= 0]  # pairs of which both have a label
            found["pairs_of_one_label"] = share_of_pairs(y[:, None] == y)
        return found


def means_of(figures: list[tuple[Figures, Figures]]) -> Figures:
    """Return the means over batches, those of the controls under names of their own."""
    found: Figures = {}
    for name in figures[0][0] if figures else ():
        for side, own in enumerate((name, name + CONTROL)):
            values = [each[side][name] for each in figures if not np.isnan(each[side][name])]
            found[own] = float(np.mean(values)) if values else np.nan
    return found


def hardness_rows(source: str, figures: list[tuple[Figures, Figures]]) -> list[Row]:
    """Return the rows of ``report``, by a batch's number."""
    return [
        Row(source, SECTION, None, str(batch), None, name, value, uniform[name])
        for batch, (mine, uniform) in enumerate(figures)
        for name, value in mine.items()
        if not np.isnan(value)  # of a batch with fewer than two labels
    ]


def said_of(hardness: Mapping[str, float]) -> list[str]:
    """Return a line for each figure, beside its control."""
    texts = {
        "mean_cosine": "mean cosine of a batch's points, seen from the mean of all",
        "info_nce": "InfoNCE of a batch in nats, at a temperature of 0.1",
        "pairs_above_max_cosine": "share of its pairs above max_cosine",
        "pairs_of_one_label": "share of its pairs of one label",
    }
    return [
        f"{text}: {hardness[name]:.3g}; uniform batches {hardness[name + CONTROL]:.3g}"
        for name, text in texts.items()
        if name in hardness
    ]

"""What is measured of named labels: their spread, how they follow the vectors, what they teach."""

from collections.abc import Mapping

import pyarrow as pa
from pyspark.sql import DataFrame

from jobs.labels.counts import label_counts, labelled
from jobs.labels.points import CLASSIFIED_ROWS, knn_accuracy, label_point_rows
from jobs.labels.probe import CONTROLS, TRAINED_ROWS, probe_rows
from jobs.points.surviving import sample_points, size_of
from jobs.reporting.rows import Row, figure_rows
from jobs.runs.run import Run


def measured_labels(
    run: Run,
    described: DataFrame,
    drawn: DataFrame,
    controls: Mapping[str, pa.Table],
    samples: Mapping[str, pa.Table],
    unit: float,
) -> list[Row]:
    """Measure how evenly labels spread, how well they follow the vectors, and what they teach.

    Parameters
    ----------
    described : id, label; of the surviving points that have one
    drawn : sample, id
    controls : sample -> rows with an id
    samples : sample -> id, embedding; at most ``TRAINED_ROWS`` rows each
    unit : grid unit of the vectors
    """
    counts = label_counts(described, drawn, controls)
    n_without = size_of(run).n_points - sum(counts[0].values())
    unlabelled = figure_rows("labels", None, {"n_without": float(n_without)}) if n_without else []
    if not counts[0]:
        return unlabelled
    wanted = [("report.classified", CLASSIFIED_ROWS), *((salt, TRAINED_ROWS) for salt in CONTROLS)]
    pool, *uniform = sample_points(run, wanted)
    pool, *others = labelled(described, [pool, *samples.values(), *uniform], unit)
    return [
        *unlabelled,
        *label_point_rows(*counts, knn_accuracy(pool.X, pool.y)),
        *probe_rows(dict(zip(samples, others, strict=False)), others[len(samples) :], pool),
    ]

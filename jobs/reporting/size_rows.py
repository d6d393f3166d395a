"""Sizes: the pool, its points, rejected rows, the samples."""

from collections.abc import Mapping, Sequence

from jobs.reporting.rows import Row, figure_rows
from jobs.sections.samples import SampleConfig, TotalConfig


def size_rows(sizes: Mapping[str, float], rejects: Mapping[str, int]) -> list[Row]:
    """Return the sizes of the pool, and the number of rows rejected for each reason."""
    rows = figure_rows("size", None, sizes)
    return rows + [
        Row(None, "rejects", None, reason, None, "n_rows", float(n))
        for reason, n in rejects.items()
    ]


def sample_size_rows(
    sizes: Mapping[str, int], samples: Sequence[SampleConfig], n_points: int
) -> list[Row]:
    """Return the size of every sample, and its target size; if that is a total, the rows of it."""
    rows: list[Row] = []
    for s in samples:
        is_total = isinstance(s.target_size, TotalConfig)
        wanted = sizes[s.name] if is_total else s.rows_of(n_points)
        size = {"n_sampled": float(sizes[s.name]), "target_size": float(wanted)}
        rows += figure_rows("size", s.name, size)
    return rows

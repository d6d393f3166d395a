"""Sizes: the pool, its points, rejected rows, the samples."""

from collections.abc import Mapping, Sequence

from jobs.reporting.rows import Row, figure_rows
from jobs.sections.samples import SampleConfig


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
    """Return the size of every sample, and its target size; its own if that is not in rows."""
    rows: list[Row] = []
    for s in samples:
        wanted = s.rows_of(n_points) if s.is_told_in_rows else sizes[s.name]
        size = {"n_sampled": float(sizes[s.name]), "target_size": float(wanted)}
        rows += figure_rows("size", s.name, size)
    return rows

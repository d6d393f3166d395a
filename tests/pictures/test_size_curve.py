"""Coverage by size: prefixes of a sample beside uniform samples of their sizes."""

import numpy as np
import pandas as pd
import pytest

from jobs.pictures.size_curve import size_figure, size_rows, size_said, sizes_up_to
from jobs.reporting.coverage_rows import Judges
from jobs.reporting.rows import Row
from udfs.kernels.judging.coverage import distances_to, mean_by_label


def test_sizes_double_up_to_the_largest() -> None:
    assert sizes_up_to(100) == [1, 3, 6, 12, 25, 50, 100]
    assert sizes_up_to(51200)[:2] == [200, 400]
    assert sizes_up_to(0) == []


@pytest.fixture(scope="module")
def judges() -> Judges:
    rng = np.random.default_rng(42)
    X = rng.integers(0, 2**20, (400, 4)).astype(np.float32)
    return Judges([X[:300]], [X[300:340]], seed=0, unit=0.5)


def test_every_prefix_is_measured_as_if_it_were_the_whole_sample(judges: Judges) -> None:
    sample = judges.evaluated[0][100:140]
    rows = size_rows("s", sample, judges)
    nodes = judges.panels[0].nodes
    for row in rows:
        for X, found in ((sample, row.value), (judges.uniform[0], row.control)):
            distances = distances_to(nodes.points, X[: int(row.x or 0)], n_threads=1)
            want = mean_by_label(nodes.labels, distances).mean() * 0.5
            assert found == pytest.approx(want)
    assert [row.x for row in rows] == [1, 2, 5, 10, 20, 40]


def test_longer_prefixes_never_cover_less(judges: Judges) -> None:
    rows = size_rows("s", judges.evaluated[0][:64], judges)
    values = [row.value for row in rows]
    assert values == sorted(values, reverse=True)


def rows_of(*points: tuple[float, float, float]) -> pd.DataFrame:
    rows = [
        Row("s", "coverage_by_size", None, None, x, "coverage_distance", value, control)
        for x, value, control in points
    ]
    return pd.DataFrame(rows, columns=Row._fields)


def test_the_smallest_size_that_covers_as_well_is_said() -> None:
    better = rows_of((400, 0.2, 0.4), (100, 0.5, 0.7), (200, 0.3, 0.5))
    assert size_said(better, "s") == (
        "In this one measurement, without an error, points lie as close to its first 200 rows as "
        "to 400 uniform ones."
    )
    assert size_said(rows_of((100, 0.5, 0.7), (200, 0.5, 0.4)), "s") == ""
    assert size_said(rows_of((100, 0.5, 0.7), (200, 0.3, 0.3)), "s") == ""
    assert size_said(better, "other") == ""


def test_the_figure_has_both_lines_over_sizes() -> None:
    figure = size_figure(rows_of((2, 0.2, 0.4), (1, 0.5, 0.7)), "s")
    assert [(line.name, list(line.x), list(line.y)) for line in figure.data] == [
        ("uniform control", [1, 2], [0.7, 0.4]), ("s", [1, 2], [0.5, 0.2]),
    ]  # fmt: skip
    assert size_figure(rows_of(), "s").data == ()

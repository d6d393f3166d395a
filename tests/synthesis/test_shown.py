"""What is shown of captions: figures by round and concept, reasons with examples, the page."""

import pandas as pd
import pytest

from jobs.reporting.rows import REPORT_COLUMNS, Row
from jobs.reporting.side_page import SidePage, render_side_page
from jobs.synthesis.concepts import Concept
from jobs.synthesis.page import CHARTS
from jobs.synthesis.rounds import Caption
from jobs.synthesis.shown import caption_rows, evenness, plan_said, turned_away_said

OWL = Concept("owl", n_points=9, quota=1)
FOX = Concept("fox", n_points=0, quota=2)


def caption(n: int, concept_id: int, reason: str | None = None, round_: int = 0) -> Caption:
    return Caption(n, concept_id, "concept", f"text {n}", reason, round_)


ROUNDS = [
    [caption(0, 1), caption(1, 1, "too_short"), caption(2, 0, "too_short")],
    [caption(1, 1, None, 1), caption(2, 0, None, 1)],
]


def test_rounds_by_hand() -> None:
    rows = caption_rows([OWL, FOX], ROUNDS)
    plain = {(row.key, row.metric): row.value for row in rows if row.x is None}
    even = evenness([1, 2])
    assert plain == {
        ("0", "asked"): 3, ("0", "accepted"): 1, ("0", "too_short"): 2, ("0", "short"): 2,
        ("0", "normalised_entropy"): 0, ("1", "asked"): 2, ("1", "accepted"): 2,
        ("1", "short"): 0, ("1", "normalised_entropy"): pytest.approx(even),
    }  # fmt: skip
    assert evenness([1, 2]) == pytest.approx(0.9183, abs=1e-4)
    assert (evenness([7]), evenness([4, 4, 4])) == (1, pytest.approx(1))
    # the concept that the pool has none of comes first
    shares = [(row.key, row.x, row.value, row.control) for row in rows if row.metric == "share"]
    assert shares == [("1", 0, pytest.approx(2 / 3), 0), ("1", 1, pytest.approx(1 / 3), 1)]


def test_lines_by_hand() -> None:
    assert plan_said([OWL, FOX, Concept("elk", n_points=99)]) == [
        "3 captions of 3 concepts, 0 to 2 each; the most: fox 2, owl 1, elk 0",
        "1 concepts are not in the pool: 2 captions are of them",
        "1 concepts get none: the pool has enough of them, or of others less",
    ]
    columns = ["caption_id", "reject_reason", "text", "detail"]
    rows = [
        (7, "failed", None, "ValueError: no"),
        (5, "too_short", "An\x1b owl " * 30, None),
        (4, "too_short", "An owl", None),
    ]
    assert turned_away_said(pd.DataFrame(rows, columns=columns)) == [
        "turned away, failed: 1, such as 'ValueError: no'",
        "turned away, too_short: 2, such as 'An owl'",
    ]
    (line,) = turned_away_said(pd.DataFrame(rows[1:2], columns=columns))
    assert len(line) < 200
    assert "\x1b" not in line


@pytest.mark.parametrize("is_counted", [True, False])
def test_the_page_shows_both_figures_whether_points_are_known_or_not(is_counted: bool) -> None:
    concepts = [OWL, FOX] if is_counted else [Concept("owl", quota=1), Concept("fox", quota=2)]
    rows = caption_rows(concepts, ROUNDS)
    page = SidePage(
        "Captions", "", "pool", "run", "now", ["said"], CHARTS, {"captions": "there"}, "seed: 0"
    )
    shown = render_side_page(page, frame_of(rows))
    for chart in CHARTS:
        assert chart.title in shown


def frame_of(rows: list[Row]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=[*REPORT_COLUMNS])

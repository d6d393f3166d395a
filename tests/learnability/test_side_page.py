"""The page of a stage beside the run: figures by round, controls, nothing hostile."""

import json
import re

import pandas as pd

from jobs.reporting.rows import REPORT_COLUMNS
from jobs.reporting.side_page import Chart, SidePage, render_side_page

HOSTILE = "<script>alert(1)</script>"


def page_of(rows: list[tuple[str, float | None, str, float, float | None]]) -> str:
    page = SidePage(
        title="What next",
        intro="Why.",
        pool=HOSTILE,
        run_id="r",
        created="now",
        said=[HOSTILE],
        charts=[
            Chart("share", "Shares", "x", "score", ("drawn", "all")),
            Chart("mean", "Means", "key", "round", ("drawn", "uniform")),
        ],
        tables={"learnability": HOSTILE},
        config_yaml=HOSTILE,
    )
    table = [("s", "learnability", None, key, x, m, v, c) for key, x, m, v, c in rows]
    return render_side_page(page, pd.DataFrame(table, columns=[*REPORT_COLUMNS]))


def test_every_round_is_a_column_and_the_last_ones_distribution_is_drawn() -> None:
    rows = [
        *(("9", x, "share", 0.5, 0.5) for x in (0.0, 1.0)),
        *(("10", x, "share", 0.25, 0.75) for x in (0.0, 1.0)),
        ("9", None, "mean", 2.0, 1.0),
        ("10", None, "mean", 3.0, None),
    ]
    html = page_of(rows)
    assert re.findall(r'<th scope="col">(\d+)</th>', html) == ["9", "10"]
    assert re.findall(r"<td>([^<]*)</td>", html) == ["2 (1)", "3"]
    found = re.search(r'id="figures">(.*?)</script>', html, re.S)
    assert found is not None
    lines = json.loads(found[1])["figure-0"]["data"]
    assert [line["y"] for line in lines] == [[0.75, 0.75], [0.25, 0.25]]  # all, drawn
    assert "<figcaption>Means</figcaption>" in html


def test_one_round_has_no_line_over_rounds() -> None:
    html = page_of([("0", None, "mean", 2.0, 1.0)])
    assert "<figcaption>Means" not in html


def test_hostile_text_stays_text() -> None:
    html = page_of([("0", None, "mean", 2.0, 1.0)])
    assert HOSTILE not in html
    assert html.count("&lt;script&gt;alert(1)") == 5


def test_rounds_that_are_left_out_are_counted() -> None:
    html = page_of([(str(i), None, "mean", 2.0, 1.0) for i in range(20)])
    assert "8 columns between these are left out here" in html
    assert "left out here" not in page_of([("0", None, "mean", 2.0, 1.0)])

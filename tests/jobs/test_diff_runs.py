"""Two runs compared: configs, inputs, stages, samples, figures; pages opened in a browser."""

import webbrowser
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from pyspark.sql import SparkSession

from jobs import curate, diff_runs
from jobs.cli.pages import open_page
from jobs.config.model import as_dict
from jobs.past.comparing import Change, Comparison, Figure, Overlap
from jobs.past.diff_page import render_diff
from jobs.reporting.exported import Exported
from jobs.runs.opening import open_run
from jobs.tables.lake import Lake
from tests.jobs.tiny import configured_on

pytestmark = pytest.mark.whole

COMPARED = Comparison(
    runs=("a", "b"),
    config=[Change("seed", "0", "1"), Change("report.label", None, "kind")],
    inputs=[],
    stages=[Change("embed_pool", "k", "k"), Change("cluster_levels", "k1", "k2")],
    samples=[Overlap("s", 20, 30, 15)],
    figures=[
        Figure("s", "coverage", None, "coverage_gap", -0.25, None),
        Figure(None, "tree", 2, "n_nodes", 3.0, 4.0),
    ],
)


def test_what_differs_is_told_by_hand() -> None:
    assert str(COMPARED).splitlines() == [
        "a → b",
        "inputs that differ:",
        "  none",
        "config that differs:",
        "  seed: 0 → 1",
        "  report.label: – → kind",
        "stages with the same rows:",
        "  embed_pool",
        "stages with other rows:",
        "  cluster_levels: k1 → k2",
        "samples:",
        "  s: 20 → 30 points, 15 in both (75.0% of the smaller)",
        "figures that differ:",
        "  s: coverage coverage gap: -0.25 → –",
    ]
    assert COMPARED.figures[1].name == "pool: tree n nodes of level 2"


def test_the_page_of_two_runs_escapes_what_it_shows() -> None:
    hostile = [Change("<script>alert(1)</script>", "</td><b>", None)]
    page = render_diff(replace(COMPARED, config=hostile, inputs=hostile))
    assert "<script" not in page
    assert "</td><b>" not in page
    assert page.count("&lt;script&gt;") == 2
    assert "the same rows" in page


def test_two_runs_are_compared_in_text_and_on_a_page(
    spark: SparkSession,
    curated: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configure = configured_on(tmp_path, curated)
    first, second = configure(), configure("samples.0.target_size=30", "report.examples=0")
    curate.run(spark, second)
    ids = [open_run(spark, config).run_id for config in (first, second)]
    diff = diff_runs.run(spark, first, *ids).comparison
    where, *asked = diff.config
    assert where.name == "output.root"  # the first run's root was copied
    assert asked == [
        Change("samples.s.target_size", "20", "30"), Change("report.examples", "4", "0"),
    ]  # fmt: skip
    assert diff.inputs == []
    assert {stage.name: stage.is_same for stage in diff.stages} == {
        "embed_pool": True, "find_duplicates": True, "cluster_levels": True,
        "balance_sample": False, "report_curation": False,
    }  # fmt: skip
    drawn = Lake(spark, first.output).read("samples").collect()
    mine, theirs = (
        {row.id for row in drawn if row.stage_key == key}
        for key in (diff.stages[3].before, diff.stages[3].after)
    )
    assert diff.samples == [Overlap("s", 20, 30, len(mine & theirs))]
    sizes = [f for f in diff.figures if (f.section, f.metric) == ("size", "n_sampled")]
    assert sizes == [Figure("s", "size", None, "n_sampled", 20.0, 30.0)]
    assert "n_pool" not in {figure.metric for figure in diff.figures}

    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(as_dict(first)))
    given = ["--config", f"{tmp_path}/my.yaml"]
    assert diff_runs.main([ids[0][:8], ids[1], *given, "--open"]) == 0
    said = capsys.readouterr().out
    assert "s: 20 → 30 points, 20 in both (100.0% of the smaller)" in said
    page = Path(said.splitlines()[-1].removeprefix("page: "))
    assert opened == [page.as_uri()]
    assert "samples.s.target_size" in page.read_text()
    assert "<script" not in page.read_text()

    assert diff_runs.main([ids[0], *given]) == 2
    assert "want RUN_A RUN_B; evenlake runs lists them" in capsys.readouterr().err


def test_only_pages_on_this_machine_are_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    page = tmp_path / "report.html"
    open_page(Exported([], str(page)))
    assert opened == []
    page.write_text("")
    open_page(Exported([], str(page)))
    assert opened == [page.as_uri()]


def test_a_command_without_a_page_refuses_to_open_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from jobs import cluster_levels

    assert cluster_levels.main(["--config", f"{tmp_path}/my.yaml", "--open"]) == 2
    assert "evenlake cluster makes no page; want curate, report or diff" in capsys.readouterr().err

"""The only access to the points that count, in memory or from their table."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs import balance_sample, embed_pool
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig
from jobs.embed_pool import EMBEDDINGS
from jobs.ledger.delta_store import DeltaStore
from jobs.points import surviving as door
from jobs.recipe import RECIPE
from jobs.runs import run as runs
from jobs.runs.opening import open_run
from jobs.runs.outcomes import Outcome
from jobs.runs.run import Run
from jobs.runs.stage import Recipe, Stage
from jobs.runs.work import Work
from jobs.tables.shared import REJECTS
from tests.goldens.recipes import write_pool

N_POINTS, N_FEATURES = 90, 4
WANTED = [("one", 20), ("two", 7), ("one", 10), ("all", 1000)]


def config_of(folder: Path, root: str) -> RunConfig:
    sample = {"target_size": 20, "share": {"leaves": 0.5}}
    return parse_config(
        {
            "input": {
                "table": f"{folder}/pool/part.parquet",
                "embedding": "vector",
                "metadata": ["label"],
            },
            "output": {"root": f"{folder}/{root}"},
            "cluster": {"levels": [12, 4], "resampling": {"rounds": 1}},
            "samples": [
                sample | {"name": "s"},
                sample | {"name": "near", "strategy": "closest", "replicas": 2},
            ],
            "report": {"label": "label"},
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a pool of 90 rows; five of them are turned away."""
    folder = tmp_path_factory.mktemp("points")
    write_pool(folder / "pool" / "part.parquet", N_POINTS, N_FEATURES)
    return folder


# --- gates ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Gated(Outcome):
    """What a gate found; here, the points it could read while it was running."""

    n_before: int
    n_turned_away: int


def gate(this: Work) -> Gated:
    points = door.held(this.run)
    assert points is not None
    rows = this.run.read(embed_pool.STAGE, EMBEDDINGS).where("id < 'p0050'")
    told = {"stage": F.lit("gate"), "reason": F.lit("early"), "detail": F.lit(None)}
    n_rejects = this.write(REJECTS, rows.select("id").withColumns(told))
    return Gated(n_before=points.num_rows, n_turned_away=n_rejects)


GATE = Stage(
    name="gate",
    version=1,
    after=(embed_pool.STAGE,),
    reads=(),
    tables=(REJECTS,),
    outcome=Gated,
    work=gate,
    turned_away=lambda run: [REJECTS],
)
GATED = Recipe((embed_pool.STAGE, GATE))


@pytest.fixture(scope="module")
def gated(spark: SparkSession, folder: Path) -> Run:
    run = open_run(spark, config_of(folder, "gated"), recipe=GATED)
    run.do(embed_pool.STAGE)
    run.do(GATE)
    return run


def ids_of(run: Run) -> list[str]:
    return sorted(row.id for row in door.surviving(run).select("id").collect())


def test_who_was_turned_away_by_a_gate_does_not_survive(gated: Run) -> None:
    ids = ids_of(gated)
    accepted = {row.id for row in gated.read(embed_pool.STAGE, EMBEDDINGS).collect()}
    assert ids == sorted(id_ for id_ in accepted if id_ >= "p0050")
    assert 0 < len(ids) < len(accepted) == gated.outcome(GATE).n_before
    assert door.size_of(gated) == (len(ids), N_FEATURES)


def test_what_is_held_is_what_survives_though_the_gate_held_more(gated: Run) -> None:
    points = door.held(gated)
    assert points is not None
    assert sorted(points["id"].to_pylist()) == ids_of(gated)


@pytest.mark.usefixtures("gated")
def test_a_gate_that_is_off_turns_nobody_away(spark: SparkSession, folder: Path) -> None:
    run = open_run(spark, config_of(folder, "gated"), recipe=RECIPE)
    assert len(ids_of(run)) == run.outcome(embed_pool.STAGE).n_points


# --- in memory, and from the table ----------------------------------------------------------------


def test_hash_samples_of_held_points_are_those_that_spark_takes(
    gated: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = door.sample_points(gated, WANTED)
    monkeypatch.setattr(door, "HANDED_BYTES", 0)
    door.release(gated)
    assert door.held(gated) is None
    taken = door.sample_points(gated, WANTED)
    for (salt, n_rows), mine, theirs in zip(WANTED, held, taken, strict=True):
        assert mine["id"].to_pylist() == theirs["id"].to_pylist(), salt
        assert mine["embedding"].to_pylist() == theirs["embedding"].to_pylist()
        assert mine.num_rows == min(n_rows, len(ids_of(gated)))


def test_points_too_many_to_be_held_are_kept_once_fetched_until_they_are_released(
    gated: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "HANDED_BYTES", 0)
    door.release(gated)
    columns = ("id", "content_hash", "embedding")
    door.hold(gated, embed_pool.STAGE, door.surviving(gated, *columns, before=GATE))
    points = door.held(gated)
    assert points is not None
    assert sorted(points["id"].to_pylist()) == ids_of(gated)
    assert gated.key(embed_pool.STAGE) not in gated.held  # not twice
    door.keep(gated, points)
    assert door.held(gated) is points
    door.release(gated)
    assert door.held(gated) is None


def digests(spark: SparkSession, config: RunConfig) -> dict[str, dict[str, str]]:
    """Do all stages; return their tables' digests, except the page's, which contains the time."""
    run = open_run(spark, config)
    for stage in RECIPE.on(config):
        run.do(stage)
    events = DeltaStore(run.lake).read()
    return {
        e.stage: {table: digest for table, digest in e.digests.items() if table != "artifacts"}
        for e in events
        if e.event == "finished"
    }


@pytest.mark.whole
def test_a_pool_read_from_its_tables_gives_the_same_report_and_all_else(
    spark: SparkSession, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed_on = digests(spark, config_of(folder, "handed"))
    assert handed_on["report_curation"].keys() == {"report"}
    monkeypatch.setattr(door, "HANDED_BYTES", 0)
    monkeypatch.setattr(runs, "HANDED_BYTES", 0)
    monkeypatch.setattr(balance_sample, "FETCHED_ROWS", 0)
    assert digests(spark, config_of(folder, "read")) == handed_on

"""Learnability: scores and draws beside an oracle, rejects, nodes, keys, and the command."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs import explain_point, score_learnability
from jobs.__main__ import main as evenlake
from jobs.config.errors import ConfigError, CurationError, InputChangedError, InputError
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig, as_dict
from jobs.learnability.draws import drawn
from jobs.learnability.draws import scored as scored_rows
from jobs.recipe import RECIPE
from jobs.runs.opening import open_run
from jobs.runs.run import Run
from jobs.sections.learnability import LearnabilityConfig
from tests.jobs.tiny import N_POINTS, config_of, write_curated

pytestmark = pytest.mark.whole

STAGE = score_learnability.STAGE
BROKEN = {"60-3": float("nan"), "60-4": float("inf"), "60-5": None}
ABSENT, DOUBLED = "60-6", "60-7"


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Curate a tiny pool, and write losses of its points, a few of them broken."""
    folder = write_curated(spark, tmp_path_factory.mktemp("learnability"))
    rng = np.random.default_rng(5)
    ids = [f"{N_POINTS}-{i}" for i in range(N_POINTS)]
    for name in ("online", "reference"):
        losses: dict[str, Any] = dict(zip(ids, rng.gamma(2.0, size=N_POINTS), strict=True))
        if name == "online":
            losses |= BROKEN
            del losses[ABSENT]
        names, values = [*losses], [*losses.values()]
        if name == "reference":
            names, values = [*names, DOUBLED, "no point"], [*values, 1.0, 1.0]
        write(folder / name, names, values)
    return folder


def write(path: Path, ids: list[str], losses: list[Any], n_files: int = 1) -> None:
    """Write losses as Parquet files."""
    path.mkdir()
    for i in range(n_files):
        table = pa.table(
            {"id": ids[i::n_files], "loss": pa.array(losses[i::n_files], pa.float64())}
        )
        pq.write_table(table, path / f"{i}.parquet")


def config(folder: Path, *overrides: str, **learnability: Any) -> RunConfig:
    plain = as_dict(config_of(folder))
    losses = {name: {"table": f"{folder}/{name}"} for name in ("online", "reference")}
    given = {"source": "pool"} | losses | learnability
    return parse_config(plain | {"learnability": given}, overrides)


def rows_of(run: Run) -> list[dict[str, Any]]:
    table = run.lake.read(score_learnability.LEARNABILITY, run.key(STAGE)).drop("generation", "op")
    return sorted((row.asDict() for row in table.collect()), key=lambda r: (r["round"], r["id"]))


def scored(spark: SparkSession, of: RunConfig) -> list[dict[str, Any]]:
    run = open_run(spark, of)
    score_learnability.score(run)
    return rows_of(run)


def hashed(spark: SparkSession, ids: list[str], salt: str, round_: int) -> dict[str, int]:
    """Hash ids as Spark does."""
    frame = spark.createDataFrame([(id_,) for id_ in ids], "id string")
    hash_ = F.xxhash64("id", F.lit(salt), F.lit(0), F.lit(round_))
    return {row.id: row.hash for row in frame.select("id", hash_.alias("hash")).collect()}


# --- by an oracle ---------------------------------------------------------------------------------


@pytest.mark.parametrize("criterion", ["learnability", "uniform"])
def test_every_criterion_is_scored_and_the_chosen_one_draws_by_gumbel_keys(
    spark: SparkSession, folder: Path, criterion: str
) -> None:
    shape = {"criterion": criterion, "temperature": 0.5, "super_batch": 0.4, "keep": 0.3}
    rows = [row for r in range(2) for row in scored(spark, config(folder, round=r, **shape))]
    losses = {
        name: dict(zip(*pq.read_table(folder / name).to_pydict().values(), strict=True))
        for name in ("online", "reference")
    }
    n_good = N_POINTS - len(BROKEN) - 2
    assert len(rows) == 2 * n_good
    ids = sorted({row["id"] for row in rows})
    for round_ in range(2):
        mine = [row for row in rows if row["round"] == round_]
        u = hashed(spark, ids, "learnability.draw", round_)
        batch = hashed(spark, ids, "learnability.super_batch", round_)
        for row in mine:
            online, reference = (losses[name][row["id"]] for name in ("online", "reference"))
            want = {
                "hard": online,
                "easy_reference": -reference,
                "learnability": online - reference,
            }
            assert {name: row[name] for name in want} == want
            uniform = ((u[row["id"]] % 2**64 >> 12) + 0.5) / 2**52
            key = (want | {"uniform": 0.0})[criterion] / 0.5 - np.log(-np.log(uniform))
            assert row["key"] == pytest.approx(key, rel=1e-12)
            assert row["super_batch"] == batch[row["id"]] % 3  # 1 / .4, rounded up
        for b in range(3):
            together = sorted((r for r in mine if r["super_batch"] == b), key=lambda r: -r["key"])
            n_drawn = int(0.3 * len(together) + 0.5)
            assert [r["is_selected"] for r in together] == [
                i < n_drawn for i in range(len(together))
            ]


def test_draws_follow_the_softmax(spark: SparkSession) -> None:
    """Pairs of rows of known odds: the first of a pair is drawn as often as they say."""
    n = 4000
    pairs = spark.range(2 * n).select(
        F.col("id"),
        F.floor(F.col("id") / 2).alias("node_id"),
        (F.col("id") % 2).cast("double").alias("loss_online"),
        F.lit(0.0).alias("loss_reference"),
    )
    given = LearnabilityConfig(keep=0.5, within_nodes=1)
    rows = drawn(scored_rows(pairs, given, 0), given)
    n_first = rows.where("is_selected and id % 2 = 1").count()
    assert rows.where("is_selected").count() == n
    odds = np.e / (1 + np.e)
    assert n_first / n == pytest.approx(odds, abs=4 * (odds * (1 - odds) / n) ** 0.5)


@pytest.mark.parametrize("temperature", [1e-6, 0.1, 3.0])
def test_buckets_rank_as_one_sort_does(spark: SparkSession, temperature: float) -> None:
    """Every key is among the largest of its group, on 1 and 7 partitions."""
    rows = spark.range(500).select(
        F.col("id"),
        (F.col("id") % 3).alias("node_id"),
        (F.xxhash64("id") % 100 / 10).alias("loss_online"),
        (F.xxhash64("id", F.lit(1)) % 7).cast("double").alias("loss_reference"),
    )
    given = LearnabilityConfig(keep=0.3, super_batch=0.5, temperature=temperature, within_nodes=1)
    found = [
        drawn(scored_rows(rows.repartition(n), given, 5), given).toPandas().sort_values("id")
        for n in (1, 7)
    ]
    assert found[0].equals(found[1].set_axis(found[0].index))
    n_drawn = Counter[int]()
    for (batch, _), group in found[0].groupby(["super_batch", "node_id"]):
        best = group.sort_values(["key", "id"], ascending=[False, True])
        assert [*best["is_selected"]] == sorted(best["is_selected"], reverse=True)
        n_drawn[batch] += int(group["is_selected"].sum())
        assert abs(group["is_selected"].sum() - 0.3 * len(group)) < 1
    sizes = found[0].groupby("super_batch").size()
    assert all(n_drawn[batch] == int(0.3 * n + 0.5) for batch, n in sizes.items())


def test_within_nodes_every_node_gives_its_share(spark: SparkSession, folder: Path) -> None:
    rows = scored(spark, config(folder, within_nodes=2, keep=0.5, temperature=1e-6))
    run = open_run(spark, config(folder))
    paths = {r.id: r.path[1] for r in run.lake.read("assignments").select("id", "path").collect()}
    assert all(row["node_id"] == paths[row["id"]] for row in rows)
    n, drawn = (
        Counter(row["node_id"] for row in rows if row["is_selected"] or counts_all)
        for counts_all in (True, False)
    )
    assert len(n) == 3
    assert sum(drawn.values()) == int(0.5 * len(rows) + 0.5)
    assert all(abs(drawn[node] - 0.5 * n[node]) < 1 for node in n)
    for node in n:  # at a temperature near 0, the best of the node
        best = sorted((r for r in rows if r["node_id"] == node), key=lambda r: -r["learnability"])
        assert {r["id"] for r in best[: drawn[node]]} == {r["id"] for r in best if r["is_selected"]}


def test_a_sample_can_be_the_source(spark: SparkSession, folder: Path) -> None:
    run = open_run(spark, config(folder, source="s"))
    score_learnability.score(run)
    sample = {row.id for row in run.lake.read("sample_s").select("id").collect()}
    rejects = run.lake.read("rejects", run.key(STAGE)).select("id").collect()
    assert {row["id"] for row in rows_of(run)} | {row.id for row in rejects} == sample


# --- rejects, keys, reuse -------------------------------------------------------------------------


def test_a_row_without_a_loss_is_a_reject_with_its_reason(
    spark: SparkSession, folder: Path
) -> None:
    run = open_run(spark, config(folder))
    outcome = score_learnability.score(run)
    rejects = run.lake.read("rejects", run.key(STAGE)).select("id", "reason", "detail").collect()
    assert {row.id: (row.reason, row.detail) for row in rejects} == {
        "60-3": ("bad_loss", "online: NaN"),
        "60-4": ("bad_loss", "online: Infinity"),
        "60-5": ("bad_loss", "online: null"),
        ABSENT: ("no_loss", "online: no row has this id"),
        DOUBLED: ("duplicate_loss", "reference: 2 rows have this id"),
    }
    assert (outcome.n_rejected, outcome.n_scored) == (5, N_POINTS - 5)
    assert outcome.n_selected == 28  # half of 55, rounded up
    assert outcome.mean_selected > outcome.mean_learnability
    ledger = run.lake.read("compute_ledger", run.key(STAGE)).collect()
    assert [tuple(row) for row in ledger] == [(0, 55, 28, None, None, None)]


def test_files_and_partitions_of_losses_change_no_draw_but_other_losses_do(
    spark: SparkSession, folder: Path
) -> None:
    first = scored(spark, config(folder))
    run = open_run(spark, config(folder))
    score_learnability.score(run)
    assert run.reused == ["score_learnability"]
    table = pq.read_table(folder / "online").to_pydict()
    write(folder / "split", table["id"][::-1], table["loss"][::-1], n_files=7)
    spread = open_run(spark, config(folder, online={"table": f"{folder}/split"}))
    assert spread.key(STAGE) != run.key(STAGE)
    assert scored(spark, config(folder, online={"table": f"{folder}/split"})) == first


def test_losses_that_change_while_they_are_read_are_not_kept(
    spark: SparkSession, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pq.read_table(folder / "online").to_pydict()
    write(folder / "moving", table["id"], table["loss"])
    of = config(folder, online={"table": f"{folder}/moving"})
    run = open_run(spark, of)
    measured = score_learnability.measured

    def overwritten(*given: Any) -> Any:
        found = measured(*given)
        pq.write_table(pa.table({"id": ["60-1"], "loss": [1.0]}), folder / "moving" / "1.parquet")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(score_learnability, "measured", overwritten)
        with pytest.raises(InputChangedError, match="learnability.online.fingerprint=.* changed"):
            score_learnability.score(run)
    assert not open_run(spark, of).has_finished(STAGE)
    assert run.lake.read("learnability", run.key(STAGE)).count() > 0  # until runs clean
    events = [r.event for r in run.lake.read("runs", run.key(STAGE)).orderBy("at").collect()]
    assert events[-1] == "cleaned"


def test_it_changes_nothing_of_the_run_that_it_stands_on(spark: SparkSession, folder: Path) -> None:
    with_it, without = open_run(spark, config(folder)), open_run(spark, config_of(folder))
    assert with_it.run_id == without.run_id
    assert {k: v for k, v in with_it.keys.items() if k != STAGE.name} == without.keys
    assert RECIPE.lineage(with_it.written) == RECIPE.lineage(without.written)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("learnability", "error", "said"),
    [
        ({"source": "other"}, ConfigError, "learnability.source='other': want pool, or the name"),
        ({"within_nodes": 3}, ConfigError, "within_nodes=3, but the tree has 2 levels"),
        ({"online": None}, ConfigError, "online is missing; want the online model's losses"),
        ({"keep": 0.0}, ConfigError, "learnability.keep=0.0"),
        (
            {"online": {"table": "{folder}/online", "format": "xml"}},
            ConfigError,
            "learnability.online.format='xml'",
        ),
        ({"online": {"table": "/nowhere/losses"}}, InputError, "/nowhere/losses"),
        (
            {"reference": {"table": "{folder}/online", "loss": "x"}},
            InputError,
            "learnability.reference: id='id', loss='x' are no columns",
        ),
        (
            {"online": {"table": "{folder}/online", "fingerprint": "f"}},
            ConfigError,
            "learnability.online.fingerprint='f', but",
        ),
        (
            {"online": {"table": "{folder}/online", "id": "hash(id)"}},
            InputError,
            "learnability.online.id is int, the pool's ids are string; cast it",
        ),
        (
            {"online": {"table": "{folder}/online", "id": "concat('x', id)"}},
            InputError,
            "none of the 60 rows of 'pool' has both losses",
        ),
        (
            {"keep": 0.001},
            InputError,
            "learnability.keep=0.001 of 55 rows, by super-batch and node, is not one row; raise it",
        ),
        (
            {"online": {"table": "{folder}/online", "loss": "1 / (loss - loss)"}},
            InputError,
            "an expression of learnability cannot be computed on some row: [DIVIDE_BY_ZERO]",
        ),
    ],
)
def test_what_cannot_be_scored_is_refused(
    spark: SparkSession,
    folder: Path,
    learnability: dict[str, Any],
    error: type[CurationError],
    said: str,
) -> None:
    placed = {
        key: {k: str(v).format(folder=folder) for k, v in value.items()}
        if isinstance(value, dict)
        else value
        for key, value in learnability.items()
    }
    with pytest.raises(error) as refused:
        scored(spark, config(folder, **placed))
    assert said in str(refused.value)


def test_an_id_is_explained_with_its_score_and_its_place(spark: SparkSession, folder: Path) -> None:
    of = config(folder, within_nodes=2)
    run = open_run(spark, of)
    score_learnability.score(run)
    rows = rows_of(run)
    mine = next(row for row in rows if row["is_selected"])
    group = [r for r in rows if r["node_id"] == mine["node_id"]]
    place = sum(r["key"] >= mine["key"] for r in group)
    said = str(explain_point.explain(run, point=mine["id"]))
    assert said.splitlines()[-1] == (
        f"learnability: scored {mine['learnability']:.3g} in round 0, drawn, {place} of "
        f"{len(group)} of node {mine['node_id']}"
    )
    said = str(explain_point.explain(run, point=ABSENT))
    assert said.endswith("learnability: not scored: no_loss, online: no row has this id")


def test_two_references_and_costs_tell_what_a_draw_is_worth(
    spark: SparkSession, folder: Path
) -> None:
    noise = {"table": f"{folder}/online", "loss": "(xxhash64(id) % 1000) / 1000"}
    of = config(folder, second_reference=noise, gflop={"score": 1.0, "train": 6.0})
    run = open_run(spark, of)
    found = score_learnability.score(run)
    n = found.n_scored
    assert found.gflop == {"score": 2.0 * n, "train": 6.0 * found.n_selected, "uniform": 6.0 * n}
    assert found.worth["noise"] > 0
    rows = run.lake.read("report", run.key(STAGE)).where("section = 'learnability'").collect()
    cells = {row.metric: (row.value, row.control) for row in rows if row.x is None}
    assert cells["mean_learnability"] == (found.mean_selected, found.mean_learnability)
    assert cells["gflop_uniform"] == (6.0 * n, None)
    shares = [(row.value, row.control) for row in rows if row.metric == "share_of_rows"]
    assert [sum(each) for each in zip(*shares, strict=True)] == pytest.approx([1, 1])


def test_a_refresh_draws_again_on_the_run_that_is_there(spark: SparkSession, folder: Path) -> None:
    run = open_run(spark, config(folder), is_refresh=True)
    score_learnability.score(run)
    assert run.reused == []


def test_the_command_says_what_was_drawn(
    spark: SparkSession, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import yaml

    (folder / "config.yaml").write_text(yaml.safe_dump(as_dict(config(folder))))
    assert evenlake(["learnability", "--config", str(folder / "config.yaml")]) == 0
    said, worth, compute, table = capsys.readouterr().out.splitlines()
    assert said.startswith("round 0: 28 of 55 rows drawn by learnability: mean learnability ")
    reasons = "bad_loss 3, duplicate_loss 1, no_loss 1"
    assert said.endswith(f"of all; 5 rejects ({reasons}), which the table rejects names")
    assert worth.endswith("trained on other rows in learnability.second_reference")
    assert compute == "compute: not known; name the GFLOP of a row in learnability.gflop"
    assert table == f"table: {folder}/lake/learnability (stage_key, round, is_selected)"
    (page,) = (folder / "lake" / "reports").glob("*-learnability-*.html")
    assert said in page.read_text()
    assert (
        evenlake(
            ["learnability", "--config", str(folder / "config.yaml"), "learnability.source=null"]
        )
        == 2
    )


def test_a_level_is_checked_where_the_tree_is_open_and_a_refresh_takes_it_as_it_is(
    spark: SparkSession, folder: Path
) -> None:
    of = config(folder, "output.root=" + str(folder / "lake"), within_nodes=2)
    run = open_run(spark, of, is_refresh=True)
    run.config = run.config.model_copy(
        update={"cluster": run.config.cluster.model_copy(update={"levels": []})}
    )
    assert score_learnability.score(run).n_scored > 0
    with pytest.raises(ConfigError, match="within_nodes=3, but the tree has 2 levels; want one of"):
        score_learnability.score(open_run(spark, config(folder, within_nodes=3)))


def test_a_sample_named_pool_is_not_the_pool(spark: SparkSession, folder: Path) -> None:
    named = [{"name": "pool", "target_size": 9, "share": {"leaves": 0.0}}]
    of = parse_config(as_dict(config(folder)) | {"samples": named})
    with pytest.raises(ConfigError, match="source='pool' is all points, but a sample has that na"):
        score_learnability.score(open_run(spark, of))

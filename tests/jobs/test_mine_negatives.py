"""Batches of hard negatives: each point once, sizes exact, pairs apart, the same on any layout."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession

from jobs import balance_sample, cluster_levels, embed_pool, explain_point, mine_negatives
from jobs.__main__ import main as evenlake
from jobs.config.errors import ConfigError
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig, as_dict
from jobs.export_files import export
from jobs.exporting.wanted import Wanted
from jobs.negatives import cutting
from jobs.negatives.cutting import cut, cut_apart
from jobs.negatives.order import level_for, ordered, walk_of
from jobs.recipe import RECIPE
from jobs.runs.opening import open_run
from jobs.runs.run import Run
from jobs.spark.frames import as_frame
from jobs.training.batches import Batches
from tests.jobs.tiny import N_POINTS, config_of, write_curated
from udfs.near import DirectionReader
from udfs.negatives import Guard, same_values

pytestmark = pytest.mark.whole

STAGE = mine_negatives.STAGE
SIZE, N_WHOLE = 8, N_POINTS // 8

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_curated(spark, tmp_path_factory.mktemp("negatives"))


def config(folder: Path, *overrides: str, **contrast: Any) -> RunConfig:
    batches = {"size": SIZE} | contrast.pop("batches", {})
    given = {"source": "pool"} | contrast | {"batches": batches}
    return parse_config(as_dict(config_of(folder)) | {"contrast": given}, overrides)


def mined(spark: SparkSession, of: RunConfig) -> Run:
    run = open_run(spark, of)
    mine_negatives.mine(run)
    return run


def rows_of(run: Run) -> Rows:
    table = run.lake.read("hard_negative_batches", run.key(STAGE)).drop("generation", "op")
    return in_batches(table)


def in_batches(rows: DataFrame) -> Rows:
    return sorted(
        (row.asDict() for row in rows.collect()), key=lambda row: (row["batch_id"], row["position"])
    )


def members(rows: Rows) -> list[set[Any]]:
    """Return the ids of each batch, which are numbered from 0 without a gap."""
    found = defaultdict(set)
    for row in rows:
        found[row["batch_id"]].add(row["id"])
    assert sorted(found) == [*range(len(found))]
    return [found[batch] for batch in range(len(found))]


# --- a mixture of planted directions, without a run -----------------------------------------------

N, N_NODES, N_FEATURES = 600, 30, 8


@pytest.fixture(scope="module")
def mixture() -> tuple[NDArray[np.float32], NDArray[np.int64], pa.Table]:
    """Return points, the node of each, and the tree's nodes; ids are the points' numbers."""
    rng = np.random.default_rng(3)
    C = rng.standard_normal((N_NODES, N_FEATURES))
    node = rng.integers(N_NODES, size=N)
    X = C[node] + 0.4 * rng.standard_normal((N, N_FEATURES))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    nodes = pa.table(
        {
            "level": pa.array(np.ones(N_NODES, np.int32)),
            "node_id": np.arange(N_NODES),
            "parent_id": pa.nulls(N_NODES, pa.int64()),
            "n_points": np.bincount(node, minlength=N_NODES),
            "centroid": [*C.astype(np.float32)],
        }
    )
    return X.astype(np.float32), node, nodes


def in_order(spark: SparkSession, mixture: Any, n_partitions: int, **how: Any) -> DataFrame:
    _, node, nodes = mixture
    points = as_frame(spark, pa.table({"id": np.arange(N), "cluster_id": node}))
    walk = as_frame(spark, walk_of(nodes, 2.0**-20))
    given = {"n_walk": N, "temperature": 0.0, "seed": 5, "epoch": 0} | how
    return ordered(points.repartition(n_partitions), walk, **given)


def mean_cosine(X: NDArray[np.float32], batches: Sequence[set[int]]) -> float:
    each = [X[sorted(batch)] for batch in batches]
    return float(np.mean([((Z @ Z.T).sum() - len(Z)) / (len(Z) * (len(Z) - 1)) for Z in each]))


def test_points_follow_each_other_as_their_nodes_do(spark: SparkSession, mixture: Any) -> None:
    _, node, nodes = mixture
    rows = in_order(spark, mixture, 7).collect()
    by_place = [row.cluster_id for row in sorted(rows, key=lambda row: row["place"])]
    assert sorted(row["place"] for row in rows) == [*range(N)]
    assert Counter(by_place) == Counter(node.tolist())
    seen = [by_place[0], *(b for a, b in zip(by_place, by_place[1:], strict=False) if a != b)]
    order = walk_of(nodes, 2.0**-20)["node_id"].to_pylist()
    start = order.index(seen[0])
    turned = order[start:] + order[:start]
    # the walk may begin within a node, which then comes again at its end
    assert seen in (turned, [*turned, seen[0]])


def test_temperature_goes_from_one_node_to_all(spark: SparkSession, mixture: Any) -> None:
    X, found = mixture[0], []
    for temperature in (0.0, 0.1, 0.4, 1.0):
        rows = cut(in_order(spark, mixture, 3, temperature=temperature), n_points=N, size=20).rows
        found.append(mean_cosine(X, members(in_batches(rows))))
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.5 > 0.05 > found[-1]
    beyond = [
        in_batches(cut(in_order(spark, mixture, 3, temperature=t), n_points=N, size=20).rows)
        for t in (1.0, 7.0)
    ]
    assert beyond[0] == beyond[1]


@pytest.mark.parametrize("is_guarded", [False, True])
def test_batches_do_not_depend_on_partitions(
    spark: SparkSession, mixture: Any, is_guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """600 points in runs of 120, so that several tasks place them, and what is left once more."""
    monkeypatch.setattr(cutting, "RUN_ROWS", 120)
    X = mixture[0]
    points = as_frame(spark, pa.table({"id": np.arange(N), "embedding": [*X]}))
    guard = Guard(24, DirectionReader(N_FEATURES, is_normal=True), 0.9, by_content=False)

    def batches(n_partitions: int) -> tuple[Rows, int]:
        rows = in_order(spark, mixture, n_partitions)
        if not is_guarded:
            found = cut(rows, n_points=N, size=guard.size)
        else:
            points_ = points.repartition(n_partitions)
            found = cut_apart(rows, points_, guard, n_points=N, seed=5, persist=DataFrame.persist)
        return in_batches(found.rows), found.n_whole

    first, n_whole = batches(1)
    assert batches(7) == (first, n_whole)
    each = members(first)
    assert sorted(id_ for batch in each for id_ in batch) == [*range(N)]
    assert {len(batch) for batch in each[:n_whole]} == {guard.size}
    assert all(len(batch) < guard.size for batch in each[n_whole:])
    for batch in each:
        positions = [row["position"] for row in first if row["id"] in batch]
        assert sorted(positions) == [*range(len(batch))]
    largest = max(float(np.triu(X[sorted(b)] @ X[sorted(b)].T, 1).max()) for b in each)
    assert (largest <= 0.9 + 1e-6) is is_guarded
    assert n_whole == N // guard.size or (is_guarded and n_whole > 0.8 * N / guard.size)


def test_windows_of_numbers_cover_the_walk(spark: SparkSession, mixture: Any) -> None:
    found = cut(in_order(spark, mixture, 3), n_points=N, size=6)
    nodes = [{r["cluster_id"] for r in in_batches(found.rows) if r["batch_id"] == b}
             for b in range(found.n_whole)]  # fmt: skip
    assert found.n_whole == 100
    for start in range(0, 90, 10):  # a tenth of the batches, one of each tenth of the walk
        assert len(set.union(*nodes[start : start + 10])) >= 9


def test_pairs_of_one_value_by_hand() -> None:
    column = pa.chunked_array([pa.array([b"x", b"y", b"x"]), pa.array([b"x", b"z", b"y"])])
    pairs = {
        frozenset(pair) for pair in zip(*(p.tolist() for p in same_values(column)), strict=True)
    }
    assert pairs == {frozenset(p) for p in ((0, 2), (0, 3), (2, 3), (1, 5))}


@pytest.mark.parametrize(
    ("n_nodes", "size", "level"), [((8, 3), 7, 1), ((8, 3), 8, 2), ((8, 3), 60, 2), ((8,), 60, 1)]
)
def test_the_level_is_the_lowest_whose_nodes_fill_a_batch(
    n_nodes: tuple[int, ...], size: int, level: int
) -> None:
    assert level_for(60, n_nodes, size) == level


# --- the stage ------------------------------------------------------------------------------------


def test_every_point_is_in_one_batch_of_each_epoch(spark: SparkSession, folder: Path) -> None:
    first = mined(spark, config(folder))
    other = mined(spark, config(folder, "contrast.batches.drop_last=true", batches={"epoch": 1}))
    ids = {f"{N_POINTS}-{i}" for i in range(N_POINTS)}
    rows = rows_of(first)
    assert sorted(row["id"] for row in rows) == sorted(ids)
    assert [len(batch) for batch in members(rows)] == [SIZE] * N_WHOLE + [4]
    assert {row["epoch"] for row in rows} == {0}
    later = members(rows_of(other))
    assert [len(batch) for batch in later] == [SIZE] * N_WHOLE
    assert not {frozenset(batch) for batch in later} & {frozenset(b) for b in members(rows)}
    done = first.outcome(STAGE)
    assert (done.n_points, done.n_whole, done.n_smaller, done.n_left) == (N_POINTS, N_WHOLE, 1, 0)
    assert (done.level, done.n_nodes) == (2, 3)
    assert done.hardness["mean_cosine"] > done.hardness["mean_cosine.control"] + 0.1
    dropped = other.outcome(STAGE)
    assert (dropped.n_whole, dropped.n_smaller, dropped.n_left) == (N_WHOLE, 0, 4)
    again = open_run(spark, config(folder))
    mine_negatives.mine(again)
    assert again.reused == [STAGE.name]


def test_a_sample_is_guarded_and_explained(spark: SparkSession, folder: Path) -> None:
    given = {"size": 4, "max_cosine": 0.8}
    run = mined(spark, config(folder, "report.label=label", source="s", level=1, batches=given))
    sample = {row.id for row in run.lake.read("sample_s").select("id").collect()}
    rows = rows_of(run)
    assert sorted(row["id"] for row in rows) == sorted(sample)
    points = run.lake.read("embeddings", run.keys["embed_pool"]).select("id", "embedding")
    vector = {row.id: np.array(row.embedding) for row in points.collect()}
    for batch in members(rows):
        Z = np.array([vector[id_] for id_ in batch])
        assert np.triu(Z @ Z.T, 1).max() <= 0.8 + 1e-6
    hardness = run.outcome(STAGE).hardness
    assert hardness["pairs_above_max_cosine"] == 0 < hardness["pairs_above_max_cosine.control"]
    assert 0 < hardness["pairs_of_one_label"] < 1
    row = rows[5]
    said = str(explain_point.explain(run, point=row["id"])).splitlines()[-1]
    assert said == (
        f"negatives: in batch {row['batch_id']} of epoch 0, as a point of node {row['cluster_id']} "
        "of level 1"
    )
    (outside, *_) = {f"{N_POINTS}-{i}" for i in range(N_POINTS)} - sample
    said = str(explain_point.explain(run, point=outside)).splitlines()[-1]
    assert said == "negatives: in no batch of epoch 0"


def test_copies_that_were_not_turned_away_never_share_a_batch(
    spark: SparkSession, tmp_path: Path
) -> None:
    X = np.random.default_rng(1).standard_normal((40, 4))
    X[[7, 13, 21]], X[30] = X[2], X[4]
    pq.write_table(pa.table({"id": np.arange(40), "vector": [*X]}), tmp_path / "pool.parquet")
    plain = as_dict(config_of(tmp_path)) | {
        "input": {"table": f"{tmp_path}/pool.parquet", "embedding": "vector"},
        "dedup": {"exact": False},
        "contrast": {"source": "pool", "batches": {"size": 10}},
    }
    run = open_run(spark, parse_config(plain, ()))
    for stage in (embed_pool.STAGE, cluster_levels.STAGE, balance_sample.STAGE):
        run.do(stage)
    mine_negatives.mine(run)
    rows = rows_of(run)
    batch = {row["id"]: row["batch_id"] for row in rows}
    assert len({batch[i] for i in (2, 7, 13, 21)}) == 4
    assert batch[4] != batch[30]
    assert [len(each) for each in members(rows)] == [10] * 4


def test_it_changes_nothing_of_the_run_that_it_stands_on(folder: Path, spark: SparkSession) -> None:
    with_it, without = open_run(spark, config(folder)), open_run(spark, config_of(folder))
    assert with_it.run_id == without.run_id
    assert {k: v for k, v in with_it.keys.items() if k in without.keys} == without.keys
    assert RECIPE.lineage(with_it.written) == RECIPE.lineage(without.written)


@pytest.mark.parametrize(
    ("contrast", "said"),
    [
        ({"source": None}, "contrast.source=None: want pool, or the name of a sample: s"),
        ({"source": "other"}, "contrast.source='other': want pool, or the name of a sample: s"),
        ({"level": 3}, "contrast.level=3, but the tree has 2 levels; want one of them, or null"),
        (
            {"batches": {"size": 61}},
            "contrast.batches.size=61 exceeds the 60 points of 'pool'; want at most 60",
        ),
        (
            {"source": "s", "batches": {"size": 61}},
            "contrast.batches.size=61 exceeds the 20 points of 's'; want at most 20",
        ),
    ],
)
def test_what_cannot_be_mined_is_refused(
    spark: SparkSession, folder: Path, contrast: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        mined(spark, config(folder, **contrast))
    assert str(refused.value) == said


def test_batches_are_exported_as_trainers_read_them(
    spark: SparkSession, folder: Path, tmp_path: Path
) -> None:
    run = mined(spark, config(folder))
    wanted = Wanted(of="negatives", columns=("label", "vector"))
    done = export(run, f"{tmp_path}/export", wanted)
    assert (done.index.n_batches, done.index.n_rows) == (N_WHOLE + 1, N_POINTS)
    mine = members(rows_of(run))
    read = [*Batches(done.folder)]
    assert [set(batch["id"]) for batch in read] == mine
    assert [len(batch["vector"]) for batch in read] == [SIZE] * N_WHOLE + [4]
    with pytest.raises(ConfigError, match="--of negatives --batch-size 4: batches are exported as"):
        export(run, f"{tmp_path}/other", Wanted(of="negatives", batch_size=4))


def test_the_command_says_what_was_mined(
    spark: SparkSession, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "config.yaml").write_text(yaml.safe_dump(as_dict(config(folder))))
    assert evenlake(["negatives", "--config", str(folder / "config.yaml")]) == 0
    batches, level, cosine, loss, table, page = capsys.readouterr().out.splitlines()
    assert batches == "7 batches of 8, 1 smaller, of 60 points in epoch 0"
    assert level == (
        "from level 2 of the tree, chosen by the size of a batch: 3 nodes of 20 points on average"
    )
    assert cosine.startswith("mean cosine of a batch's points, seen from the mean of all: 0.")
    assert loss.startswith("InfoNCE of a batch in nats, at a temperature of 0.1: 0.")
    assert table.startswith(f"table: {folder}/lake/hard_negative_batches (stage_key = ")
    assert "uniform batches" in Path(page.removeprefix("page: ")).read_text()


def test_batches_that_no_size_allows_are_all_smaller(spark: SparkSession, folder: Path) -> None:
    of = config(folder, batches={"size": 32, "max_cosine": 1e-6})
    run = mined(spark, of)
    done = run.outcome(STAGE)
    assert (done.n_whole, done.hardness) == (0, {})
    assert len(rows_of(run)) + done.n_left == N_POINTS

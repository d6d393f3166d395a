"""The outlier gate: which points go, where they no longer appear, and that off changes no key."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from jobs import cluster_levels, curate, embed_pool, gate_outliers
from jobs.config.errors import GuardError
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig
from jobs.curate import RunSummary
from jobs.explain_point import explain
from jobs.judging.scatter import Scatter
from jobs.outliers import search
from jobs.outliers.scatter import scatter_rows
from jobs.past.checking import verify
from jobs.past.history import read_history
from jobs.points import surviving as door
from jobs.points.medians import exact_median
from jobs.recipe import RECIPE
from jobs.runs import run as runs
from jobs.runs.opening import open_run
from jobs.runs.run import Run
from jobs.tables.shared import REJECTS, REPORT
from udfs.kernels.exact.grid import grid_unit, to_grid

pytestmark = pytest.mark.whole

N_CONCEPTS, PER_CONCEPT, N_FEATURES = 6, 20, 8
FAR = {"far": 9.0, "pair-a": -7.0, "pair-b": -7.0}  # id: its place on an axis of its own
Pool = dict[str, NDArray[np.float32]]


def pool() -> Pool:
    """Return six tight concepts, one of them of only four points, a lone point and a pair."""
    rng = np.random.default_rng(5)
    centres = 2 * rng.standard_normal((N_CONCEPTS, N_FEATURES))
    points = {}
    for c, centre in enumerate(centres):
        for i in range(4 if c == 0 else PER_CONCEPT):
            points[f"c{c}-{i:02}"] = centre + 0.3 * rng.standard_normal(N_FEATURES)
    for id_, at in FAR.items():
        points[id_] = np.eye(N_FEATURES)[0 if id_ == "far" else 1] * at
    return {id_: np.asarray(x, np.float32) for id_, x in points.items()}


def write(spark: SparkSession, folder: Path, points: Pool, n_files: int) -> None:
    rows = [(id_, x.tolist(), id_[:2]) for id_, x in points.items()]
    frame = spark.createDataFrame(rows, "id string, vector array<float>, label string")
    frame.repartition(n_files).write.format("parquet").save(str(folder))


def config_of(folder: Path, root: str, *overrides: str, pool: str = "pool") -> RunConfig:
    plain: dict[str, Any] = {
        "input": {"table": f"{folder}/{pool}", "embedding": "vector", "metadata": ["label"]},
        "output": {"root": f"{folder}/{root}"},
        "embed": {"normalize": False},
        "dedup": {"exact": False},
        "outliers": {"method": "knn"},
        "cluster": {"levels": [8, 2], "resampling": {"rounds": 1}},
        "samples": [{"name": "s", "target_size": 1000, "share": {"leaves": 0.0}}],
    }
    return parse_config(plain, overrides)


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outliers")
    write(spark, folder / "pool", pool(), 1)
    return folder


@pytest.fixture(scope="module")
def summary(spark: SparkSession, folder: Path) -> RunSummary:
    return curate.run(spark, config_of(folder, "lake"))


@pytest.fixture(scope="module")
def run(spark: SparkSession, folder: Path, summary: RunSummary) -> Run:
    return open_run(spark, config_of(folder, "lake"))


def found(run: Run) -> list[tuple[str, str]]:
    stored = run.read(gate_outliers.STAGE, REJECTS)
    return sorted((row.id, row.detail) for row in stored.collect())


def scores(points: Pool, k: int = search.N_NEIGHBOURS) -> dict[str, float]:
    """Return every point's score, by brute force; medians are the lower ones."""
    X = np.array([*points.values()], np.float64)
    distances = np.sort(np.linalg.norm(X[:, None] - X[None], axis=2), axis=1)[:, k]
    middle = (len(X) - 1) // 2
    median = np.sort(distances)[middle]
    mad = np.sort(abs(distances - median))[middle]
    return dict(zip(points, (distances - median) / (1.4826 * mad), strict=True))


def test_those_far_from_all_go_a_pair_too_and_a_concept_of_four_stays(run: Run) -> None:
    assert [id_ for id_, _ in found(run)] == sorted(FAR)
    by_brute_force = scores(pool())
    assert {id_ for id_, score in by_brute_force.items() if score > 6} == {*FAR}
    for id_, detail in found(run):
        assert detail.startswith(f"score {by_brute_force[id_]:.1f}, limit 6; ")
    assert "nearest id pair-b" in dict(found(run))["pair-a"]


def test_outliers_reach_no_leaf_and_no_sample(run: Run, summary: RunSummary) -> None:
    stay = {*pool()} - {*FAR}
    assigned = run.read(cluster_levels.STAGE, cluster_levels.ASSIGNMENTS).collect()
    assert {row.id for row in assigned} == stay
    assert {row.id for row in run.lake.read("sample_s").collect()} == stay
    assert door.size_of(run).n_points == len(stay)


def test_the_report_has_scores_and_examples_and_counts_outliers_as_rejects(
    run: Run, summary: RunSummary
) -> None:
    stored = run.read(gate_outliers.STAGE, REPORT).collect()
    figures = {row.metric: row.value for row in stored if row.key is None}
    n = len(pool())
    assert figures["n_turned_away"] == len(FAR)
    assert figures["share_turned_away"] == len(FAR) / n
    assert sum(row.value for row in stored if row.metric == "n_points") == n
    assert [row.key for row in stored if row.metric == "score_worst"][0] == "far"
    assert {row.key for row in stored if row.metric == "score_just_above_the_limit"} == {*FAR}
    page = Path(summary.report_path).read_text()
    assert "<h2>Outliers</h2>" in page
    assert (
        f"{n} rows read, {len(FAR)} rejects (outlier {len(FAR)}), {n - len(FAR)} points in the tree"
        in (summary.balance[0])
    )


def test_an_explanation_has_the_score(run: Run) -> None:
    outlier = explain(run, point="far")
    assert str(outlier.gate).startswith("rejected: outlier, score ")
    assert outlier.gate.stage == "gate_outliers"
    assert explain(run, point="c0-00").gate.status == "accepted"


def test_a_second_run_reuses_it_and_what_it_wrote_verifies(
    spark: SparkSession, folder: Path, run: Run
) -> None:
    config = config_of(folder, "lake")
    again = curate.run(spark, config)
    assert again.reused == [stage.name for stage in RECIPE.on(config)]
    history = read_history(run.lake, RECIPE)
    verify(run.lake, history, history.runs[0]).require()


def gated(spark: SparkSession, config: RunConfig) -> Run:
    run = open_run(spark, config)
    run.do(embed_pool.STAGE)
    run.do(gate_outliers.STAGE)
    return run


def test_files_cells_and_where_points_are_held_change_nothing(
    spark: SparkSession, folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(spark, folder / "shuffled", dict(reversed(pool().items())), 7)
    monkeypatch.setattr(door, "HANDED_BYTES", 0)
    monkeypatch.setattr(runs, "HANDED_BYTES", 0)
    one_cell = gated(spark, config_of(folder, "read", pool="shuffled"))
    assert found(one_cell) == found(run)
    # whoever looks too far away asks in all cells, so those of a concept cut in two stay
    monkeypatch.setattr(search, "CELL_ROWS", 12)
    monkeypatch.setattr(search.math, "isqrt", lambda n: 6)
    cells = [
        gated(spark, config_of(folder, root, pool=name))
        for root, name in (("cells", "pool"), ("cells7", "shuffled"))
    ]
    assert found(cells[0]) == found(cells[1])
    assert [id_ for id_, _ in found(cells[0])] == sorted(FAR)


@pytest.mark.parametrize("n_points", [1, 2, 3, 40])
def test_copies_and_pools_too_small_have_no_outliers(
    spark: SparkSession, tmp_path: Path, n_points: int
) -> None:
    x = np.arange(3, dtype=np.float32)
    write(spark, tmp_path / "pool", {f"p{i:02}": x for i in range(n_points)}, 1)
    run = gated(spark, config_of(tmp_path, "lake"))
    outcome = run.outcome(gate_outliers.STAGE)
    assert (outcome.n_turned_away, outcome.median, outcome.mad) == (0, 0.0, 0.0)


def test_so_many_that_they_are_no_outliers_stop_the_run(spark: SparkSession, folder: Path) -> None:
    config = config_of(folder, "guarded", "hygiene.max_reject_fraction=0.01")
    with pytest.raises(GuardError, match=r"3 of 107 points score above outliers.max_score=6, more"):
        gated(spark, config)


def test_it_enters_the_keys_after_it_where_it_is_on_and_none_where_it_is_off(folder: Path) -> None:
    on, off, higher = (
        RECIPE.keys(config_of(folder, "lake", *said), "f")
        for said in ((), ("outliers.method=null",), ("outliers.max_score=7",))
    )
    before = ("embed_pool", "find_duplicates")
    after = ("tune_tree", "cluster_levels", "balance_sample", "report_curation")
    assert all(on[name] == off[name] for name in before)
    assert all(on[name] != off[name] != higher[name] != on[name] for name in after)
    plain = config_of(folder, "lake", "outliers={}")
    assert RECIPE.keys(plain, "f") == off
    assert RECIPE.lineage(plain) == RECIPE.lineage(
        config_of(folder, "lake", "outliers.method=null")
    )


def test_where_it_is_off_the_report_estimates_what_it_would_find(
    spark: SparkSession, folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    off = open_run(spark, config_of(folder, "lake", "outliers.method=null"))
    unit = grid_unit(off.outcome(embed_pool.STAGE).largest_norm)
    X = to_grid(np.array([*pool().values()]), unit)
    above = np.array([*scores(pool()).values()]) > 6
    some = [*np.flatnonzero(above), 0]
    rows = scatter_rows(off, X, {"s": X[some]}, unit)
    figures = {(row.sample, row.metric): row.value for row in rows}
    assert figures["s", "share_above"] == 0.75
    assert {row.control for row in rows if row.metric == "share_above"} == {above.mean()}
    variance = above.mean() * (1 - above.mean()) / len(X) + 0.25 * 0.75 / 4
    assert figures["s", "share_error"] == pytest.approx(variance**0.5)
    monkeypatch.setattr(door, "HANDED_BYTES", 0)
    assert scatter_rows(off, X, {"s": X[some]}, unit) == rows
    assert scatter_rows(run, X, {"s": X}, unit) == []  # it is on
    (same, _) = scatter_rows(off, X, {"s": X}, unit)
    assert same.value == same.control == above.mean()


@pytest.mark.parametrize(
    ("mine", "error", "said"),
    [
        (0.4, 0.01, "40.0% of s and 2.0% of the pool "),
        (0.4, 0.2, None),
        (0.01, 0.0, None),
    ],
)
def test_it_is_proposed_where_a_sample_has_more_scatter_than_chance_explains(
    mine: float, error: float, said: str | None
) -> None:
    found = Scatter(mine, 0.02, error)
    assert str(found.said("s", most=0.1)).startswith(str(said))
    assert found.said("s", most=0.01) is None  # the gate would stop the run
    assert Scatter(None, None, None).said("s", most=0.1) is None


@pytest.mark.parametrize("n", [0, 1, 2, 999])
def test_medians_are_exact_whatever_the_partitions(spark: SparkSession, n: int) -> None:
    values = np.random.default_rng(n).gamma(2.0, size=n).round(2)
    rows = spark.createDataFrame([(float(v),) for v in values] + [(None,)], "v double")
    wanted = float(np.sort(values)[(n - 1) // 2]) if n else None
    for n_partitions in (1, 7):
        found = exact_median(rows.repartition(n_partitions), "v", largest=20.0)
        assert found == wanted

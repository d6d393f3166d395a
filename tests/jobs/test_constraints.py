"""Samples with constraints, drawn from one tree: what they hold, in which order, and why not."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from jobs import balance_sample, cluster_levels, curate, report_curation, tune_tree
from jobs.config.errors import ConfigError, InputError
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig
from jobs.explain_point import explain
from jobs.points import surviving
from jobs.runs.opening import open_run

pytestmark = pytest.mark.whole

N_POINTS = 120
METADATA = ["language", "tokens", "quality"]


def write_pool(spark: SparkSession, path: Path) -> None:
    rng = np.random.default_rng(5)
    X = rng.standard_normal((N_POINTS, 4))
    rows = [
        (f"p{i:03}", x.tolist(), "en" if i % 4 else "de", 10 + i, None if i == 7 else float(i % 5))
        for i, x in enumerate(X)
    ]
    columns = "id string, vector array<double>, language string, tokens long, quality double"
    spark.createDataFrame(rows, columns).write.format("delta").save(str(path))


def config_of(folder: Path, *samples: dict[str, Any], **more: Any) -> RunConfig:
    even = {"share": {"leaves": 0.0}}
    named = [{"name": f"s{i}"} | even | sample for i, sample in enumerate(samples)]
    plain = {
        "input": {"table": f"{folder}/pool", "embedding": "vector", "metadata": METADATA},
        "output": {"root": f"{folder}/lake"},
        "cluster": {"levels": [8, 3], "resampling": {"rounds": 1}},
        "samples": named,
    }
    return parse_config(plain | more)


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("constraints")
    write_pool(spark, folder / "pool")
    curate.run(spark, config_of(folder, {"target_size": 20}))
    return folder


@pytest.fixture
def draw(spark: SparkSession, folder: Path) -> Callable[..., list[list[Row]]]:
    """Draw samples from the tree; each in the order in which its rows were admitted."""

    def drawn(*samples: dict[str, Any]) -> list[list[Row]]:
        config = config_of(folder, *samples)
        balance_sample.run(spark, config)
        rows = open_run(spark, config).read(balance_sample.STAGE, balance_sample.SAMPLES).collect()
        found = [[row for row in rows if row["sample"] == f"s{i}"] for i in range(len(samples))]
        return [sorted(mine, key=lambda row: row.position) for mine in found]

    return drawn


Draw = Callable[..., list[list[Row]]]


def number(row: Row) -> int:
    return int(row.id[1:])


def is_german(row: Row) -> bool:
    return number(row) % 4 == 0


def test_what_must_be_in_is_in_and_what_must_not_is_not(draw: Draw) -> None:
    both = {"must_include": "tokens >= 125", "must_exclude": "language = 'de' AND id < 'p100'"}
    ((*rows,),) = draw({"target_size": 20} | both)
    assert len({row.id for row in rows}) == len(rows) == 20
    must = {f"p{i:03}" for i in range(115, N_POINTS)}
    assert {row.id for row in rows[:5]} == must  # and first of all
    assert not [row for row in rows if is_german(row) and number(row) < 100]


def test_values_have_their_quotas_at_every_size(draw: Draw) -> None:
    quotas = {"by": "language", "values": {"de": {"share": 0.5}}}
    ((*rows,),) = draw({"target_size": 40, "quotas": quotas})
    assert Counter(map(is_german, rows)) == {True: 20, False: 20}
    assert sum(map(is_german, rows[:10])) == 5
    assert sum(row.pool_weight for row in rows if is_german(row)) == pytest.approx(30)
    assert sum(row.pool_weight for row in rows) == pytest.approx(N_POINTS)


def test_rows_of_more_weight_are_likelier(draw: Draw) -> None:
    plain, weighted = draw(
        {"target_size": 40}, {"target_size": 40, "weight": {"by": "quality", "strength": 4}}
    )
    quality = [np.mean([number(row) % 5 for row in rows]) for rows in (plain, weighted)]
    assert quality[1] > quality[0] + 0.7
    assert Counter(r.leaf_id for r in plain) == Counter(r.leaf_id for r in weighted)
    assert not [row for row in weighted if number(row) in (7, 0, 5)]  # no weight: they come last


def test_sizes_are_told_in_parts_and_in_totals(draw: Draw) -> None:
    part, total, small = draw(
        {"target_size": 0.25},
        {"target_size": {"total": 1500, "of": "tokens"}},
        {"target_size": {"total": 400, "of": "tokens"}},
    )
    assert len(part) == N_POINTS // 4
    tokens = [10 + number(row) for row in total]
    assert 1500 - max(tokens) < sum(tokens) <= 1500
    assert [row.id for row in total[: len(small)]] == [row.id for row in small]
    ((*whole,),) = draw({"target_size": {"total": 1e9, "of": "tokens"}})
    assert len(whole) == N_POINTS


def test_a_size_may_be_told_by_the_leaves_that_it_reaches(draw: Draw) -> None:
    most, whole = draw(
        {"target_size": {"coverage": 0.75}},
        {"target_size": N_POINTS},
    )
    assert len({row.leaf_id for row in most}) == 6
    assert len({row.leaf_id for row in most[:-1]}) == 5
    assert [row.id for row in most] == [row.id for row in whole[: len(most)]]


def test_quotas_and_totals_agree(draw: Draw) -> None:
    quotas = {"by": "language", "values": {"de": {"share": 0.5}}}
    ((*rows,),) = draw({"target_size": {"total": 1000, "of": "tokens"}, "quotas": quotas})
    assert sum(10 + number(row) for row in rows) <= 1000
    assert abs(sum(map(is_german, rows)) - len(rows) / 2) <= 0.5


def test_a_total_is_reached_beside_constraints_that_allow_little_more(draw: Draw) -> None:
    halves = {"by": "language", "values": {"de": {"share": 0.5}}}  # of 30 rows: 60 at most
    few, even, whole = draw(
        {"target_size": {"total": 1500, "of": "tokens"}, "per_node": {"level": 1, "max": 4}},
        {"target_size": {"total": 3600, "of": "tokens"}, "quotas": halves},
        {"target_size": {"total": 9000, "of": "tokens"}, "per_node": {"level": 1, "max": 4}},
    )
    for rows, total in ((few, 1500), (even, 3600)):
        tokens = [10 + number(row) for row in rows]
        assert total - 130 < sum(tokens) <= total
    assert max(Counter(row.leaf_id for row in few).values()) <= 4
    assert abs(sum(map(is_german, even)) - len(even) / 2) <= 0.5
    assert Counter(row.leaf_id for row in whole) == {leaf: 4 for leaf in range(8)}


def test_a_sample_with_replicas_is_judged_by_as_many_points(
    spark: SparkSession, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(folder, {"target_size": 240, "replicas": 3})
    curate.run(spark, config)
    run = open_run(spark, config)
    found = [report_curation._sampled(run, "s0", 60)]
    monkeypatch.setattr(surviving, "HANDED_BYTES", 0)
    found.append(report_curation._sampled(open_run(spark, config), "s0", 60))
    assert len(found[0]) == 60
    assert found[0]["id"].to_pylist() == found[1]["id"].to_pylist()


def test_diverse_rows_lie_farther_from_each_other(draw: Draw) -> None:
    diverse, plain, small = draw(
        {"target_size": 40, "strategy": "diverse"},
        {"target_size": 40},
        {"target_size": 20, "strategy": "diverse"},
    )
    X = np.random.default_rng(5).standard_normal((N_POINTS, 4))
    X /= np.linalg.norm(X, axis=1, keepdims=True)

    def closest(rows: list[Row]) -> float:
        """Return the mean distance to the nearest other row of the same leaf."""
        found = []
        for row in rows:
            mine = [number(r) for r in rows if r.leaf_id == row.leaf_id and r.id != row.id]
            found.append(np.linalg.norm(X[mine] - X[number(row)], axis=1).min())
        return float(np.mean(found))

    assert closest(diverse) > 1.2 * closest(plain)
    assert [row.id for row in diverse[:20]] == [row.id for row in small]


def test_a_node_has_its_least_and_its_most(draw: Draw) -> None:
    ((*rows,),) = draw({"target_size": 24, "per_node": {"level": 1, "min": 2, "max": 4}})
    counts = Counter(row.leaf_id for row in rows)
    assert len(rows) == 24
    assert max(counts.values()) <= 4
    assert min(counts.values()) >= 2
    assert len(counts) == 8


def test_a_value_has_its_quota_and_a_node_its_most(draw: Draw) -> None:
    quotas = {"by": "language", "values": {"de": {"share": 0.5}}}
    samples = [{"target_size": 36, "quotas": quotas}, {"target_size": 36, "quotas": quotas}]
    free, both = draw(samples[0], samples[1] | {"per_node": {"level": 1, "max": 5}})
    assert max(Counter(row.leaf_id for row in free).values()) > 5
    assert max(Counter(row.leaf_id for row in both).values()) == 5
    assert Counter(map(is_german, both)) == {True: 18, False: 18}
    assert [row.position for row in both] == list(range(36))


def test_many_draws_with_constraints_do_not_depend_on_partitions(
    spark: SparkSession, folder: Path, tmp_path: Path
) -> None:
    samples = [
        {"target_size": 30, "quotas": {"by": "language", "values": {"de": {"min": 12}}}},
        {"target_size": 30, "weight": {"by": "quality"}, "must_exclude": "tokens < 30"},
        {"target_size": {"total": 2000, "of": "tokens"}, "must_include": "id = 'p003'"},
        {"target_size": 40, "strategy": "diverse", "must_include": "id < 'p004'"},
    ]
    found = []
    for n in (1, 7):
        pool = spark.read.format("delta").load(f"{folder}/pool").repartition(n)
        (tmp_path / str(n)).mkdir()
        pool.write.format("parquet").save(f"{tmp_path}/{n}/pool")
        config = config_of(tmp_path / str(n), *samples)
        curate.run(spark, config)
        run = open_run(spark, config)
        rows = run.read(balance_sample.STAGE, balance_sample.SAMPLES).drop("tree_key").collect()
        found.append(sorted(map(tuple, rows)))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({"must_exclude": "langage = 'de'"}, "no filter over the id and the metadata.*language"),
        ({"must_include": "tokens"}, "is string; want a filter, true or false for each row"),
        ({"must_include": "rand() < 0.5"}, "gives other rows at every read"),
        (
            {"must_exclude": "cast(language AS int) > 3"},
            "an expression of samples cannot be computed on some row: .*try_cast",
        ),
        ({"must_include": "true"}, "target_size is 20 rows, and its constraints demand 120"),
        ({"must_exclude": "id >= 'p010'"}, "must_exclude leaves 10; want 10 or fewer"),
        (
            {"target_size": {"total": 50, "of": "quality"}},
            "1 of 120 points have no number >= 0 there; exclude them with must_exclude",
        ),
        ({"target_size": {"total": 3, "of": "tokens"}}, "less than the first row's tokens"),
    ],
)
def test_what_cannot_be_drawn_says_so(
    spark: SparkSession, folder: Path, more: dict[str, Any], match: str
) -> None:
    config = config_of(folder, {"target_size": 20} | more)
    with pytest.raises((ConfigError, Exception), match=match):
        balance_sample.run(spark, config)


def test_an_explanation_knows_the_constraints(spark: SparkSession, folder: Path) -> None:
    config = config_of(
        folder,
        {"name": "without", "target_size": 20, "must_exclude": "id = 'p050'"},
        {"name": "with", "target_size": 20, "must_include": "id = 'p050'"},
    )
    curate.run(spark, config)
    without, with_it = explain(open_run(spark, config), point="p050").samples
    assert without.why_not == "must_exclude: id = 'p050'"
    assert (with_it.rank, with_it.replicas) == (0, [0])


def test_a_tree_is_sought_for_a_total(spark: SparkSession, folder: Path) -> None:
    wanted = {"target_size": {"total": 1500, "of": "tokens"}, "share": {}}
    config = config_of(folder, wanted, cluster={"levels": "auto"})
    assert tune_tree.run(spark, config).levels


def test_columns_have_to_be_kept_as_metadata(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"weight.by='stars' is not among input.metadata="):
        config_of(folder, {"target_size": 20, "weight": {"by": "stars"}})


def test_ids_that_must_be_in_or_out_may_be_a_table(
    spark: SparkSession, folder: Path, draw: Draw, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, numbers in {"gold": [3, 5, 999], "test": range(100, N_POINTS)}.items():
        ids = spark.createDataFrame([(f"p{i:03}",) for i in numbers], "doc string")
        ids.write.format("delta").save(f"{tmp_path}/{name}")
    picked = {
        "must_include": {"table": f"{tmp_path}/gold", "id": "doc"},
        "must_exclude": {"table": f"{tmp_path}/test", "id": "doc"},
    }
    ((*rows,),) = draw({"target_size": 20} | picked)
    assert {row.id for row in rows[:2]} == {"p003", "p005"}
    assert max(map(number, rows)) < 100
    assert "samples.s0.must_include: 1 ids of " in caplog.text
    assert "must_exclude: " not in caplog.text
    # the tables' rows are in the stage's key: others are drawn anew
    config = config_of(folder, {"target_size": 20} | picked)
    key = open_run(spark, config).key(balance_sample.STAGE)
    more = spark.createDataFrame([("p007",)], "doc string")
    more.write.format("delta").mode("append").save(f"{tmp_path}/gold")
    assert open_run(spark, config).key(balance_sample.STAGE) != key
    ((*rows,),) = draw({"target_size": 20} | picked)
    assert {row.id for row in rows[:3]} == {"p003", "p005", "p007"}


def test_rules_of_nodes_are_listed_or_in_a_table(
    spark: SparkSession, folder: Path, draw: Draw, tmp_path: Path
) -> None:
    tree_key = open_run(spark, config_of(folder, {"target_size": 20})).key(cluster_levels.STAGE)
    rules = [(tree_key, 1, 0, "drop", None), (tree_key, 1, 3, "cap", 1.0)]
    columns = "tree_key string, level int, node_id long, rule string, value double"
    spark.createDataFrame(rules, columns).write.format("delta").save(f"{tmp_path}/rules")
    listed = [
        {"level": 1, "node_id": 0, "rule": "drop", "note": "cookie banners"},
        {"level": 1, "node_id": 3, "rule": "cap", "value": 1},
    ]
    plain, mine, same = draw(
        {"target_size": 30},
        {"target_size": 30, "node_rules": listed},
        {"target_size": 30, "node_rules": {"table": f"{tmp_path}/rules"}},
    )
    of_leaves = [Counter(row.leaf_id for row in rows) for rows in (plain, mine, same)]
    assert of_leaves[0][0] > 0
    assert of_leaves[0][3] > 1
    assert (of_leaves[1][0], of_leaves[1][3], len(mine)) == (0, 1, 30)
    assert [row.id for row in mine] == [row.id for row in same]


@pytest.mark.parametrize(
    ("columns", "row", "said"),
    [
        ("level int, node_id long", (1, 0), "has no column 'rule'"),
        ("level int, node_id long, rule string", (1, 0, "keep"), "rule: Input should be"),
        (
            "tree_key string, level int, node_id long, rule string",
            ("older", 1, 0, "drop"),
            "rules for the tree 'older'",
        ),
    ],
)
def test_a_table_that_holds_no_rules_of_this_tree_is_refused(
    spark: SparkSession, draw: Draw, tmp_path: Path, columns: str, row: tuple[Any, ...], said: str
) -> None:
    spark.createDataFrame([row], columns).write.format("delta").save(f"{tmp_path}/rules")
    with pytest.raises(InputError, match=said):
        draw({"target_size": 30, "node_rules": {"table": f"{tmp_path}/rules"}})


def test_the_id_of_a_copy_means_the_point_that_stays_for_it(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_pool(spark, tmp_path / "first")
    pool = spark.read.format("delta").load(f"{tmp_path}/first")
    copies = pool.where("id < 'p010'").withColumn("id", F.regexp_replace("id", "p", "q"))
    pool.unionByName(copies).write.format("delta").save(f"{tmp_path}/pool")
    for name, id_ in {"gold": "q003", "test": "q005"}.items():
        spark.createDataFrame([(id_,)], "id string").write.format("delta").save(
            f"{tmp_path}/{name}"
        )
    picked = {
        "must_include": {"table": f"{tmp_path}/gold", "id": "id"},
        "must_exclude": {"table": f"{tmp_path}/test", "id": "id"},
    }
    config = config_of(tmp_path, {"target_size": 119} | picked)
    curate.run(spark, config)
    run = open_run(spark, config)
    rows = run.read(balance_sample.STAGE, balance_sample.SAMPLES).orderBy("position").collect()
    assert rows[0].id == "p003"
    assert {row.id for row in rows} == {f"p{i:03}" for i in range(N_POINTS) if i != 5}
    assert "must_include: 1 ids of " in caplog.text
    assert "are copies of others: the points that stay for them are meant" in caplog.text
    assert "are no points" not in caplog.text


def test_rows_that_must_be_in_and_out_are_told(
    draw: Draw, caplog: pytest.LogCaptureFixture
) -> None:
    both = {"must_include": "tokens >= 125", "must_exclude": "id = 'p119'"}
    ((*rows,),) = draw({"target_size": 20} | both)
    assert "p119" not in {row.id for row in rows}
    assert "samples.s0: 1 rows of must_include are left out by must_exclude" in caplog.text


def test_a_sample_without_a_row_is_refused(draw: Draw) -> None:
    with pytest.raises(ConfigError, match="samples.s0: its constraints leave no row; relax must_"):
        draw({"target_size": 5000, "must_exclude": "id IS NOT NULL"})


def test_rules_and_ids_may_be_csv_with_any_names(draw: Draw, tmp_path: Path) -> None:
    (tmp_path / "rules.csv").write_text("level,node_id,rule,value\n2,0,drop,\n1,3,cap,2\n")
    (tmp_path / "ids.csv").write_text("doc-id\np003\np005\n")
    ruled, picked = draw(
        {"target_size": 20, "node_rules": {"table": f"{tmp_path}/rules.csv"}},
        {"target_size": 9, "must_include": {"table": f"{tmp_path}/ids.csv", "id": "doc-id"}},
    )
    assert len(ruled) == 20
    assert sum(row.leaf_id == 3 for row in ruled) <= 2
    assert {"p003", "p005"} <= {row.id for row in picked}


def test_a_total_that_rows_which_must_be_in_stay_far_below(draw: Draw) -> None:
    size = {"total": 30 * 120, "of": "tokens"}  # points of average size would be fewer
    (rows,) = draw({"target_size": size, "must_include": "tokens < 70"})
    assert {f"p{i:03}" for i in range(60)} <= {row.id for row in rows}

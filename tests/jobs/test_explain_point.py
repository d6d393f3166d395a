"""`evenlake explain` on a tiny curated pool: every fate of an id, and ids of every kind."""

import json
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import BinaryType, IntegerType, LongType, StringType

from jobs import balance_sample, cluster_levels, embed_pool, explain_point, find_duplicates
from jobs.__main__ import main as evenlake
from jobs.config.errors import InputError
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig, as_dict
from jobs.explain_point import explain, id_last
from jobs.pool.ids import is_id, parse_id
from jobs.runs.explanation import Explanation
from jobs.runs.opening import open_run
from jobs.runs.run import Run

ODDEST = "--x' or \"1\"='1 \\ Zoë 猫 🐈"
ODD = ["-17", "--config", "it's", 'say "hi"', "`id`", "a=b", "--", " ", "$1 %s {}", ODDEST]
COLUMNS = "id string, vector array<double>"


def config_of(folder: Path, *overrides: str) -> RunConfig:
    plain: dict[str, Any] = {
        "input": {"table": f"{folder}/pool", "embedding": "vector"},
        "output": {"root": f"{folder}/lake"},
        "hygiene": {"max_reject_fraction": 0.5},
        "cluster": {"levels": [4, 2], "resampling": {"rounds": 1}},
        "samples": [
            {"name": "far", "target_size": 9, "share": {"leaves": 0.0}},
            {"name": "near", "target_size": 4, "strategy": "closest", "share": {"leaves": 0.0}},
            {"name": "twice", "target_size": 66, "replicas": 2, "share": {"leaves": 0.0}},
        ],
    }
    return parse_config(plain, overrides)


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw samples of 36 points, ten of them with odd ids; four rows are turned away."""
    folder = tmp_path_factory.mktemp("explain")
    ids = [*ODD, *(f"p{i}" for i in range(26))]
    X = np.random.default_rng(0).standard_normal((len(ids), 4))
    rows: list[Any] = [(id_, x.tolist()) for id_, x in zip(ids, X, strict=True)]
    rows += [("zero", [0.0] * 4), ("short", [1.0]), ("both", [1.0, 2.0, 3.0, 4.0]), ("both", None)]
    spark.createDataFrame(rows, COLUMNS).coalesce(1).write.format("delta").save(f"{folder}/pool")
    config = config_of(folder)
    this = open_run(spark, config)
    for job in (embed_pool, find_duplicates, cluster_levels, balance_sample):
        this.do(job.STAGE)
    (folder / "my.yaml").write_text(yaml.safe_dump(as_dict(config)))
    return folder


@pytest.fixture(scope="module")
def this(spark: SparkSession, folder: Path) -> Run:
    return open_run(spark, config_of(folder))


def explained(this: Run, point: str) -> Explanation:
    return explain(this, point=point)


def test_a_point_is_followed_from_its_leaf_to_the_top(this: Run) -> None:
    found = explained(this, "p3")
    assert (found.pool, found.model, found.gate.status) == (
        this.pool.name,
        "precomputed",
        "accepted",
    )
    assert found.version == this.pool.fingerprint
    tree, drawn = this.keys["cluster_levels"], this.keys["balance_sample"]
    (own,) = this.lake.read("assignments", tree).where("id = 'p3'").collect()
    assert [node.node_id for node in found.path] == own.path
    assert [node.level for node in found.path] == [1, 2]
    members = this.lake.read("assignments", tree).select("path").collect()
    for node in found.path:
        assert node.n_points == sum(row.path[node.level - 1] == node.node_id for row in members)
    drawn_there = this.lake.read("samples", drawn).where(f"leaf_id = {own.leaf_id}").collect()
    for sample, quota in found.path[0].quotas.items():
        assert quota == sum(row.sample == sample for row in drawn_there)
    assert list(found.path[1].quotas) == ["far", "near", "twice"]


def test_places_agree_with_the_samples_and_ranks_go_on_after_the_quota(this: Run) -> None:
    assignments = this.lake.read("assignments", this.keys["cluster_levels"])
    held: dict[tuple[str, str], list[int]] = {}
    drawn = this.lake.read("samples", this.keys["balance_sample"]).orderBy("replica")
    for row in drawn.collect():
        held.setdefault((row.sample, row.id), []).append(row["rank"])
    (own,) = assignments.where("id = 'p0'").select("leaf_id").collect()
    leaf = assignments.where(f"leaf_id = {own.leaf_id}").collect()
    by_distance = [row.id for row in sorted(leaf, key=lambda row: (row.sq_distance, row.id))]
    in_no_small_sample = 0
    for point in (by_distance[0], by_distance[-1]):
        found = explained(this, point)
        assert found.samples[1].rank == by_distance.index(point)
        # two rounds: the larger sample holds every point of the leaf, in the first one's order
        assert found.samples[0].rank == found.samples[2].rank == held["twice", point][0]
        for place in found.samples:
            quota = found.path[0].quotas[place.sample]
            mine = held.get((place.sample, point), [])
            assert place.replicas == list(range(len(mine)))
            if mine:
                assert (place.rank, place.why_not) == (mine[0], None)
            else:
                in_no_small_sample += 1
                assert place.why_not == f"rank {place.rank}, its leaf's quota is {quota}"
                assert place.rank is not None
                assert place.rank >= quota
    assert in_no_small_sample


@pytest.mark.parametrize(
    ("point", "why_not"),
    {
        "zero": "rejected: zero_norm",
        "short": "rejected: wrong_length, length 1, the pool has 4",
        "both": "rejected: duplicate_id, the id stands on 2 rows",
        "nobody": "no such id in the pool",
    }.items(),
)
def test_who_did_not_pass_the_gate_is_told_why(this: Run, point: str, why_not: str) -> None:
    found = explained(this, point)
    assert [place.why_not for place in found.samples] == [why_not] * 3
    assert [place.replicas for place in found.samples] == [[]] * 3
    assert found.path == []
    assert (found.gate.stage == "embed_pool") == why_not.startswith("rejected")


def test_a_condition_on_the_pool_is_named_with_an_id_that_is_not_in_it(
    spark: SparkSession, folder: Path
) -> None:
    narrowed = open_run(spark, config_of(folder, "input.where=id < 'q'"))
    narrowed.do(embed_pool.STAGE)
    assert explained(narrowed, "zero").gate.status == "no such id in the pool where id < 'q'"


# --- the command line -----------------------------------------------------------------------------


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_text_and_result_say_the_same(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--config", f"{folder}/my.yaml", "--result", f"{tmp_path}/result.json"]
    assert evenlake(["explain", "p3", *arguments, "spark.shuffle_partitions=3"]) == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["status"] == "ok"
    facts = result["explanation"]
    leaf, top = facts["path"]
    said = told(capsys)
    assert said[:3] == [
        f"id 'p3' of {facts['pool']}, version {facts['version']}",
        "embedding: precomputed",
        "gate: accepted",
    ]
    quotas = ", ".join(f"{quota} for {name}" for name, quota in leaf["quotas"].items())
    assert said[3] == f"leaf {leaf['node_id']}: {leaf['n_points']} points, quota {quotas}"
    assert said[4].startswith(f"level 2, node {top['node_id']}: {top['n_points']} points, quota ")
    for line, place in zip(said[5:], facts["samples"], strict=True):
        rank = f"rank {place['rank']}"
        times = ", 2 times" if len(place["replicas"]) == 2 else ""
        held = f"in it{times}, position {place['position']}, {rank} in its leaf"
        reason = f"not in it: {place['why_not']}"
        assert line == f"sample {place['sample']}: {held if place['replicas'] else reason}"


def test_an_id_of_dashes_quotes_and_unicode_is_found_as_it_is(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evenlake(["explain", "--config", f"{folder}/my.yaml", "--", ODDEST]) == 0
    said = told(capsys)
    assert said[0].startswith(f"id {ODDEST!r} of ")
    assert said[2] == "gate: accepted"


def test_an_id_with_a_dash_needs_no_double_dash(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evenlake(["explain", "-17", "-c", f"{folder}/my.yaml"]) == 0
    assert told(capsys)[2] == "gate: accepted"


def test_every_odd_id_is_a_literal(this: Run) -> None:
    points = this.lake.read("embeddings", this.keys["embed_pool"]).select("id")
    found = reduce(DataFrame.union, [points.where(is_id(id_)) for id_ in ODD])
    assert [row.id for row in found.collect()] == ODD


@pytest.mark.parametrize("point", ODD)
def test_the_command_line_hands_on_every_odd_id(
    point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed: list[str] = []
    monkeypatch.setattr(
        explain_point, "execute", lambda job, _: handed.append(job.keywords["point"]) or 0
    )
    assert evenlake(["explain", "--config", "my.yaml", "--", point]) == 0
    assert handed == [point]


def test_an_unfinished_run_says_what_to_run(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--config", f"{folder}/my.yaml", f"output.root={tmp_path}/lake"]
    assert evenlake(["explain", "p3", *arguments]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("config: embed_pool has not finished for this config and input")


@pytest.mark.parametrize(
    ("line", "ordered"),
    [
        ("id -c f", "-c f -- id"),
        ("-c f id seed=1", "-c f -- id seed=1"),
        ("-abc --config=f --seed=1", "--config=f -- -abc --seed=1"),
        ("seed=1 --config f -- -c", "--config f -- -c seed=1"),
        ("--config f -- --", "--config f -- --"),
        ("--help", "--help --"),
    ],
)
def test_the_id_is_what_follows_the_dashes_or_the_first_word_of_its_own(
    line: str, ordered: str
) -> None:
    assert id_last(line.split()) == ordered.split()


# --- ids ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("007", StringType(), "007"),
        ("-7", LongType(), -7),
        ("007", IntegerType(), 7),
        ("9223372036854775807", LongType(), 2**63 - 1),
        ("00fF", BinaryType(), b"\x00\xff"),
        ("0x00ff", BinaryType(), b"\x00\xff"),
    ],
)
def test_ids_are_read_as_the_pools_type(text: str, kind: Any, value: Any) -> None:
    assert parse_id(text, kind) == value


@pytest.mark.parametrize(
    ("text", "kind", "wanted"),
    [
        ("seven", LongType(), "this pool's ids are bigint; want a whole number"),
        ("2147483648", IntegerType(), "this pool's ids are int; want a whole number"),
        ("0xfg", BinaryType(), "this pool's ids are binary; want hex, such as 00ff"),
        ("\udcff", StringType(), "is not text in UTF-8, as this pool's ids are"),
    ],
)
def test_a_text_that_is_no_id_of_the_pool_is_refused(text: str, kind: Any, wanted: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_id(text, kind)
    assert str(refused.value).endswith(wanted)


@pytest.mark.parametrize("expression", ["-5", "9223372036854775807", "x'00ff'", "x''"])
def test_integers_and_binary_are_found_as_literals(spark: SparkSession, expression: str) -> None:
    rows = spark.sql(f"select {expression} as id")
    (row,) = rows.collect()
    text = row.id.hex() if expression.startswith("x") else expression
    found = rows.where(is_id(parse_id(text, rows.schema["id"].dataType)))
    assert [bytes(r.id) if text != expression else r.id for r in found.collect()] == [row.id]

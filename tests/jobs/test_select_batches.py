"""Joint batches: from super-batches of one size, the same on any layout; rejects, refusals."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs import explain_point, select_batches
from jobs.__main__ import main as evenlake
from jobs.config.errors import ConfigError, CurationError, InputError
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig, as_dict
from jobs.pairing.super_batches import super_batches
from jobs.recipe import RECIPE
from jobs.runs.opening import open_run
from jobs.runs.run import Run
from tests.jobs.tiny import N_POINTS, config_of, write_curated
from udfs.kernels.joint.dots import to_coordinates
from udfs.kernels.joint.draws import admitted, draw_independently, draw_jointly
from udfs.kernels.joint.losses import FORMS, Calibration
from udfs.kernels.joint.sums import looked_up

pytestmark = pytest.mark.whole

STAGE = select_batches.STAGE
N_FEATURES, SUPER, SIZE, CHUNKS = 6, 20, 8, 2
BROKEN: dict[str, tuple[Any, str]] = {
    "60-3": ([float("nan")] + [1.0] * 5, "learner.image: nan: nan at index 0"),
    "60-4": ([float("inf")] + [1.0] * 5, "learner.image: inf: inf at index 0"),
    "60-5": (None, "learner.image: null_content"),
    "60-8": ([0.0] * 6, "learner.image: zero_norm"),
    "60-9": ([1.0, 2.0], "learner.image: wrong_length: length 2, the pool has 6"),
}
ABSENT, DOUBLED = "60-6", "60-7"
N_GOOD = N_POINTS - len(BROKEN) - 2
SIDES = {"learner": (9.0, -8.0), "reference": (12.0, -9.0)}


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Curate a tiny pool, and write embeddings of its points, a few of them broken."""
    folder = write_curated(spark, tmp_path_factory.mktemp("batches"))
    rng = np.random.default_rng(5)
    for name, noise in (("learner", 1.0), ("reference", 0.4)):
        ids = [f"{N_POINTS}-{i}" for i in range(N_POINTS)]
        image = rng.standard_normal((N_POINTS, N_FEATURES))
        text = image + noise * rng.standard_normal(image.shape)
        images, texts = dict(zip(ids, image, strict=True)), dict(zip(ids, text, strict=True))
        if name == "learner":
            images |= {id_: value for id_, (value, _) in BROKEN.items()}
            del images[ABSENT]
        rows = [(id_, images[id_], texts[id_]) for id_ in images]
        if name == "reference":
            rows += [(DOUBLED, image[0], text[0]), ("no point", image[0], text[0])]
        write(folder / name, rows)
    return folder


def write(path: Path, rows: Iterable[tuple[str, Any, Any]], n_files: int = 1) -> None:
    """Write embeddings as Parquet files."""
    path.mkdir()
    ids, images, texts = zip(*rows, strict=True)
    for i in range(n_files):
        vectors = {
            name: pa.array([v if v is None else list(v) for v in column[i::n_files]])
            for name, column in (("image", images), ("text", texts))
        }
        pq.write_table(
            pa.table({"id": pa.array(ids[i::n_files]), **vectors}), path / f"{i}.parquet"
        )


def config(folder: Path, *overrides: str, **batches: Any) -> RunConfig:
    plain = as_dict(config_of(folder))
    models = {
        side: {"table": f"{folder}/{side}", "temperature": t, "bias": c}
        for side, (t, c) in SIDES.items()
    }
    sizes = {"size": SIZE, "super_batch": SUPER, "chunks": CHUNKS}
    return parse_config(plain | {"batches": models | sizes | batches}, overrides)


def rows_of(run: Run, table: str = "batches") -> list[dict[str, Any]]:
    rows = run.lake.read(table, run.key(STAGE)).drop("generation", "op", "stage_key").collect()
    order = ("batch_id", "position") if table == "batches" else ("batch_id",)
    return sorted((row.asDict() for row in rows), key=lambda r: [r[c] for c in order])


def selected(spark: SparkSession, of: RunConfig) -> list[dict[str, Any]]:
    run = open_run(spark, of)
    select_batches.select(run)
    return rows_of(run)


# --- by an oracle ---------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["sigmoid", "softmax"])
def test_batches_are_those_that_the_kernel_draws_from_the_pairs_in_the_order_of_their_hash(
    spark: SparkSession, folder: Path, loss: str
) -> None:
    run = open_run(spark, config(folder, loss=loss, round=3))
    outcome = select_batches.select(run)
    rows, stats = rows_of(run), rows_of(run, "batch_stats")
    n_batches = N_GOOD // SUPER
    assert (outcome.n_pairs, outcome.n_batches, outcome.n_left) == (N_GOOD, n_batches, 13)
    tables = {side: pq.read_table(folder / side).to_pandas().set_index("id") for side in SIDES}
    good = sorted({*tables["learner"].index} - {*BROKEN, DOUBLED})
    frame = spark.createDataFrame([(id_,) for id_ in good], "id string")
    hashed = F.xxhash64("id", F.lit("batches"), F.lit(0), F.lit(3)).alias("hash")
    hashes = {row.id: row.hash for row in frame.select("id", hashed).collect()}
    in_order = sorted(good, key=lambda id_: hashes[id_])
    assert len(stats) == n_batches
    for b, stat in enumerate(stats):
        ids = in_order[b * SUPER : (b + 1) * SUPER]
        models = []
        for side, of in SIDES.items():
            X = [np.array([*tables[side].loc[ids, name]], np.float32) for name in ("image", "text")]
            whole = [
                to_coordinates(x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
                for x in X
            ]
            models.append((whole, Calibration(*of)))
        kept = admitted(FORMS[loss](*models[1][0], models[1][1], looked_up).matched, 0.3)
        learner, reference = (
            FORMS[loss](image[kept], text[kept], of, looked_up) for (image, text), of in models
        )
        h, gains = np.array([hashes[ids[i]] for i in kept]), learner.matched - reference.matched
        controls = [
            draw_independently(keys, h, SIZE, name)
            for name, keys in (("uniform", 0 * gains), ("independent", gains))
        ]
        want = draw_jointly(learner, reference, h, SIZE, CHUNKS)
        mine = rows[b * SIZE : (b + 1) * SIZE]
        assert [row["id"] for row in mine] == [ids[kept[i]] for i in want.rows]
        assert [row["g_joint"] for row in mine] == want.scores.tolist()
        assert [row["g_diagonal"] for row in mine] == gains[want.rows].tolist()
        assert [row["chunk"] for row in mine] == want.chunks.tolist()
        assert [row["position"] for row in mine] == list(range(SIZE))
        uniform, independent, joint = (
            learner.of_batch(r) - reference.of_batch(r) for r in (*controls, want.rows)
        )
        assert stat == {
            "round": 3,
            "batch_id": b,
            "size": SIZE,
            "joint_learnability": joint,
            "uniform_control": uniform,
            "independent_control": independent,
            "loss_learner": learner.of_batch(want.rows),
            "loss_reference": reference.of_batch(want.rows),
            "filter_ratio": pytest.approx(0.6),
        }
    assert outcome.joint_learnability == pytest.approx(
        np.mean([stat["joint_learnability"] for stat in stats])
    )


@pytest.mark.parametrize("n_partitions", [1, 8])
def test_super_batches_do_not_depend_on_partitions_or_bins(
    spark: SparkSession, n_partitions: int
) -> None:
    """A pool said to be large is ranked in bins: in the same order."""
    ids = spark.range(1000).select(F.col("id").cast("string").alias("id"))
    rows = super_batches(
        ids.repartition(n_partitions),
        F.xxhash64("id"),
        n_all=200_000 if n_partitions == 8 else 1000,
        size=300,
        n_batches=3,
    ).collect()
    in_order = sorted(rows, key=lambda row: row.hash)
    assert Counter(row.super_batch for row in rows) == {0: 300, 1: 300, 2: 300}
    assert [row.super_batch for row in in_order] == sorted(row.super_batch for row in rows)
    left = ids.join(spark.createDataFrame(rows).select("id"), on="id", how="left_anti")
    assert left.select(F.min(F.xxhash64("id"))).first()[0] > in_order[-1].hash


# --- rejects, keys, reuse -------------------------------------------------------------------------


def test_a_pair_without_embeddings_is_a_reject_with_its_reason(
    spark: SparkSession, folder: Path
) -> None:
    run = open_run(spark, config(folder))
    outcome = select_batches.select(run)
    rejects = run.lake.read("rejects", run.key(STAGE)).select("id", "reason", "detail").collect()
    bad = {id_: ("bad_embedding", detail) for id_, (_, detail) in BROKEN.items()}
    assert {row.id: (row.reason, row.detail) for row in rejects} == bad | {
        ABSENT: ("no_embedding", "learner: no row has this id"),
        DOUBLED: ("duplicate_embedding", "reference: 2 rows have this id"),
    }
    assert outcome.n_rejected == 7
    drawn = [row["id"] for row in rows_of(run)]
    assert len({*drawn}) == outcome.n_drawn == 2 * SIZE
    assert not {*drawn} & {row.id for row in rejects}


def test_files_partitions_and_encodings_change_no_batch_but_other_rounds_do(
    spark: SparkSession, folder: Path
) -> None:
    run = open_run(spark, config(folder))
    select_batches.select(run)
    first = rows_of(run)
    again = open_run(spark, config(folder))
    select_batches.select(again)
    assert again.reused == ["select_batches"]
    table = pq.read_table(folder / "reference").to_pydict()
    rows = [*zip(*table.values(), strict=True)][::-1]
    write(folder / "split", rows, n_files=8)
    given = {"table": f"{folder}/split", "temperature": 12.0, "bias": -9.0}
    spread = open_run(spark, config(folder, reference=given))
    assert spread.key(STAGE) != run.key(STAGE)
    with_more = spark.conf.get("spark.sql.shuffle.partitions")
    spark.conf.set("spark.sql.shuffle.partitions", "8")
    try:
        select_batches.select(spread)
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", with_more)
    assert rows_of(spread) == first
    other = selected(spark, config(folder, round=1))
    assert [row["id"] for row in other] != [row["id"] for row in first]


def test_a_sample_is_a_source_and_what_is_not_given_is_fitted(
    spark: SparkSession, folder: Path
) -> None:
    """Of a sample of 20 points; each model scores in place of the other, so that ranks reverse."""
    plain = {side: {"table": f"{folder}/{side}"} for side in SIDES}
    swapped = {"learner": plain["reference"], "reference": plain["learner"]}
    given = plain | {"source": "s", "super_batch": 10, "size": 4, "batches_per_round": 1}
    run = open_run(spark, config(folder, **given, approximation=swapped))
    outcome = select_batches.select(run)
    sample = {row.id for row in run.lake.read("sample_s").select("id").collect()}
    assert {row["id"] for row in rows_of(run)} <= sample
    assert outcome.n_pairs + outcome.n_rejected == len(sample) == 20
    assert (outcome.n_batches, outcome.n_left) == (1, outcome.n_pairs - 10)
    assert outcome.rank_agreement == pytest.approx(-1)
    assert 0.01 <= outcome.reference_temperature <= 100


def test_it_changes_nothing_of_the_run_that_it_stands_on(spark: SparkSession, folder: Path) -> None:
    with_it, without = open_run(spark, config(folder)), open_run(spark, config_of(folder))
    assert with_it.run_id == without.run_id
    assert {k: v for k, v in with_it.keys.items() if k != STAGE.name} == without.keys
    assert RECIPE.lineage(with_it.written) == RECIPE.lineage(without.written)


# --- what is refused ------------------------------------------------------------------------------

LEARNER = {"table": "{folder}/learner", "temperature": 9.0, "bias": -8.0}


@pytest.mark.parametrize(
    ("batches", "error", "said"),
    [
        ({"source": "other"}, ConfigError, "batches.source='other': want pool, or the name"),
        ({"learner": None}, ConfigError, "batches.learner is missing; want the table of"),
        ({"reference": None}, ConfigError, "batches.reference is missing; want the table of"),
        (
            {"size": None, "super_batch": None},
            ConfigError,
            "batches.size is missing; want the pairs of a batch",
        ),
        (
            {"size": 9},
            ConfigError,
            "batches.size=9, no multiple of chunks=2; want 8 or 10, or other chunks",
        ),
        (
            {"size": None, "super_batch": 8192, "chunks": 16},
            ConfigError,
            "batches.super_batch=8192 gives 1638, no multiple of chunks=16; want 1632 or 1648",
        ),
        ({"size": 30}, ConfigError, "super_batch=20 is below size=30; want at least 30"),
        (
            {"size": 16},
            ConfigError,
            "prefilter=0.3 leaves 14 of 20 pairs for a batch of 16; want at most 0.2",
        ),
        (
            {"size": 20, "super_batch": None},
            InputError,
            "53 pairs of 'pool' can be scored, fewer than one super-batch of 100; want size: 10,",
        ),
        (
            {"super_batch": 100_000},
            ConfigError,
            "super_batch=100000 is held in one task's memory; want at most 65536",
        ),
        (
            {"batches_per_round": 3},
            InputError,
            "batches.batches_per_round=3, but 53 pairs make 2 super-batches of 20; want at most 2",
        ),
        (
            {"learner": LEARNER | {"table": "/nowhere/towers"}},
            InputError,
            "batches.learner.table='/nowhere/towers'",
        ),
        (
            {"learner": LEARNER | {"bias": None}},
            ConfigError,
            "learner.temperature=9.0, learner.bias=None: want both for loss: sigmoid",
        ),
        (
            {"learner": LEARNER | {"image": "x"}},
            InputError,
            "batches.learner: id='id', image='x', text='text' are no columns",
        ),
        (
            {"learner": LEARNER | {"text": "id"}},
            InputError,
            "batches.learner.text='id' is string; want an array of numbers",
        ),
        (
            {"learner": LEARNER | {"fingerprint": "f"}},
            ConfigError,
            "batches.learner.fingerprint='f', but",
        ),
        (
            {"learner": LEARNER | {"id": "hash(id)"}},
            InputError,
            "batches.learner.id is int, the pool's ids are string; cast it",
        ),
        (
            {"learner": LEARNER | {"id": "concat('x', id)"}},
            InputError,
            "none of the 60 rows of 'pool' has embeddings by both models",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    spark: SparkSession,
    folder: Path,
    batches: dict[str, Any],
    error: type[CurationError],
    said: str,
) -> None:
    placed = {
        key: value | {"table": value["table"].format(folder=folder)}
        if isinstance(value, dict)
        else value
        for key, value in batches.items()
    }
    with pytest.raises(error) as refused:
        selected(spark, config(folder, **placed))
    assert said in str(refused.value)


def test_a_pair_is_explained_and_a_batch_reported(spark: SparkSession, folder: Path) -> None:
    run = open_run(spark, config(folder))
    select_batches.select(run)
    mine = rows_of(run)[3]
    said = str(explain_point.explain(run, point=mine["id"])).splitlines()[-1]
    assert said == (
        f"batches: in batch 0 of round 0, drawn in chunk 0 at {mine['g_joint']:.3g} "
        f"({mine['g_diagonal']:.3g} by itself)"
    )
    said = str(explain_point.explain(run, point=ABSENT)).splitlines()[-1]
    assert said == "batches: not scored: no_embedding, learner: no row has this id"
    rows = run.lake.read("report", run.key(STAGE)).where("metric = 'joint_learnability'").collect()
    stats = {str(row["batch_id"]): row for row in rows_of(run, "batch_stats")}
    assert {row.key: (row.value, row.control) for row in rows} == {
        key: (row["joint_learnability"], row["uniform_control"]) for key, row in stats.items()
    }


def test_the_command_says_what_was_drawn(
    spark: SparkSession, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "config.yaml").write_text(yaml.safe_dump(as_dict(config(folder))))
    assert evenlake(["batches", "--config", str(folder / "config.yaml")]) == 0
    drawn, learned, logits, table, page = capsys.readouterr().out.splitlines()
    assert "drawn jointly" in Path(page.removeprefix("page: ")).read_text()
    assert drawn == ("2 batches of 8 pairs, each from 20 of 53; 13 left over in round 0; 7 rejects")
    assert learned.startswith("to learn from a batch, by pair: ")
    assert logits == "logits: learner 9 x cosine -8, reference 12 x cosine -9"
    assert table.startswith(f"table: {folder}/lake/batches (stage_key = ")
    assert evenlake(["batches", "--config", str(folder / "config.yaml"), "batches.size=9"]) == 2

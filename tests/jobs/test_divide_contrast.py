"""Divide and Contrast: clusters and targets by an oracle, the same on any layout; refusals."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pyspark.sql import SparkSession

from jobs import curate, divide_contrast, explain_point, mine_negatives
from jobs.__main__ import main as evenlake
from jobs.config.errors import ConfigError, CurationError, InputError
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig, as_dict
from jobs.pool.towers import packed_pairs
from jobs.recipe import RECIPE
from jobs.runs.opening import open_run
from jobs.runs.run import Run
from tests.jobs.tiny import N_POINTS, config_of, write_curated
from udfs.blocks import from_bytes
from udfs.kernels.contrast.encoders import Encoder, as_floats, linear_encoder
from udfs.kernels.contrast.moments import MomentSums
from udfs.kernels.joint.dots import to_coordinates

pytestmark = pytest.mark.whole

STAGE = divide_contrast.STAGE
N_FEATURES, N_COMPONENTS = 6, 3
TABLES = ("contrast_clusters", "contrast_targets", "contrast_report")
ABSENT, DOUBLED, BROKEN = "60-6", "60-7", "60-8"
SMALL = {"rows": 100, "hidden": 8, "epochs": 2}


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Curate a tiny pool, and write two views of its points, some of them broken."""
    folder = write_curated(spark, tmp_path_factory.mktemp("contrast"))
    rng = np.random.default_rng(5)
    X = rng.standard_normal((N_POINTS, N_FEATURES)) + 3 * np.eye(N_FEATURES)[np.arange(60) % 3]
    a, b = (X + 0.3 * rng.standard_normal(X.shape) for _ in range(2))
    rows = [(f"60-{i}", a[i].tolist(), b[i].tolist()) for i in range(N_POINTS) if i != 6]
    rows = [(i, [0.0] * N_FEATURES if i == BROKEN else x, y) for i, x, y in rows]
    write(folder / "views", [*rows, (DOUBLED, rows[0][1], rows[0][2]), ("none", *rows[0][1:])])
    return folder


def write(path: Path, rows: list[tuple[str, Any, Any]], n_files: int = 1) -> None:
    path.mkdir()
    for i in range(n_files):
        columns = zip(*rows[i::n_files], strict=True)
        named = dict(zip(("id", "a", "b"), map(pa.array, columns), strict=True))
        pq.write_table(pa.table(named), path / f"{i}.parquet")


def config(folder: Path, *overrides: str, **contrast: Any) -> RunConfig:
    given = {
        "source": "pool",
        "views": {"table": f"{folder}/views", "a": "a", "b": "b"},
        "n_clusters": 3,
        "n_components": N_COMPONENTS,
        "student": SMALL,
    }
    plain = as_dict(config_of(folder)) | {"report": {"label": "label"}}
    return parse_config(plain | {"contrast": given | contrast}, overrides)


def rows_of(run: Run, table: str) -> list[dict[str, Any]]:
    rows = run.lake.read(table, run.key(STAGE)).drop("generation", "op", "stage_key").collect()
    return sorted((row.asDict() for row in rows), key=lambda r: str(r.get("id", r)))


def contrasted(spark: SparkSession, of: RunConfig) -> tuple[Run, dict[str, list[dict[str, Any]]]]:
    run = open_run(spark, of)
    divide_contrast.contrast(run)
    return run, {table: rows_of(run, table) for table in TABLES}


def encoders_of(run: Run) -> dict[str, Any]:
    stored = run.lake.read("artifacts", run.key(STAGE)).where("name = 'contrast.npz'")
    return from_bytes(bytes(stored.select("content").collect()[0].content))


def encoder(arrays: dict[str, Any], name: str) -> Encoder:
    within = f"{name}."
    return Encoder.of(
        {k.removeprefix(within): v for k, v in arrays.items() if k.startswith(within)}
    )


def views_of(folder: Path) -> dict[str, tuple[Any, Any]]:
    """Return the good rows' views, as whole numbers."""
    found = {}
    for row in pq.read_table(folder / "views").to_pylist():
        if row["id"] not in (DOUBLED, BROKEN, "none"):
            X = np.array([row["a"], row["b"]])
            found[row["id"]] = tuple(to_coordinates(X / np.linalg.norm(X, axis=1, keepdims=True)))
    return found


# --- by an oracle ---------------------------------------------------------------------------------


def test_targets_are_those_of_encoders_made_from_each_cluster_alone(
    spark: SparkSession, folder: Path
) -> None:
    run, tables = contrasted(spark, config(folder, min_share=0))
    views = views_of(folder)
    targets = tables["contrast_targets"]
    assert [row["id"] for row in targets] == sorted(views)
    cluster = np.array([row["cluster_id"] for row in targets])
    A, B = (np.array([views[row["id"]][i] for row in targets]) for i in range(2))
    arrays = encoders_of(run)

    def oracle(mine: Any) -> Encoder:
        sums = MomentSums(1, N_FEATURES)
        sums.add(A[mine], B[mine], np.zeros(mine.sum(), np.int64))
        return linear_encoder(sums.result()[0], N_COMPONENTS, 1e-3)

    U = A.astype(np.float64) + B
    base = oracle(cluster >= 0)(U)
    for row, want in zip(targets, as_floats(base), strict=True):
        np.testing.assert_array_equal(np.array(row["base"], np.float32), want.astype(np.float32))
    for k in np.unique(cluster):
        mine = cluster == k
        want = as_floats(oracle(mine)(U[mine])).astype(np.float32)
        got = [row["expert"] for row, is_mine in zip(targets, mine, strict=True) if is_mine]
        np.testing.assert_array_equal(np.array(got, np.float32), want)
    # the nearest centroid, by the distance that is told
    centroids = as_floats(arrays["centroids"])
    distances = np.linalg.norm(as_floats(base)[:, None] - centroids, axis=2)
    np.testing.assert_array_equal(distances.argmin(axis=1), cluster)
    told = [row["distance"] for row in tables["contrast_clusters"]]
    np.testing.assert_allclose(told, distances.min(axis=1), rtol=1e-6)


@pytest.mark.parametrize("n_partitions", [7])
def test_files_and_partitions_change_no_row(
    spark: SparkSession, folder: Path, n_partitions: int
) -> None:
    run, first = contrasted(spark, config(folder, rounds=2))
    table = pq.read_table(folder / "views").to_pydict()
    write(folder / "split", [*zip(*table.values(), strict=True)][::-1], n_files=n_partitions)
    with_more = spark.conf.get("spark.sql.shuffle.partitions")
    spark.conf.set("spark.sql.shuffle.partitions", str(n_partitions))
    try:
        spread = {"table": f"{folder}/split", "a": "a", "b": "b"}
        other, again = contrasted(spark, config(folder, rounds=2, views=spread))
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", with_more)
    assert other.key(STAGE) != run.key(STAGE)
    assert again == first
    assert encoders_of(other).keys() == encoders_of(run).keys()
    for name, value in encoders_of(run).items():
        np.testing.assert_array_equal(encoders_of(other)[name], value)


def test_nodes_of_the_tree_are_clusters_and_tiny_ones_join_the_nearest(
    spark: SparkSession, folder: Path
) -> None:
    _, tables = contrasted(spark, config(folder, level=2, min_share=0))
    run, merged = contrasted(spark, config(folder, level=2, min_share=0.34))
    paths = {row.id: row.path[1] for row in run.lake.read("assignments").collect()}
    whole = {row["id"]: row["cluster_id"] for row in tables["contrast_clusters"]}
    assert whole == {id_: paths[id_] for id_ in whole}
    joined = {row["id"]: row["cluster_id"] for row in merged["contrast_clusters"]}
    # what was together stays together
    assert len({(whole[i], joined[i]) for i in whole}) == len({*whole.values()})
    sizes = np.bincount(list(joined.values()))
    assert len(sizes) < 3 and min(sizes) >= 0.34 * len(joined)


def test_a_base_may_be_the_embedding_of_the_views_as_they_are(
    spark: SparkSession, folder: Path
) -> None:
    _, tables = contrasted(spark, config(folder, base="embedding"))
    views = views_of(folder)
    for row in tables["contrast_targets"]:
        U = np.add(*views[row["id"]], dtype=np.float64)
        np.testing.assert_allclose(row["base"], U / np.linalg.norm(U), atol=1e-6)
        assert len(row["expert"]) == N_COMPONENTS


def test_views_made_with_noise_depend_on_ids_and_seed_alone(
    spark: SparkSession, folder: Path
) -> None:
    _, first = contrasted(spark, config(folder, views={"noise": 0.5}))
    assert len(first["contrast_clusters"]) == N_POINTS
    other, _ = contrasted(spark, config(folder, views={"noise": 0.4}))
    assert rows_of(other, "contrast_targets") != first["contrast_targets"]


USERS_CODE = """
import numpy as np


def shifted(by):
    return lambda X, seeds: X + by * (1 + seeds[:, None] % 2)


def mean(scale):
    def train(a, b, seed):
        return [(np.diag(scale * np.abs((a + b).mean(axis=0)) + 0.1), np.zeros(a.shape[1]))]

    return train
"""


def test_views_and_encoders_may_come_from_code_of_the_users(
    spark: SparkSession, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "our_contrast.py").write_text(USERS_CODE)
    monkeypatch.syspath_prepend(tmp_path)
    views = {"model": "python:our_contrast:shifted", "model_options": {"by": 0.5}}
    trainer = {"model": "python:our_contrast:mean", "model_options": {"scale": 1.0}, "rows": 30}
    run, tables = contrasted(spark, config(folder, views=views, trainer=trainer))
    arrays = encoders_of(run)
    weights = [arrays[f"expert_{k}.0.weights"] for k in range(3)]
    assert all((np.diag(np.diag(w)) == w).all() and w.shape == (4, 4) for w in weights)
    assert len({w.tobytes() for w in weights}) == 3
    assert all(len(row["expert"]) == 4 for row in tables["contrast_targets"])
    other = trainer | {"model": "python:our_contrast:shifted"}
    with pytest.raises(
        ConfigError, match=r"contrast, the code that it calls: shifted\(scale=1.0\)"
    ):
        contrasted(spark, config(folder, views=views, trainer=other))


def test_views_of_texts_are_embedded_as_the_pools(spark: SparkSession, tmp_path: Path) -> None:
    """Texts of three topics: each view is nearest to its own text's other view."""
    rng = np.random.default_rng(0)
    words = [[f"{topic}{i}" for i in range(30)] for topic in ("fish", "tree", "coin")]
    texts = [" ".join(rng.choice(words[i % 3], 12)) for i in range(60)]
    (tmp_path / "pool").mkdir()
    table = pa.table({"id": [f"t{i:02}" for i in range(60)], "text": texts})
    pq.write_table(table, tmp_path / "pool" / "a.parquet")
    of = parse_config(
        {
            "input": {"table": f"{tmp_path}/pool", "content": "text"},
            "embed": {"model": "lsa", "n_components": 8},
            "output": {"root": f"{tmp_path}/lake"},
            "cluster": {"levels": [8, 3], "resampling": {"rounds": 1}},
            "samples": [{"name": "s", "target_size": 20, "share": {"leaves": 0.0}}],
            "contrast": {
                "source": "pool",
                "views": {"content": "text"},
                "n_clusters": 3,
                "n_components": 4,
                "student": SMALL,
            },
        }
    )
    curate.run(spark, of)
    _, tables = contrasted(spark, of)
    clusters = {row["id"]: row["cluster_id"] for row in tables["contrast_clusters"]}
    assert len(clusters) == 60
    assert len({(i % 3, clusters[f"t{i:02}"]) for i in range(60)}) == 3  # a cluster a topic


# --- rejects, keys, what is said ------------------------------------------------------------------


def test_a_row_without_views_is_a_reject_with_its_reason(spark: SparkSession, folder: Path) -> None:
    run, _ = contrasted(spark, config(folder))
    rejects = {row["id"]: (row["reason"], row["detail"]) for row in rows_of(run, "rejects")}
    assert rejects == {
        ABSENT: ("no_views", "views: no row has this id"),
        DOUBLED: ("duplicate_views", "views: 2 rows have this id"),
        BROKEN: ("bad_views", "views.a: zero_norm"),
    }
    said = str(explain_point.explain(run, point=BROKEN)).splitlines()[-1]
    assert said == "contrast: in no cluster: bad_views, views.a: zero_norm"
    said = str(explain_point.explain(run, point="60-1")).splitlines()[-1]
    assert said.startswith("contrast: cluster ")


def test_an_attempt_goes_on_with_what_an_earlier_one_has_learned(
    spark: SparkSession, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = config(folder, ridge=0.01)
    with monkeypatch.context() as patch:
        patch.setattr(divide_contrast, "_figures", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            contrasted(spark, given)
    monkeypatch.delattr(divide_contrast, "lessons")  # what is learned is not learned again
    run, tables = contrasted(spark, given)
    assert len(tables["contrast_targets"]) == 57 and len(tables["contrast_report"]) > 4
    whole = encoder(encoders_of(run), "base")(sum(views_of(folder)["60-1"])[None])
    (row,) = [row for row in tables["contrast_targets"] if row["id"] == "60-1"]
    assert row["base"] == as_floats(whole)[0].astype(np.float32).tolist()


def test_it_changes_nothing_of_the_run_that_it_stands_on(spark: SparkSession, folder: Path) -> None:
    plain = parse_config(as_dict(config_of(folder)) | {"report": {"label": "label"}})
    with_it, without = open_run(spark, config(folder)), open_run(spark, plain)
    assert with_it.run_id == without.run_id
    beside = (STAGE.name, mine_negatives.STAGE.name)
    assert {k: v for k, v in with_it.keys.items() if k not in beside} == without.keys
    assert RECIPE.lineage(with_it.written) == RECIPE.lineage(without.written)
    batches = open_run(spark, config(folder, batches={"size": 7}))
    assert batches.key(STAGE) == with_it.key(STAGE)


def test_every_figure_stands_beside_both_controls_and_the_command_says_it(
    spark: SparkSession, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "config.yaml").write_text(yaml.safe_dump(as_dict(config(folder))))
    assert evenlake(["contrast", "--config", str(folder / "config.yaml")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "57 points in 3 clusters; 3 rejects"
    assert lines[1].startswith("negative cosine: ") and "; base only " in lines[1]
    assert lines[-2].startswith(f"table: {folder}/lake/contrast_targets (stage_key = ")
    assert "random partition" in lines[3]
    assert "knn accuracy, beside random partition" in Path(lines[-1][6:]).read_text()
    run = open_run(spark, config(folder))
    found = {(row["metric"], row["beside"]) for row in rows_of(run, "contrast_report")}
    metrics = {metric for metric, _ in found}
    assert metrics == {"negative_cosine", "negative_info_nce", "knn_accuracy", "few_shot_accuracy"}
    controls = {"base_only", "random_partition"}
    assert {m for m in metrics if {(m, c) for c in controls} <= found} == metrics


@pytest.mark.parametrize(
    ("contrast", "error", "said"),
    [
        ({"source": "other"}, ConfigError, "contrast.source='other': want pool, or the name"),
        ({"views": None}, ConfigError, "contrast.views is missing; want two embeddings of each"),
        ({"views": {"a": "a"}}, ConfigError, "contrast.views.a='a', b=None; want both columns"),
        ({"views": {"a": "a", "b": "b", "noise": 1.0}}, ConfigError, "a beside noise; want one of"),
        ({"views": {}}, ConfigError, "a, noise, content and model are all missing; want one of"),
        (
            {"views": {"table": "t", "noise": 1.0}},
            ConfigError,
            "contrast.views.table='t' beside noise, which is made of the run's own",
        ),
        (
            {"views": {"content": "text"}},
            ConfigError,
            "contrast.views.content='text', but embed.model='precomputed' reads no content; want",
        ),
        ({"level": 3}, ConfigError, "contrast.level=3, but the tree has 2 levels; want one"),
        ({"n_clusters": 60}, InputError, "contrast.n_clusters=60, but fewer points differ"),
        (
            {"views": {"table": "/nowhere/views", "a": "a", "b": "b"}},
            InputError,
            "contrast.views.table='/nowhere/views'",
        ),
        (
            {"views": {"table": "{folder}/views", "a": "x", "b": "b"}},
            InputError,
            "contrast.views: id='id', a='x', b='b' are no columns",
        ),
        (
            {"views": {"table": "{folder}/views", "a": "id", "b": "b"}},
            InputError,
            "contrast.views.a='id' is string; want an array of numbers",
        ),
        (
            {"views": {"table": "{folder}/views", "id": "hash(id)", "a": "a", "b": "b"}},
            InputError,
            "contrast.views.id is int, the pool's ids are string; cast it",
        ),
        (
            {"views": {"table": "{folder}/views", "id": "concat('x', id)", "a": "a", "b": "b"}},
            InputError,
            "contrast: 0 of the rows of 'pool' have two views, 60 have none; want two or more",
        ),
    ],
)
def test_what_cannot_be_divided_is_refused(
    spark: SparkSession,
    folder: Path,
    contrast: dict[str, Any],
    error: type[CurationError],
    said: str,
) -> None:
    views = contrast.get("views")
    if isinstance(views, dict) and "table" in views:
        contrast = {"views": views | {"table": views["table"].format(folder=folder)}}
    with pytest.raises(error) as refused:
        contrasted(spark, config(folder, **contrast))
    assert said in str(refused.value)


def test_a_refresh_learns_anew(
    spark: SparkSession, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = shutil.copytree(folder / "lake", tmp_path / "lake")
    of = config(folder, f"output.root={root}", n_clusters=2)
    learned = []

    def counted(*given: Any) -> Any:
        learned.append(given)
        return lessons(*given)

    lessons = divide_contrast.lessons
    monkeypatch.setattr(divide_contrast, "lessons", counted)
    divide_contrast.run(spark, of)
    before = rows_of(open_run(spark, of), "contrast_clusters")
    divide_contrast.contrast(open_run(spark, of, is_refresh=True))
    assert len(learned) == 2
    assert rows_of(open_run(spark, of), "contrast_clusters") == before


def test_rows_of_an_id_that_agree_are_one(spark: SparkSession) -> None:
    rows = [("a", [1.0, 2.0], [3.0, 4.0])] * 2 + [("b", [1.0, 2.0], [1.0, 0.0])]
    rows += [("b", [1.0, 2.0], [0.0, 1.0])]
    frame = spark.createDataFrame(rows, "id string, a array<float>, b array<float>").repartition(3)
    found = packed_pairs(frame, "views").collect()
    assert {row.id: row.n_rows for row in found} == {"a": 1, "b": 2}

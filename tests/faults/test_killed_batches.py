"""SIGKILL inside and between rounds of selected batches, then the same command: the same tables.

Run: make faults ARGS="-k killed_batches" (ten minutes)
"""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pyspark.sql import SparkSession

from jobs import select_batches
from jobs.config.loading import load_config
from jobs.runs.opening import open_run
from jobs.tables.digests import Written
from tests.faults.driver import Driver, Point

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

N, N_FEATURES, N_ROUNDS = 3_000, 16, 2
STAGE = select_batches.STAGE
MODULE = "jobs.select_batches"
POINTS = [
    (0, Point("stage=select_batches event=started", 3.0)),  # among its commits
    (0, Point("stage=select_batches event=finished")),  # between rounds, without a page
    (1, Point("stage=select_batches event=started", 6.0)),
]


def write_pairs(folder: Path) -> None:
    """Write a pool, and two models' embeddings of its pairs."""
    rng = np.random.default_rng(0)
    image = rng.standard_normal((N, N_FEATURES)).astype(np.float32)
    ids = np.arange(N)
    pq.write_table(pa.table({"id": ids, "vector": list(image)}), folder / "pool.parquet")
    for name, noise in (("learner", 1.0), ("reference", 0.3)):
        text = (image + noise * rng.standard_normal(image.shape)).astype(np.float32)
        pairs = pa.table({"id": ids, "image": list(image), "text": list(text)})
        pq.write_table(pairs, folder / f"{name}.parquet")


def arguments(folder: Path, root: Path) -> list[str]:
    models = {name: {"table": f"{folder}/{name}.parquet"} for name in ("learner", "reference")}
    plain = {
        "input": {"table": f"{folder}/pool.parquet", "embedding": "vector"},
        "output": {"root": str(root)},
        "cluster": {"levels": [40, 5], "resampling": {"rounds": 1}},
        "samples": [{"name": "s", "target_size": 200, "share": {"leaves": 0.0}}],
        "batches": models | {"size": 64, "super_batch": 320},
        "spark": {"master": "local[2]", "driver_memory": "2g", "shuffle_partitions": 2},
    }
    path = root.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(plain))
    return ["--config", str(path)]


def of_round(round_: int) -> str:
    return f"batches.round={round_}"


def content(spark: SparkSession, root: Path) -> list[dict[str, Written]]:
    """Return every table's rows and digest, round by round."""
    found = []
    for round_ in range(N_ROUNDS):
        run = open_run(spark, load_config(str(root.with_suffix(".yaml")), [of_round(round_)]))
        found.append({t.name: run.lake.describe(t, run.key(STAGE)) for t in STAGE.tables})
    return found


@pytest.fixture(scope="module")
def curated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("batches")
    write_pairs(folder)
    driver = Driver(arguments(folder, folder / "curated")).run()
    assert driver.exit_code == 0, driver.end_of_log()
    return folder


def command(curated: Path, root: Path) -> list[str]:
    shutil.copytree(curated / "curated", root, dirs_exist_ok=True)
    return arguments(curated, root)


def selected(words: list[str], round_: int, point: Point | None = None) -> Driver:
    return Driver([*words, of_round(round_)], module=MODULE).run(point)


@pytest.fixture(scope="module")
def whole(spark: SparkSession, curated: Path) -> list[dict[str, Written]]:
    words = command(curated, curated / "whole")
    for round_ in range(N_ROUNDS):
        driver = selected(words, round_)
        assert driver.exit_code == 0, driver.end_of_log()
    found = content(spark, curated / "whole")
    assert found[0]["batches"].digest != found[1]["batches"].digest
    return found


@pytest.mark.parametrize(("round_", "point"), POINTS, ids=str)
def test_killed_batches_are_the_same_when_repeated(
    spark: SparkSession,
    curated: Path,
    whole: list[dict[str, Written]],
    tmp_path: Path,
    round_: int,
    point: Point,
) -> None:
    words = command(curated, tmp_path / "lake")
    for before in range(round_):
        assert selected(words, before).exit_code == 0
    killed = selected(words, round_, point)
    assert killed.exit_code == -9, "the point was never reached: " + killed.end_of_log()
    for each in range(round_, N_ROUNDS):
        finished = selected(words, each)
        assert finished.exit_code == 0, finished.end_of_log()
    assert content(spark, tmp_path / "lake") == whole
    run = open_run(spark, load_config(words[1]))
    events = run.lake.read("runs").where("stage = 'select_batches' AND event = 'finished'")
    assert events.count() == N_ROUNDS  # none was drawn twice

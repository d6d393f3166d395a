"""SIGKILL between and inside rounds of draws, then the same command again: the same tables.

Run: make faults ARGS="-k rounds" (ten minutes)
"""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pyspark.sql import SparkSession

from jobs import score_learnability
from jobs.config.loading import load_config
from jobs.runs.opening import open_run
from jobs.tables.digests import Written
from tests.faults.driver import Driver, Point

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

N, N_CLASSES, N_ROUNDS = 3_000, 5, 3
STAGE = score_learnability.STAGE
MODULE = "jobs.score_learnability"
POINTS = [
    Point("stage=score_learnability event=started"),
    Point("stage=score_learnability event=started", 1.0),  # among its commits
    Point("stage=score_learnability seconds="),  # the tables are written
    Point("round=0 selection="),  # between rounds
    Point("round=0 selection=", 2.0),
    Point("round=1 selection=", 3.0),
]


def write_labelled(folder: Path) -> None:
    """Write a pool of clouds with wrong labels, and a clean table."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, N_CLASSES, N)
    X = np.eye(N_CLASSES, 8)[y] + rng.normal(0, 0.4, (N, 8))
    wrong = np.where(rng.random(N) < 0.25, rng.integers(0, N_CLASSES, N), y)
    vectors = pa.array(list(X.astype(np.float32)))
    table = {"id": np.arange(N), "vector": vectors, "label": wrong.astype(str)}
    pq.write_table(pa.table(table), folder / "pool.parquet")
    clean = {"vector": vectors, "label": y.astype(str)}
    pq.write_table(pa.table(clean).slice(0, 200), folder / "clean.parquet")


def arguments(folder: Path, root: Path) -> list[str]:
    clean = {"table": f"{folder}/clean.parquet"}
    plain = {
        "input": {"table": f"{folder}/pool.parquet", "embedding": "vector"},
        "output": {"root": str(root)},
        "cluster": {"levels": [40, 5], "resampling": {"rounds": 1}},
        "samples": [{"name": "s", "target_size": 200, "share": {"leaves": 0.0}}],
        "learnability": {
            "source": "pool",
            "rounds": N_ROUNDS,
            "classifier": {"label": "label", "clean": clean},
        },
        "spark": {"master": "local[2]", "driver_memory": "2g", "shuffle_partitions": 2},
    }
    path = root.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(plain))
    return ["--config", str(path)]


def content(spark: SparkSession, root: Path) -> list[dict[str, Written]]:
    """Return every table's rows and digest, round by round."""
    run = open_run(spark, load_config(str(root.with_suffix(".yaml"))))
    found = []
    for round_ in range(N_ROUNDS):
        given = run.written.learnability.model_copy(update={"round": round_})
        key = run.key_if(STAGE, {"learnability": given})
        found.append({table.name: run.lake.describe(table, key) for table in STAGE.tables})
    return found


@pytest.fixture(scope="module")
def curated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rounds")
    write_labelled(folder)
    driver = Driver(arguments(folder, folder / "curated")).run()
    assert driver.exit_code == 0, driver.end_of_log()
    return folder


def command(curated: Path, root: Path) -> list[str]:
    shutil.copytree(curated / "curated", root, dirs_exist_ok=True)
    return arguments(curated, root)


@pytest.fixture(scope="module")
def whole(spark: SparkSession, curated: Path) -> list[dict[str, Written]]:
    driver = Driver(command(curated, curated / "whole"), module=MODULE).run()
    assert driver.exit_code == 0, driver.end_of_log()
    return content(spark, curated / "whole")


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_killed_rounds_go_on_with_the_same_draws(
    spark: SparkSession,
    curated: Path,
    whole: list[dict[str, Written]],
    tmp_path: Path,
    point: Point,
) -> None:
    again = command(curated, tmp_path / "lake")
    killed = Driver(again, module=MODULE).run(point)
    assert killed.exit_code == -9, "the point was never reached: " + killed.end_of_log()
    finished = Driver(again, module=MODULE).run()
    assert finished.exit_code == 0, finished.end_of_log()
    assert content(spark, tmp_path / "lake") == whole
    events = (
        open_run(spark, load_config(again[1]))
        .lake.read("runs")
        .where("stage = 'score_learnability'")
    )
    assert events.where("event = 'finished'").count() == N_ROUNDS  # none was drawn twice

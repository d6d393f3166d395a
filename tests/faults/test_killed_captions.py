"""SIGKILL while captions are asked for, then the same command: no answer that is stored again.

Run: make faults ARGS="-k killed_captions" (ten minutes)
"""

import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pyspark.sql import SparkSession

from jobs import write_captions
from jobs.config.loading import load_config
from jobs.runs.opening import open_run
from jobs.synthesis.asking import ANSWERS
from jobs.tables.digests import Written
from tests.faults.driver import Driver, Point
from tests.synthesis.servers import Asked, echo, server

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

N, N_CAPTIONS, N_CONCEPTS = 600, 300, 4
STAGE = write_captions.STAGE
MODULE = "jobs.write_captions"
POINTS = [
    Point("stage=write_captions event=started", 1.0),
    Point("stage=write_captions answers="),  # some are stored
    Point("stage=write_captions answers=", 4.0),
]


def reply(body: dict[str, Any], n: int) -> tuple[int, str]:
    """Take a while, and answer every fifth prompt with something useless."""
    time.sleep(0.05)
    return echo(body, n) if body["seed"] % 5 else (200, "no such thing here at all")


def arguments(folder: Path, root: Path, base_url: str) -> list[str]:
    plain = {
        "input": {
            "table": f"{folder}/pool.parquet",
            "embedding": "vector",
            "metadata": ["label"],
        },
        "output": {"root": str(root)},
        "cluster": {"levels": [8, 4], "resampling": {"rounds": 1}},
        "samples": [{"name": "s", "target_size": 50, "share": {"leaves": 0.0}}],
        "report": {"label": "label"},
        "synthesis": {
            "concepts": "label",
            "n_captions": N_CAPTIONS,
            "captioner": "openai:m",
            "captioner_options": {"base_url": base_url, "key_variable": None},
            "calls": {"save_every": 1.0, "at_once": 2},
        },
        "spark": {"master": "local[2]", "driver_memory": "2g", "shuffle_partitions": 2},
    }
    path = root.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(plain))
    return ["--config", str(path)]


@pytest.fixture(scope="module")
def curated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("captions"), np.random.default_rng(0)
    y = rng.integers(0, N_CONCEPTS, N)
    X = (np.eye(N_CONCEPTS)[y] + rng.normal(0, 0.1, (N, N_CONCEPTS))).astype(np.float32)
    table = {"id": np.arange(N), "vector": list(X), "label": [f"concept{i}" for i in y]}
    pq.write_table(pa.table(table), folder / "pool.parquet")
    driver = Driver(arguments(folder, folder / "curated", "http://localhost:1")).run()
    assert driver.exit_code == 0, driver.end_of_log()
    return folder


def captioned(curated: Path, root: Path, asked: Asked, point: Point | None = None) -> Driver:
    if not root.exists():
        shutil.copytree(curated / "curated", root)
    return Driver(arguments(curated, root, asked.base_url), module=MODULE).run(point)


def content(spark: SparkSession, root: Path) -> Written:
    run = open_run(spark, load_config(str(root.with_suffix(".yaml"))))
    return run.lake.describe(write_captions.CAPTIONS, run.key(STAGE))


def n_stored(spark: SparkSession, root: Path) -> int:
    run = open_run(spark, load_config(str(root.with_suffix(".yaml"))))
    return run.lake.read(ANSWERS).count() if run.lake.exists(ANSWERS) else 0


def n_twice(asked: Asked) -> int:
    seeds = [body["seed"] for body in asked.bodies]
    seen = Counter(zip(seeds, asked.prompts, strict=True))
    return sum(n - 1 for n in seen.values())


@pytest.fixture(scope="module")
def whole(spark: SparkSession, curated: Path) -> Written:
    with server(reply) as asked:
        driver = captioned(curated, curated / "whole", asked)
    assert driver.exit_code == 0, driver.end_of_log()
    assert n_twice(asked) == 0
    return content(spark, curated / "whole")


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_killed_captions_are_the_same_and_no_stored_answer_is_asked_for_again(
    spark: SparkSession, curated: Path, whole: Written, tmp_path: Path, point: Point
) -> None:
    with server(reply) as asked:
        killed = captioned(curated, tmp_path / "lake", asked, point)
        assert killed.exit_code == -9, "the point was never reached: " + killed.end_of_log()
        n_before, n_kept = len(asked.bodies), n_stored(spark, tmp_path / "lake")
        assert n_kept > 0 or "answers=" not in point.line
        finished = captioned(curated, tmp_path / "lake", asked)
    assert finished.exit_code == 0, finished.end_of_log()
    assert n_twice(asked) <= n_before - n_kept
    assert content(spark, tmp_path / "lake") == whole
    assert n_stored(spark, tmp_path / "lake") == 0

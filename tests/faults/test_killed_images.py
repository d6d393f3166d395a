"""SIGKILL while images are made, then the same command: none that was committed is made again.

Run: make faults ARGS="-k killed_images" (five minutes)
"""

import os
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml
from pyspark.sql import SparkSession

from jobs import curate, plan_synthesis, render_images, write_captions
from jobs.config.loading import load_config
from jobs.runs.opening import open_run
from tests.faults.driver import Driver, Point
from tests.imaging import small

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

STAGE = render_images.STAGE
N_CAPTIONS = 240  # of 3 images each; about a minute of this generator
SLOW = """
import os
import time

import numpy as np


def make():
    def generate(prompts):
        time.sleep(0.15 * len(prompts))
        with open(os.environ["MADE"], "a") as made:
            made.writelines(f"{prompt.seed}\\n" for prompt in prompts)
        seeded = [np.random.default_rng(prompt.seed) for prompt in prompts]
        return [rng.integers(0, 256, (8, 8, 3), np.uint8) for rng in seeded]

    return generate
"""


@pytest.fixture
def folder(spark: SparkSession, tmp_path: Path) -> Path:
    """Curate a tiny pool, write captions, and put a slow generator beside the config."""
    small.write_inputs(tmp_path)
    (tmp_path / "slow_generator.py").write_text(SLOW)
    plain = small.plain_of(
        tmp_path, tmp_path / "lake", generator="python:slow_generator:make", n_captions=N_CAPTIONS
    )
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(plain))
    run = open_run(spark, load_config(str(tmp_path / "my.yaml")))
    curate.curate(run)
    run.do(plan_synthesis.STAGE)
    run.do(write_captions.STAGE)
    return tmp_path


def rendered(folder: Path, made: Path, point: Point | None = None) -> Driver:
    environment = {"MADE": str(made), "PATH": os.environ["PATH"]}
    words = ["--config", str(folder / "my.yaml")]
    return Driver(words, environment, "jobs.render_images").run(point)


def made_in(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()]


def test_no_image_is_made_twice_by_a_run_that_is_killed_midway(
    spark: SparkSession, folder: Path
) -> None:
    # the second chunk is under way: of the first, all is committed
    killed = rendered(folder, folder / "first", Point(r"done=[1-9]\d* total=720"))
    assert killed.exit_code == -9, "the point was never reached: " + killed.end_of_log()
    run = open_run(spark, load_config(str(folder / "my.yaml")))
    committed = {row.seed for row in run.lake.read("synthetic_images").select("seed").collect()}
    assert 0 < len(committed) < 3 * N_CAPTIONS
    finished = rendered(folder, folder / "second")
    assert finished.exit_code == 0, finished.end_of_log()
    assert any(re.search("resumed from checkpoint", line) for line in finished.lines)
    again = made_in(folder / "second")
    assert not committed & {*again}
    assert len(committed) + len(again) == 3 * N_CAPTIONS
    rows = run.lake.read("synthetic_images").select("caption_id", "k", "sha256").collect()
    assert {*Counter((row.caption_id, row.k) for row in rows).values()} == {1}
    assert len(rows) == len({(row.caption_id, row.sha256) for row in rows}) == 3 * N_CAPTIONS

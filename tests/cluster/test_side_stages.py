"""One round of learnability and one of batches: on Connect the rows that a local session draws."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from pyspark.sql import SparkSession

from jobs import curate, score_learnability, select_batches
from jobs.config.loading import load_config
from tests.cluster.servers import bare_python, connect_server
from tests.cluster.sessions import REPOSITORY
from tests.cluster.small_run import N_POINTS, run_in, write_inputs

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

SORTED_BY = {
    "learnability": ["id"],
    "batches": ["batch_id", "position"],
    "batch_stats": ["batch_id"],
}
N_BATCHES, SIZE = 5, 24


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Curate in the local session; losses and both models' embeddings are parts of the digits."""
    folder = tmp_path_factory.mktemp("side-stages")
    path = write_inputs(folder)
    plain = yaml.safe_load(path.read_text())
    plain["learnability"] = {
        "source": "pool",
        "online": {"embedding": "embedding"},  # computed on the executors
        "reference": {"loss": "embedding[20]"},
        "within_nodes": 1,
    }
    towers = {
        name: {
            "table": plain["input"]["table"],
            "image": f"slice(embedding, {first}, 16)",
            "text": f"slice(embedding, {first + 16}, 16)",
        }
        for name, first in (("learner", 9), ("reference", 25))
    }
    sizes = {"size": SIZE, "super_batch": N_POINTS // N_BATCHES, "chunks": 4}
    plain["batches"] = towers | sizes
    path.write_text(yaml.safe_dump(plain))
    curate.run(spark, load_config(path, [f"output.root={folder}/here"]))
    shutil.copytree(folder / "here", folder / "connected")
    return folder


@pytest.fixture(scope="module")
def remote(folder: Path) -> Iterator[str]:
    with connect_server(folder / "server", bare_python(folder / "python")) as address:
        yield address


def content_of(spark: SparkSession, root: Path) -> dict[str, pa.Table]:
    """Return the rows of each table in order."""
    found = {}
    for table, by in SORTED_BY.items():
        rows = spark.read.format("delta").load(f"{root}/{table}").toArrow()
        found[table] = rows.sort_by([(column, "ascending") for column in by])
    return found


def test_draws_over_connect_are_the_local_ones(
    spark: SparkSession, folder: Path, remote: str
) -> None:
    config = load_config(folder / "my.yaml", [f"output.root={folder}/here"])
    score_learnability.run(spark, config)
    select_batches.run(spark, config)
    expected = content_of(spark, folder / "here")
    for name in ("learnability", "batches"):
        words = [sys.executable, "-m", "jobs", name, "--config", folder / "my.yaml"]
        run_in(
            folder / f"client-of-{name}",
            [*words, f"output.root={folder}/connected"],
            {"PYTHONPATH": str(REPOSITORY), "SPARK_REMOTE": remote},
        )
    found = content_of(spark, folder / "connected")
    assert found == expected  # the stage keys too
    assert found["learnability"].num_rows == N_POINTS
    assert found["batches"].num_rows == N_BATCHES * SIZE

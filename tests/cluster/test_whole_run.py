"""One small run, byte for byte the same on Connect and on a standalone cluster as locally."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.cluster.servers import bare_python, connect_server, settings, standalone
from tests.cluster.sessions import REPOSITORY, cluster_environment
from tests.cluster.small_run import PREFIX, content_of, curated_here, run_in, write_inputs

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

MY_CODE = {"PYTHONPATH": str(REPOSITORY)}  # the client's alone


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole-run")
    write_inputs(folder)
    return folder


@pytest.fixture(scope="module")
def python(folder: Path) -> Path:
    return bare_python(folder / "python")


@pytest.fixture(scope="module")
def expected(spark: SparkSession, folder: Path) -> dict[str, str]:
    """Curate on local[2]."""
    return curated_here(spark, folder)


@pytest.fixture(scope="module")
def remote(folder: Path, python: Path) -> Iterator[str]:
    with connect_server(folder / "server", python) as address:
        yield address


def test_the_workers_have_three_packages_and_none_of_ours(python: Path) -> None:
    script = "import numpy, pandas, pyarrow\nimport {}"
    for name in ("udfs", "sklearn", "PIL"):
        command = [python, "-c", script.format(name)]
        done = subprocess.run(command, cwd=python.parent, capture_output=True, text=True)
        assert done.stderr.splitlines()[-1] == f"ModuleNotFoundError: No module named '{name}'"


def test_a_run_over_connect_is_the_local_one(
    spark: SparkSession, folder: Path, expected: dict[str, str], remote: str
) -> None:
    root, result = folder / "connected", folder / "connected.json"
    command = [sys.executable, "-m", "jobs", "curate", "--config", folder / "my.yaml"]
    out = run_in(
        folder / "client",
        [*command, f"output.root={root}", "--result", result],
        MY_CODE | {"SPARK_REMOTE": remote},
    )
    assert f"report: {root}/artifacts (name = " in out  # not in a folder of this machine
    assert not (root / "reports").exists()
    assert json.loads(result.read_text())["status"] == "ok"
    assert content_of(spark, root) == expected


def test_a_run_over_connect_by_names_is_the_local_one(
    spark: SparkSession, folder: Path, expected: dict[str, str], remote: str
) -> None:
    script = f"""
from pyspark.sql import SparkSession
from jobs import curate
from jobs.config.loading import load_config

spark = SparkSession.builder.remote({remote!r}).getOrCreate()
spark.sql("CREATE SCHEMA curated LOCATION '{folder}/schema'")
names = ["output.root=null", "output.catalog=spark_catalog", "output.schema=curated"]
config = load_config({str(folder / "my.yaml")!r}, names)
summary = curate.run(spark, config)
again = curate.run(spark, config)
assert again.reused == [stage for stage in summary.metrics if stage != "plan_run"], again.reused
assert summary.passed_over == again.passed_over == [], (summary.passed_over, again.passed_over)
print(len(curate.page(spark, config)))
"""
    out = run_in(folder / "client-of-names", [sys.executable, "-c", script], MY_CODE)
    assert int(out.splitlines()[-1]) > 100_000
    assert content_of(spark, folder / "schema", PREFIX) == expected


def test_a_run_does_without_what_serverless_refuses(
    spark: SparkSession, folder: Path, expected: dict[str, str], remote: str
) -> None:
    root = folder / "refused"
    command = [sys.executable, "-m", "tests.cluster.serverless", remote, folder / "my.yaml", root]
    out = run_in(folder / "client-of-serverless", command, MY_CODE)
    assert "'persist'" in out.splitlines()[-1]
    assert "'get_with_default spark.driver.memory'" in out.splitlines()[-1]
    assert content_of(spark, root) == expected


def test_relative_paths_are_refused_where_the_server_has_another_folder(
    folder: Path, remote: str
) -> None:
    command = [sys.executable, "-m", "jobs", "curate", "--config", folder / "my.yaml"]
    for key in ("output.root", "input.table"):
        done = subprocess.run(
            [*command, f"{key}=my/data"], cwd=folder, capture_output=True, text=True, timeout=200,
            env=os.environ | MY_CODE | {"SPARK_REMOTE": remote},
        )  # fmt: skip
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1] == (
            f"config: {key}='my/data' is relative to this process's folder, but Spark's files are "
            "its server's; want a full path or a URI, such as /Volumes/main/lake/pool or "
            "s3://bucket/pool"
        )


def test_workers_without_the_embedders_packages_are_told_so(folder: Path, remote: str) -> None:
    images = ["input.embedding=null", "input.content=image", f"input.table={folder}/images"]
    script = f"""
from pyspark.sql import SparkSession
from jobs import curate, write_example
from jobs.config.errors import CurationError
from jobs.config.loading import load_config

spark = SparkSession.builder.remote({remote!r}).getOrCreate()
config = load_config({str(folder / "my.yaml")!r}, {images!r} + ["embed.model=pixels"])
write_example.run(spark, config)
try:
    curate.run(spark, config)
except CurationError as error:
    print(error)
"""
    out = run_in(folder / "client-of-images", [sys.executable, "-c", script], MY_CODE)
    assert out.splitlines()[-1] == (
        "the workers' Python has no module PIL, which embed.model needs: install it there, or "
        "choose a model that needs none"
    )


def submit(master: str, folder: Path, root: Path) -> list[object]:
    """Return the command that submits the zip, and make the zip."""
    archive = folder / "evenlake.zip"
    subprocess.run(["python3", REPOSITORY / "docker" / "zip.py", archive], check=True)
    mine = settings() | {"spark.executor.memory": "1g", "spark.driver.host": "127.0.0.1"}
    return [
        Path(cluster_environment()["SPARK_HOME"]) / "bin" / "spark-submit",
        "--master", master,
        *(part for k, v in mine.items() for part in ("--conf", f"{k}={v}")),
        "--py-files", archive,
        REPOSITORY / "jobs" / "curate.py",
        "--config", folder / "my.yaml", f"output.root={root}",
    ]  # fmt: skip


def test_the_submitted_zip_on_a_standalone_cluster_does_the_same(
    spark: SparkSession, folder: Path, python: Path, expected: dict[str, str]
) -> None:
    root = folder / "standalone"
    with standalone(folder / "cluster", python) as (master, _):
        environment = cluster_environment() | {
            "PYSPARK_PYTHON": str(python),
            "PYSPARK_DRIVER_PYTHON": sys.executable,
        }
        environment.pop("PYTHONPATH", None)
        out = run_in(folder / "driver", submit(master, folder, root), environment)
    assert f"sample balanced: {root}/sample_balanced" in out
    assert content_of(spark, root) == expected

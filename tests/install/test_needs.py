"""Drivers and executors need what README.md lists, and no more: exactly that is installed here."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.install.environments import PROJECT, Environment, java_home
from tests.install.test_from_pip import images, lines

pytestmark = [pytest.mark.install, pytest.mark.timeout(1800)]

PYSPARK = "pyspark==4.2.0"  # what a cluster brings
MODELS = ("precomputed", "lsa", "pixels")


def listed(who: str) -> list[str]:
    """Return the packages that README.md lists for drivers, executors or executors of a model."""
    text = " ".join((PROJECT / "README.md").read_text("utf-8").split())
    found = re.search(rf"\*{re.escape(who)}\*: ([^.;]+)", text)
    assert found is not None, who
    return re.split(r", | and ", found[1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay out the code by itself, as on a cluster, and a pool for each model."""
    folder = tmp_path_factory.mktemp("needs")
    subprocess.run([sys.executable, PROJECT / "docker" / "zip.py", folder / "code.zip"], check=True)
    subprocess.run([sys.executable, "-m", "zipfile", "-e", "code.zip", "code"], cwd=folder)
    vectors = np.random.default_rng(0).standard_normal((200, 8)).astype("f4")
    table = {"id": list(range(200)), "embedding": list(vectors)}
    pq.write_table(pa.table(table), folder / "vectors.parquet")
    lines(folder)
    photos = folder / images(folder)
    contents = [path.read_bytes() for path in sorted(photos.rglob("*.png"))]
    table = {"id": list(range(len(contents))), "content": contents}
    pq.write_table(pa.table(table), folder / "images.parquet")
    return folder


@pytest.fixture(scope="module")
def driver(folder: Path) -> Environment:
    return Environment.made(folder / "driver", PYSPARK, *listed("drivers"))


POOLS = {
    "precomputed": "input.table=vectors.parquet input.embedding=embedding",
    "lsa": "input.table=texts.jsonl input.content=text",
    "pixels": "input.table=images.parquet input.content=content",
}


@pytest.mark.parametrize("model", MODELS)
def test_the_lists_are_enough(folder: Path, driver: Environment, model: str) -> None:
    packages: Sequence[str] = listed("executors")
    if model != "precomputed":
        packages = [*packages, *listed(f"`{model}`")]
    executors = Environment.made(folder / f"executors-{model}", *packages)
    (folder / "my.yaml").write_text(
        "samples: [{name: s, target_size: 20}]\nspark: {driver_memory: 1g}"
    )
    said = driver.run(
        "python", "-m", "jobs.curate", "--config", "my.yaml", f"embed.model={model}",
        f"output.root={model}-lake", *POOLS[model].split(),
        cwd=folder, JAVA_HOME=java_home(), PYTHONPATH=str(folder / "code"),
        PYSPARK_PYTHON=str(executors.prefix / "bin" / "python"),
    )  # fmt: skip
    assert "sample s:" in said


def test_the_drivers_list_is_that_of_the_package() -> None:
    setup = (PROJECT / "setup.cfg").read_text()
    needs = re.search(r"install_requires =\n((?:    .*\n)+)", setup)
    assert needs is not None
    lines = [line.strip() for line in needs[1].splitlines()]
    names = {re.split(r"[<>=]", line)[0].lower() for line in lines if not line.startswith("#")}
    assert {name.lower() for name in listed("drivers")} == names

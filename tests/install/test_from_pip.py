"""From an empty folder and environment: pip install, evenlake init, evenlake curate."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.install.environments import Environment, build_wheel, java_home, write_texts
from tests.install.matrix import curates

pytestmark = [pytest.mark.install, pytest.mark.timeout(1800)]

N_ROWS = 200


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Environment:
    return Environment.made(tmp_path_factory.mktemp("installed") / "venv", f"{wheel}[local]")


def lines(folder: Path) -> str:
    write_texts(folder / "texts.jsonl", N_ROWS)
    return "texts.jsonl"


def rows(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / lines(folder)).read_text().splitlines()]


def table(folder: Path) -> str:
    with (folder / "texts.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "text", "topic"], delimiter=";")
        writer.writeheader()
        writer.writerows(rows(folder))
    return "texts.csv"


def parquet(folder: Path) -> str:
    """Write Parquet without a column that could be the id."""
    kept = [{"text": row["text"], "topic": row["topic"]} for row in rows(folder)]
    pq.write_table(pa.Table.from_pylist(kept), folder / "texts.parquet")
    return "texts.parquet"


def images(folder: Path) -> str:
    """Write class folders: two colours of noise, one of them rare."""
    rng = np.random.default_rng(0)
    for label, share, colour in (("red", 0.9, 0), ("blue", 0.1, 2)):
        (folder / "photos" / label).mkdir(parents=True)
        for i in range(int(N_ROWS * share)):
            pixels = rng.integers(0, 90, (16, 16, 3), dtype=np.uint8)
            pixels[..., colour] += 150
            Image.fromarray(pixels).save(folder / "photos" / label / f"{i}.png")
    return "photos"


def matrix(folder: Path) -> str:
    np.save(folder / "x.npy", np.random.default_rng(0).standard_normal((N_ROWS, 8)).astype("f4"))
    return "x.npy"


def n_rows(table: Path) -> int:
    """Count the rows of a table's files, each written once."""
    return sum(pq.read_metadata(file).num_rows for file in table.rglob("*.parquet"))


@pytest.mark.parametrize(
    "write",
    [lines, table, parquet, images, matrix],
    ids=lambda write: write.__name__,
)
def test_a_first_config_curates(
    tmp_path: Path, installed: Environment, write: Callable[[Path], str]
) -> None:
    pool = write(tmp_path)
    said = installed.run("evenlake", "init", pool, cwd=tmp_path)
    assert said.endswith("next:  evenlake curate --config evenlake.yaml\n")
    command = said.splitlines()[-1].split()[1:]
    installed.run(*command, cwd=tmp_path, JAVA_HOME=java_home())
    lake = next(tmp_path.glob("*-lake"))
    assert n_rows(lake / "embeddings") == N_ROWS
    assert n_rows(lake / "sample_balanced") == N_ROWS // 10
    assert list(lake.glob("reports/*.html"))


def test_the_demo_needs_nothing_but_the_package(tmp_path: Path, installed: Environment) -> None:
    said = installed.run("evenlake", "demo", cwd=tmp_path, JAVA_HOME=java_home())
    assert "sample balanced:" in said
    assert (tmp_path / "data" / "lake" / "sample_balanced").is_dir()


def test_without_spark_there_is_help_and_a_first_config(tmp_path: Path, wheel: Path) -> None:
    bare = Environment.made(tmp_path / "venv", wheel)
    assert bare.run("evenlake", "--version", cwd=tmp_path) == "evenlake 0.1.0\n"
    assert "curate" in bare.run("evenlake", "--help", cwd=tmp_path)
    assert "--config" in bare.run("evenlake", "curate", "--help", cwd=tmp_path)
    said = bare.run("evenlake", "init", lines(tmp_path), cwd=tmp_path)
    assert "pip install 'evenlake[local]'" in said
    said = bare.run("evenlake", "curate", "--config", "evenlake.yaml", cwd=tmp_path, expects=1)
    assert said == "error: pyspark is not installed; pip install 'evenlake[local]'\n"
    assert "pyspark" not in bare.run("python", "-m", "pip", "freeze", cwd=tmp_path)
    base = bare.run("evenlake", "init", "--example", "base", "--config", "b.yaml", cwd=tmp_path)
    assert re.search(r"target_size: \d+", (tmp_path / "b.yaml").read_text()), base


def test_jars_that_cannot_be_fetched_are_named(tmp_path: Path, installed: Environment) -> None:
    lines(tmp_path)
    installed.run("evenlake", "init", "texts.jsonl", cwd=tmp_path)
    nowhere = "<ivysettings><settings defaultResolver='none'/><resolvers><filesystem name='none'>"
    nowhere += f"<artifact pattern='{tmp_path}/[artifact]'/></filesystem></resolvers></ivysettings>"
    (tmp_path / "ivy.xml").write_text(nowhere)
    said = installed.run(
        "evenlake", "curate", "--config", "evenlake.yaml", cwd=tmp_path, expects=1,
        JAVA_HOME=java_home(),
        PYSPARK_SUBMIT_ARGS=f"--conf spark.jars.ivySettings={tmp_path}/ivy.xml "
        f"--conf spark.jars.ivy={tmp_path}/ivy pyspark-shell",
    )  # fmt: skip
    last = said.splitlines()[-1]
    assert last.startswith(
        "error: Spark did not start, as it could not fetch io.delta:delta-spark_"
    )
    assert "Traceback" not in said


@pytest.mark.parametrize("spark", ["4.0.1", "4.1.4"])
def test_an_older_spark_curates(tmp_path: Path, wheel: Path, spark: str) -> None:
    older = Environment.made(tmp_path / "venv", f"{wheel}[local]", f"pyspark=={spark}")
    assert curates(older, tmp_path / "pool", java_home())

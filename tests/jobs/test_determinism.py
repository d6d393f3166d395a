"""Contract 1: same in, same out, to the last byte, whatever the layout, the solver and the BLAS."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from jobs import embed_pool
from jobs.clustering import sizes
from jobs.clustering.spark_points import SparkPoints
from tests.jobs.determinism import config_of, curated_bytes, tied_pool, write_files

pytestmark = pytest.mark.whole

REPOSITORY = Path(__file__).resolve().parents[2]
HAS_AVX512 = (
    "avx512f" in Path("/proc/cpuinfo").read_text() if os.path.exists("/proc/cpuinfo") else False
)


def embedded(spark: SparkSession, folder: Path, n_files: int) -> Path:
    """Write the pool as n_files files, and embed it."""
    write_files(tied_pool(3), folder / "pool", n_files, seed=n_files)
    embed_pool.run(spark, config_of(folder / "pool", folder / "lake", "local", "off"))
    return folder


@pytest.fixture(scope="module")
def scattered(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Embed the pool from 64 files; tests that solve it take a copy of the root."""
    return embedded(spark, tmp_path_factory.mktemp("scattered"), 64)


def copied(folder: Path, to: Path) -> tuple[Path, Path]:
    """Return the pool, and a copy of its root."""
    return folder / "pool", shutil.copytree(folder / "lake", to / "lake")


@pytest.fixture(scope="module")
def expected(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory):
    """Solve the pool of one file on the driver."""
    folder = embedded(spark, tmp_path_factory.mktemp("whole"), 1)
    return {
        split: curated_bytes(spark, folder / "pool", folder / "lake", "local", split)
        for split in ("off", "9")
    }


@pytest.mark.parametrize(("solver", "split"), [("spark", "off"), ("local", "off"), ("spark", "9")])
def test_files_and_solver_change_nothing(
    spark: SparkSession,
    scattered: Path,
    expected: dict[str, dict[str, str]],
    tmp_path: Path,
    solver: str,
    split: str,
) -> None:
    assert curated_bytes(spark, *copied(scattered, tmp_path), solver, split) == expected[split]


def test_points_that_go_to_their_cells_get_the_same_leaves(
    spark: SparkSession,
    scattered: Path,
    expected: dict[str, dict[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    routed, way = [], SparkPoints.by_cell

    def by_cell(pool: SparkPoints, *arguments: Any) -> DataFrame:
        routed.append(pool)
        return way(pool, *arguments)

    monkeypatch.setattr(sizes, "ROUTED_BYTES", 0)
    monkeypatch.setattr(SparkPoints, "by_cell", by_cell)
    got = curated_bytes(spark, *copied(scattered, tmp_path), "spark", "9")
    assert got == expected["9"]
    assert len(routed) == 1


@pytest.mark.cluster  # each needs its own session
@pytest.mark.parametrize(
    ("core_type", "blas_threads", "solver", "split"),
    [
        ("Haswell", "1", "local", "off"),
        ("Haswell", "2", "spark", "9"),
        pytest.param(
            "SkylakeX",
            "2",
            "spark",
            "off",
            marks=pytest.mark.skipif(not HAS_AVX512, reason="the CPU has no AVX-512"),
        ),
        pytest.param(
            "SkylakeX",
            "1",
            "local",
            "9",
            marks=pytest.mark.skipif(not HAS_AVX512, reason="the CPU has no AVX-512"),
        ),
    ],
)
def test_blas_kernel_and_threads_change_nothing(
    scattered: Path,
    expected: dict[str, dict[str, str]],
    tmp_path: Path,
    core_type: str,
    blas_threads: str,
    solver: str,
    split: str,
) -> None:
    environment = os.environ | {
        "OPENBLAS_CORETYPE": core_type,
        "OPENBLAS_NUM_THREADS": blas_threads,
        "PYTHONPATH": str(REPOSITORY),
    }
    arguments = [*map(str, copied(scattered, tmp_path)), solver, split, blas_threads]
    done = subprocess.run(
        [sys.executable, "-m", "tests.jobs.determinism", *arguments],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == expected[split]

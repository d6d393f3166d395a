"""spark-submit with the zip, from a folder where no worker finds the code by accident."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests.cluster.sessions import MASTER, REPOSITORY, cluster_environment, cluster_settings
from tests.pools import zipf_mixture

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


def test_submitted_zip_curates_on_two_executors(tmp_path: Path) -> None:
    X, concepts = zipf_mixture(0, n_points=3000, n_concepts=20, n_features=16)
    ids = pa.array(np.arange(len(X)))
    pool = pa.table({"id": ids, "embedding": pa.array(list(X)), "c": pa.array(concepts)})
    pq.write_table(pool, tmp_path / "pool.parquet")
    config = {
        "input": {
            "table": str(tmp_path / "pool.parquet"),
            "embedding": "embedding",
            "metadata": ["c"],
        },
        "output": {"root": str(tmp_path / "lake")},
        "cluster": {"levels": [60, 10], "solver": "spark", "resampling": {"rounds": 1}},
        "samples": [{"name": "balanced", "target_size": 200, "share": {"leaves": 0.0}}],
        "report": {"label": "c"},
    }
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(config))
    archive = tmp_path / "evenlake.zip"
    subprocess.run(["python3", REPOSITORY / "docker" / "zip.py", archive], check=True)
    settings = {k: v for k, v in cluster_settings().items() if k != "spark.executorEnv.PYTHONPATH"}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = cluster_environment()
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [
            Path(environment["SPARK_HOME"]) / "bin" / "spark-submit",
            "--master", MASTER,
            *(part for k, v in settings.items() for part in ("--conf", f"{k}={v}")),
            "--py-files", archive,
            "--files", tmp_path / "my.yaml",
            REPOSITORY / "jobs" / "curate.py",
            "--config", tmp_path / "my.yaml",
            "--result", tmp_path / "result.json",
            "cluster.max_iter=5",
        ],
        cwd=elsewhere,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert "sample balanced:" in done.stdout
    assert json.loads((tmp_path / "result.json").read_text())["status"] == "ok"
    published = list((tmp_path / "lake" / "sample_balanced").glob("*.parquet"))
    assert sum(pq.read_metadata(file).num_rows for file in published) == 200

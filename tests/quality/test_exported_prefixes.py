"""Every prefix of an exported sample's files is as balanced as a sample drawn at its size."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from jobs import balance_sample, curate
from jobs.config.model import RunConfig
from jobs.export_sample import export_sample
from jobs.exporting.wanted_sample import ExportedSample, WantedSample
from jobs.runs.opening import open_run
from tests.pools import zipf_mixture
from tests.quality.mixture import config_for, write_pool
from udfs.kernels.judging.measures import kl_to_uniform

N_POINTS, N_CONCEPTS, SIZE, N_PREFIXES = 20_000, 200, 4000, 20
CLUSTER = {"levels": [1000, 200], "resampling": {"rounds": 3}}


def _concepts_in_parquet(done: ExportedSample) -> list[list[int]]:
    files = [f"{done.folder}/{file.path}" for file in done.index.files]
    return [pq.read_table(file)["concept"].to_pylist() for file in files]


def _concepts_in_tars(done: ExportedSample) -> list[list[int]]:
    webdataset = pytest.importorskip("webdataset")
    found = []
    for file in done.index.files:
        rows = webdataset.WebDataset(f"{done.folder}/{file.path}", shardshuffle=False).decode()
        found.append([int(row["json"]["concept"]) for row in rows])
    return found


def _configured(folder: Path, sizes: list[int]) -> RunConfig:
    config = config_for(folder / "pool.parquet", folder / "lake", SIZE, CLUSTER)
    (whole,) = config.samples
    parts = [whole.model_copy(update={"name": f"n{n}", "target_size": n}) for n in sizes]
    return config.model_copy(update={"samples": [whole, *parts]})


def _drawn(spark: SparkSession, config: RunConfig) -> dict[str, list[int]]:
    """Draw the samples : sample -> ids."""
    balance_sample.run(spark, config)
    rows = open_run(spark, config).read(balance_sample.STAGE, balance_sample.SAMPLES)
    grouped = rows.select("sample", "id").toArrow().to_pandas().groupby("sample")["id"]
    return {str(name): ids.tolist() for name, ids in grouped}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("form", "megabytes", "concepts_in"),
    [("parquet", 0.01, _concepts_in_parquet), ("webdataset", 0.01, _concepts_in_tars)],
)
def test_prefixes_of_an_export(
    spark: SparkSession,
    tmp_path: Path,
    form: str,
    megabytes: float,
    concepts_in: Callable[[ExportedSample], list[list[int]]],
) -> None:
    write_pool(zipf_mixture(0, n_points=N_POINTS, n_concepts=N_CONCEPTS), tmp_path / "pool.parquet")
    pool = pq.read_table(tmp_path / "pool.parquet")
    concept_of = np.empty(N_POINTS, np.int64)
    concept_of[pool["id"].to_numpy()] = pool["concept"].to_numpy()
    curate.run(spark, _configured(tmp_path, []))
    wanted = WantedSample(sample="balanced", format=form, columns=("concept",), file_mb=megabytes)
    run = open_run(spark, _configured(tmp_path, []))
    files = concepts_in(export_sample(run, str(tmp_path / form), wanted))
    assert len(files) >= N_PREFIXES, "want smaller files"
    concepts, ends = np.concatenate(files), np.cumsum([len(file) for file in files])
    sizes = ends[np.linspace(0, len(ends) - 1, N_PREFIXES).round().astype(int)].tolist()
    drawn = _drawn(spark, _configured(tmp_path, sizes))

    def kl(found: np.ndarray) -> float:
        return kl_to_uniform(np.bincount(found, minlength=N_CONCEPTS))

    gaps = [kl(concepts[:n]) - kl(concept_of[drawn[f"n{n}"]]) for n in sizes]
    print(form, {n: f"{gap:+.4f}" for n, gap in zip(sizes, gaps, strict=True)})
    assert np.abs(gaps).max() <= 0.01

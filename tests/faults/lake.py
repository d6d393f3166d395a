"""The disturbed run: its pool, its config, and the result it must give."""

from pathlib import Path
from typing import Any

import yaml
from pyspark.sql import SparkSession

from jobs.config.loading import load_config
from jobs.config.model import as_dict
from jobs.recipe import RECIPE
from jobs.runs.opening import open_run
from tests.faults.driver import Driver
from tests.pools import grouped_mixture
from tests.quality.mixture import config_for, write_pool

Content = dict[str, tuple[int, str]]

# the disturbed run's
STAGES = (
    "embed_pool", "find_duplicates", "tune_tree", "cluster_levels", "balance_sample",
    "report_curation",
)  # fmt: skip
PASSING = ("artifacts", "blocks", "checkpoints")  # hold the page's time, or depend on the solver
LONG = {"resampling": {"rounds": 12}, "checkpoint_interval": 2}  # a level loop of a minute
SHORT = {"levels": [200, 20], "resampling": {"rounds": 1}}


def write_lake(folder: Path, *, n_points: int = 60_000) -> Path:
    """Write the pool."""
    write_pool(grouped_mixture(0, n_points=n_points, n_features=64), folder / "pool.parquet")
    return folder


def arguments(
    folder: Path, root: Path, *, cluster: dict[str, Any] | None = None, **sections: Any
) -> list[str]:
    """Write a root's config; its level loop takes a minute, unless the tree is given."""
    config = config_for(
        folder / "pool.parquet", root, 5000, LONG if cluster is None else cluster, share="auto"
    )
    plain = as_dict(config)
    plain["spark"] = {"master": "local[2]", "driver_memory": "2g", "shuffle_partitions": 2}
    for section, values in sections.items():
        plain[section] = plain[section] | values if isinstance(values, dict) else values
    path = root.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(plain))
    return ["--config", str(path)]


def content(spark: SparkSession, folder: Path, root: Path) -> Content:
    """Return every table's rows and digest, stage by stage, and the published sample's."""
    run = open_run(spark, load_config(str(root.with_suffix(".yaml"))))
    found = {
        f"{stage}.{table.name}": run.lake.describe(table, run.key(stage))
        for stage in RECIPE.on(run.written)
        for table in stage.tables
        if table.name not in PASSING and run.lake.exists(table)
    }
    published = run.lake.read("sample_balanced")
    return found | {"sample": (published.count(), str(sorted(published.collect())))}


def undisturbed(spark: SparkSession, folder: Path, name: str = "whole", **config: Any) -> Content:
    """Run once without a fault, on a root with that name."""
    driver = Driver(arguments(folder, folder / name, **config)).run()
    assert driver.exit_code == 0, driver.end_of_log()
    return content(spark, folder, folder / name)

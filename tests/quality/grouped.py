"""Curate the 200,000 x 256 grouped mixture, levels 10,000/1000/100, on local[2]; print the figures.

Run: python -m tests.quality.grouped FOLDER
"""

import json
import sys
from pathlib import Path

from pyspark.sql import functions as F

from jobs import cluster_levels, curate, embed_pool
from jobs.cli.logs import PLAIN, set_up_logging
from jobs.config.model import SparkConfig
from jobs.runs.opening import open_run
from jobs.spark.session import start_local
from tests.pools import grouped_mixture
from tests.quality.mixture import config_for, sampled_concepts, write_pool
from udfs.kernels.judging.measures import kl_to_uniform

TARGET_SIZE = 5000


def main(folder: Path) -> None:
    """Print stage seconds, KL and concepts present, as JSON."""
    set_up_logging(PLAIN)
    write_pool(grouped_mixture(0), folder / "pool.parquet")
    cluster = {
        "levels": [10_000, 1000, 100],
        "resampling": {"rounds": [0, 10, 10], "points": ["auto", 5, 3]},
    }
    config = config_for(folder / "pool.parquet", folder / "lake", TARGET_SIZE, cluster)
    spark = start_local(SparkConfig(master="local[2]", driver_memory="6g", shuffle_partitions=4))
    run = open_run(spark, config)
    curate.curate(run)
    counts = sampled_concepts(run, 1000)
    ledger = run.lake.read("runs").where(F.col("event") == "finished")
    seconds = {r.stage: round(r.metrics["seconds"], 1) for r in ledger.collect()}
    iterations = run.lake.read("iterations", run.keys["cluster_levels"]).where("level = 1")
    print(
        json.dumps(
            {
                "seconds": seconds,
                "kl": kl_to_uniform(counts),
                "n_present": int((counts > 0).sum()),
                "level_1_iterations": iterations.count(),
                "inertia_per_point": run.outcome(cluster_levels.STAGE).inertia
                / run.outcome(embed_pool.STAGE).n_points,
            }
        )
    )
    spark.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

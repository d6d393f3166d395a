"""Curate in a session broken on purpose, and print how it ends; run as its own process.

python -m tests.jobs.broken_session POOL ROOT [JARS]
"""

import sys

from pyspark.sql import SparkSession

from jobs import curate
from jobs.config.errors import CurationError
from jobs.config.loading import parse_config
from jobs.config.model import SparkConfig
from jobs.spark.session import local_settings


def main(pool: str, root: str, jars: str = "") -> None:
    settings = local_settings(SparkConfig(driver_memory="1g", shuffle_partitions=1))
    del settings["spark.jars.packages"]
    builder = SparkSession.builder.master("local[1]")
    for key, value in (settings | {"spark.jars": jars}).items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    config = parse_config(
        {
            "input": {"table": pool, "embedding": "vector"},
            "output": {"root": root},
            "samples": [{"name": "s", "target_size": 2}],
        }
    )
    try:
        curate.run(spark, config)
    except CurationError as error:
        print(f"{error.exit_code} {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Show what curation does: write the example pool and curate it, in one process.

Reads    the pool, after writing it
Writes   the pool at input.table, and what `curate` writes
Run      evenlake demo
"""

import sys
from collections.abc import Sequence

from pyspark.sql import SparkSession

from jobs import curate, write_example
from jobs.config.model import RunConfig


def run(spark: SparkSession, config: RunConfig) -> curate.RunSummary:
    """Write the example pool, unless it exists, and curate it."""
    write_example.run(spark, config)
    return curate.run(spark, config)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the example pool and curate it."""
    from jobs.cli.command import lake_main

    return lake_main(
        run, argv, name="demo", summary="Curate the example pool.", config=write_example.CONFIG
    )


if __name__ == "__main__":
    sys.exit(main())

"""Curate with leaves and sums treated as large, on two executors; print the result."""

import json
import sys
from pathlib import Path

from jobs.clustering import sizes
from tests.cluster.sessions import start_cluster
from tests.jobs.determinism import curated_bytes


def main(folder: Path) -> None:
    """Print the digests of the tables as JSON, by ``cluster.split``."""
    assert sizes.ROUTED_BYTES and sizes.SUMS_BYTES
    sizes.ROUTED_BYTES = sizes.SUMS_BYTES = 0
    spark = start_cluster()
    found = {
        split: curated_bytes(spark, folder / "pool", folder / f"lake-{split}", "spark", split)
        for split in ("off", "9")
    }
    print(json.dumps(found))
    spark.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

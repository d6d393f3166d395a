"""Write the example pool: scikit-learn's digits as PNG images, long-tailed, as a Delta table.

Writes   the table at input.table: id STRING, image BINARY (PNG), digit STRING
Method   class c keeps about 178 / 1.49^c of its images, from 178 down to 5
Run      evenlake example-data --config conf/quickstart.yaml
"""

import io
import sys
from collections.abc import Sequence

import numpy as np
from PIL import Image
from pyspark.sql import SparkSession
from sklearn.datasets import load_digits

from jobs.catalog.tables import quoted_name
from jobs.config.examples import PLACE
from jobs.config.model import RunConfig
from jobs.spark.relative import require_one_meaning

CONFIG = str(PLACE / "quickstart.yaml")
LARGEST, SMALLEST, N_CLASSES = 178, 5, 10


def long_tailed_digits(seed: int) -> list[tuple[str, bytearray, str]]:
    """Return (id, PNG, digit) rows; the seed decides which images of a class stay."""
    digits = load_digits()
    return [
        (f"digit-{index:04d}", _png(digits.images[index]), str(digits.target[index]))
        for index in kept_digits(seed)
    ]


def kept_digits(seed: int) -> np.ndarray:
    """Return the images that stay, class by class : (n_images,) positions in scikit-learn's set."""
    target = load_digits().target
    sizes = np.geomspace(LARGEST, SMALLEST, N_CLASSES).round().astype(int)
    rng = np.random.default_rng(seed)
    kept = [
        np.sort(rng.permutation(np.flatnonzero(target == digit))[:size])
        for digit, size in enumerate(sizes)
    ]
    return np.concatenate(kept)


def _png(image: np.ndarray) -> bytearray:
    """Encode one image : (8, 8) floats from 0 to 16."""
    buffer = io.BytesIO()
    Image.fromarray((image * 255 / 16).astype(np.uint8)).save(buffer, format="PNG")
    return bytearray(buffer.getvalue())


def run(spark: SparkSession, config: RunConfig) -> str:
    """Write the pool unless it exists, so that a repeated demo reuses its stages.

    Returns
    -------
    table : the table's path, or its name in a catalog
    """
    table = config.input.table
    rows = spark.createDataFrame(
        long_tailed_digits(config.seed), "id string, image binary, digit string"
    )
    writer = rows.coalesce(1).write.format("delta").mode("ignore")
    if "/" in table:
        require_one_meaning(spark, "input.table", table)
        writer.save(table)
    else:
        writer.saveAsTable(quoted_name(table))
    return table


def main(argv: Sequence[str] | None = None) -> int:
    """Write the example pool."""
    from jobs.cli.command import lake_main

    return lake_main(
        lambda spark, config: f"example pool: {run(spark, config)}",
        argv, name="example-data", summary="Write the example pool.", config=CONFIG,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())

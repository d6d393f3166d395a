"""Embed on two executors that do not see the model: its folder is removed once it is shipped."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from jobs import embed_pool
from jobs.config.loading import parse_config
from jobs.embedding import chosen
from jobs.runs.opening import open_run
from jobs.tables.lake import Lake
from tests.cluster.sessions import start_cluster
from tests.udfs import tiny_models

TEXTS = {"a": "sun", "b": "moon sea", "c": "sand sun moon", "d": "sea"}


def main(folder: Path) -> None:
    """Print the vectors by id, as JSON."""
    model = tiny_models.write_text_model(folder / "model")
    spark = start_cluster()
    pool = spark.createDataFrame([*TEXTS.items()], "id string, text string")
    pool.write.parquet(str(folder / "pool"))
    config = parse_config(
        {
            "input": {"table": str(folder / "pool"), "content": "text"},
            "output": {"root": str(folder / "lake")},
            "embed": {"model": f"onnx:{model}", "normalize": False},
            "samples": [{"name": "s", "target_size": 2}],
        }
    )
    ship = chosen.ship_archive

    def ship_and_remove(*told: Any) -> None:
        ship(*told)
        shutil.rmtree(model)

    chosen.ship_archive = ship_and_remove
    run = open_run(spark, config)
    run.do(embed_pool.STAGE)
    rows = Lake(spark, config.output).read(embed_pool.EMBEDDINGS, run.key(embed_pool.STAGE))
    print(json.dumps({row.id: list(row.embedding) for row in rows.collect()}))
    spark.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

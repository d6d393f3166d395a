"""What the goldens hold: keys of configs, digests and transactions of whole runs.

``python -m tests.goldens.record`` rewrites them; changing them changes the public interface, and
the commit must say why.
"""

import json
import sys
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from jobs import curate
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig, SparkConfig
from jobs.ledger.delta_store import DeltaStore
from jobs.recipe import RECIPE
from jobs.spark.session import start_local
from jobs.tables.lake import Lake
from tests.goldens.recipes import CONFIGS, FINGERPRINT, RUNS, base, write_pool

HERE = Path(__file__).parent
KEYS, TABLES = HERE / "keys.json", HERE / "tables.json"
# in the report: long, and from what its figures and the other digests come from
_CURVES = ("node_sizes", "lorenz", "nodes", "map", "coverage_by_size")


def keys_of(config: RunConfig) -> dict[str, Any]:
    """Return a config's identities."""
    return {
        "stage_keys": RECIPE.keys(config, FINGERPRINT),
        "run_id": RECIPE.run_id(config, FINGERPRINT),
        "lineage": RECIPE.lineage(config),
    }


def all_keys() -> dict[str, Any]:
    """Return the identities of every config."""
    return {name: keys_of(parse_config(base(), said)) for name, said in CONFIGS.items()}


def run_config(folder: Path, name: str) -> RunConfig:
    """Write a run's pool into the folder and return its config."""
    n_points, n_features, overrides = RUNS[name]
    write_pool(folder / "pool" / "part.parquet", n_points, n_features)
    places = [f"input.table={folder}/pool", f"output.root={folder}/lake"]
    return parse_config(base(), [*places, *overrides])


def tables_of(spark: SparkSession, folder: Path, name: str) -> dict[str, Any]:
    """Curate a pool; return its tables' digests, figures and transactions."""
    config = run_config(folder, name)
    curate.run(spark, config)
    lake = Lake(spark, config.output)
    events = [e for e in DeltaStore(lake).read() if e.event == "finished"]
    stages = {e.stage_key: e.stage for e in events}
    digests = {e.stage: dict(sorted(e.digests.items())) for e in events}
    for found in digests.values():
        found.pop("artifacts", None)  # the page contains paths and the time
        found.pop("report", None)  # measured: compared within a tolerance
    return {
        "digests": digests,
        "figures": {
            e.stage: {k: v for k, v in sorted(e.metrics.items()) if k != "seconds"} for e in events
        },
        "report": _report(lake),
        "transactions": sorted(transactions(folder / "lake", stages)),
    }


def _report(lake: Lake) -> dict[str, list[float | None]]:
    rows = lake.read("report").where(f"section not in {_CURVES}").collect()
    names = ("sample", "section", "level", "key", "metric")
    found = {"|".join(str(row[n]) for n in names): [row.value, row.control] for row in rows}
    return dict(sorted(found.items()))


def transactions(root: Path, stages: dict[str, str]) -> set[str]:
    """Return the transactions in the tables' logs, as table: name@version.

    Parameters
    ----------
    stages : stage_key -> stage, which replaces the key in the names
    """
    found = set()
    for log in root.glob("*/_delta_log/*.json"):
        for line in log.read_text().splitlines():
            txn = json.loads(line).get("txn")
            if txn is not None:
                name, table = txn["appId"], log.parent.parent.name
                for key, stage in stages.items():
                    name = name.replace(key, stage)
                version = "<time>" if name.startswith("publish/") else txn["version"]
                found.add(f"{table}: {name}@{version}")
    return found


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a golden file."""
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def main() -> int:
    """Record the goldens of the current code."""
    import tempfile

    write(KEYS, all_keys())
    if "keys" in sys.argv[1:]:
        return 0
    spark = start_local(SparkConfig(master="local[2]", driver_memory="3g", shuffle_partitions=2))
    with tempfile.TemporaryDirectory() as folder:
        write(TABLES, {name: tables_of(spark, Path(folder) / name, name) for name in RUNS})
    spark.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())

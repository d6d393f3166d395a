"""What users have on disk stays valid: keys, digests and transactions have not changed."""

import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from tests.goldens.recipes import CONFIGS, RUNS
from tests.goldens.record import KEYS, TABLES, all_keys, tables_of

_KEYS, _TABLES = json.loads(KEYS.read_text()), json.loads(TABLES.read_text())


@pytest.fixture(scope="module")
def keys() -> dict[str, Any]:
    return all_keys()


@pytest.mark.parametrize("name", CONFIGS)
def test_stage_keys_run_ids_and_lineages_are_what_they_were(
    keys: dict[str, Any], name: str
) -> None:
    found, want = keys[name], _KEYS[name]
    assert (found["run_id"], found["lineage"]) == (want["run_id"], want["lineage"])
    assert found["stage_keys"].items() >= want["stage_keys"].items()  # stages were added since


@pytest.mark.parametrize("name", RUNS)
def test_tables_figures_and_transactions_of_a_run_are_what_they_were(
    spark: SparkSession, tmp_path: Path, name: str
) -> None:
    found, want = tables_of(spark, tmp_path, name), _TABLES[name]
    assert found["digests"] == want["digests"]
    assert found["transactions"] == want["transactions"]
    assert found["report"].keys() == want["report"].keys()
    for row, values in want["report"].items():
        assert _numbers(found["report"][row]) == pytest.approx(_numbers(values), rel=1e-5), row
    for stage, figures in want["figures"].items():
        assert found["figures"][stage] == pytest.approx(figures, rel=1e-5), stage


def _numbers(values: list[float | None]) -> list[float]:
    return [float("inf") if value is None else value for value in values]

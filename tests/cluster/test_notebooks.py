"""Every notebook runs top to bottom as a plain script."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]


@pytest.mark.parametrize(
    "notebook", sorted(p.name for p in (REPOSITORY / "notebooks").glob("*.py"))
)
def test_notebook_runs_top_to_bottom(notebook: str, tmp_path: Path) -> None:
    source = (REPOSITORY / "notebooks" / notebook).read_text()
    assert source.startswith("# Databricks notebook source\n")
    assert "\n# COMMAND ----------\n" in source
    overrides = [f"input.table={tmp_path}/digits", f"output.root={tmp_path}/lake"]
    done = subprocess.run(
        [sys.executable, REPOSITORY / "notebooks" / notebook],
        cwd=tmp_path,
        env=os.environ
        | {"EVENLAKE_HOME": str(REPOSITORY), "EVENLAKE_OVERRIDES": " ".join(overrides)},
        capture_output=True,
        text=True,
        timeout=380,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "sample balanced:" in done.stdout
    assert "leaf_id" in done.stdout

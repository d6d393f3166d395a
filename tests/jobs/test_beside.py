"""Tables beside the pool: one key for a path in either form, errors that name the config's key."""

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from jobs.config.errors import ConfigError, InputError
from jobs.pool.beside import named_as, opened, pinned
from jobs.pool.inputs import Pool
from jobs.sections.batches import TowersConfig
from jobs.sections.learnability import LossesConfig


def pool_at(name: str) -> Pool:
    rows: Any = None
    return Pool(rows, name, "v")


@pytest.mark.parametrize(
    ("table", "name", "place"),
    [
        ("losses", "{here}/losses", "{here}/losses"),
        ("./losses/{round}/", "{here}/losses/3", "{here}/losses/{round}"),
        ("../{round}", "{above}/3", "{above}/{round}"),
        ("/lake/losses/", "/lake/losses", "/lake/losses/"),  # full ones stay, to the letter
        ("s3://lake/losses/", "s3://lake/losses", "s3://lake/losses/"),
        ("main.lake.losses", "main.lake.losses", "main.lake.losses"),  # in the catalog
        ("losses_{round}", "losses_3", "losses_{round}"),
    ],
)
def test_a_relative_path_is_written_in_full_and_nothing_else_is(
    table: str, name: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here, above = str(tmp_path), str(tmp_path.parent)
    name, place = (t.replace("{here}", here).replace("{above}", above) for t in (name, place))
    found = pinned("learnability.online", LossesConfig(table=table), pool_at(name))
    assert (found.table, found.fingerprint) == (place, "v")
    again = pinned("learnability.online", found, pool_at(name))
    assert again == found


def test_a_fingerprint_is_that_of_the_table_and_of_the_code() -> None:
    losses = LossesConfig(table="/lake/x", loss="loss")
    assert pinned("k", losses, pool_at("/lake/x"), "c").fingerprint == "v+c"
    assert pinned("k", LossesConfig(loss="x"), None, "c").fingerprint == "c"
    assert pinned("k", LossesConfig(loss="x"), None).fingerprint is None
    other = losses.model_copy(update={"fingerprint": "w"})
    with pytest.raises(ConfigError, match="k.fingerprint='w', but /lake/x is 'v' now"):
        pinned("k", other, pool_at("/lake/x"))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("input.table='x' and input.id", "batches.learner.table='x' and batches.learner.id"),
        ("(input.where)", "(batches.learner.where)"),
        (
            "input.table='input.parquet', /lake/input.parquet, my_input.table",
            "batches.learner.table='input.parquet', /lake/input.parquet, my_input.table",
        ),
    ],
)
def test_errors_name_the_key_but_leave_paths(said: str, told: str) -> None:
    with pytest.raises(InputError) as caught, named_as("batches.learner"):
        raise InputError(said)
    assert str(caught.value) == told


def test_a_table_is_opened_as_a_pool_is(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "towers").mkdir()
    table = pa.table({"id": [1, 2], "image": [[0.5], [1.5]], "text": [[2.5], [3.5]]})
    pq.write_table(table, tmp_path / "towers" / "0.parquet")
    columns = {"id": "id", "embedding": "image", "content": "text"}

    def at(place: str) -> TowersConfig:
        towers = TowersConfig(table=place, where="id > 1")
        pool = opened(spark, "batches.learner", towers, **columns)
        assert [row.id for row in pool.rows.collect()] == [2]
        return pinned("batches.learner", towers, pool)

    relative = os.path.relpath(tmp_path / "towers")  # to the process's folder, which is Spark's
    assert at(relative) == at(f"{tmp_path}/towers")
    with pytest.raises(InputError, match="^batches.learner.table='/lake/none'"):
        opened(spark, "batches.learner", TowersConfig(table="/lake/none"), **columns)

"""Rounds of draws on noisy digits: classifiers that learn on, trainers between rounds, resuming."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from sklearn.metrics import roc_auc_score

from jobs import (
    balance_sample,
    cluster_levels,
    embed_pool,
    explain_point,
    find_duplicates,
    score_learnability,
)
from jobs.__main__ import main as evenlake
from jobs.config.errors import ConfigError, CurationError, InputError
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig
from jobs.learnability.rounds import Selection
from jobs.runs.opening import open_run
from tests.quality.noisy_digits import NoisyDigits, noisy_digits

pytestmark = pytest.mark.whole

TABLE = score_learnability.LEARNABILITY
TRAINER = """
import sys, pathlib, pyarrow as pa, pyarrow.parquet as pq
selection, losses, round_ = sys.argv[1:]
pathlib.Path("%(log)s").open("a").write(f"{round_} ")
if pathlib.Path("%(fails)s").exists():
    sys.exit(4)
drawn = set(pq.read_table(selection)["id"].to_pylist())
pathlib.Path(losses).mkdir(exist_ok=True)
online = [0.0 if i in drawn else 3.0 for i in range(%(n)d)]
pq.write_table(pa.table({"id": range(%(n)d), "loss": online}), losses + "/0.parquet")
"""


@pytest.fixture(scope="module")
def pool() -> NoisyDigits:
    return noisy_digits(0)


@pytest.fixture(scope="module")
def folder(
    spark: SparkSession, pool: NoisyDigits, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Embed and draw once; write the labelled tables and ready losses beside."""
    folder = tmp_path_factory.mktemp("rounds")
    n = len(pool.pool)

    def write(name: str, rows: np.ndarray, labels: np.ndarray, **more: Any) -> None:
        vectors = pa.array(list(pool.X[rows].astype(np.float32)))
        table = {"vector": vectors, "label": pa.array(labels.astype(str))} | more
        pq.write_table(pa.table(table), folder / f"{name}.parquet")

    others = np.concatenate([pool.seen, pool.pool, pool.test])
    reference = np.setdiff1d(np.arange(len(pool.X)), others)
    write("pool", pool.pool, pool.labels, id=pa.array(np.arange(n)))
    write("clean", reference, pool.y[reference])
    write("seen", pool.seen, pool.y[pool.seen])
    for name, losses in {"online": pool.online, "reference": pool.reference}.items():
        pq.write_table(pa.table({"id": np.arange(n), "loss": losses}), folder / f"{name}.parquet")
    run = open_run(spark, config(folder, source=None))
    for stage in (embed_pool, find_duplicates, cluster_levels, balance_sample):
        run.do(stage.STAGE)
    return folder


def config(folder: Path, *overrides: str, **learnability: Any) -> RunConfig:
    clean, seen = ({"table": f"{folder}/{name}.parquet"} for name in ("clean", "seen"))
    classifier = {"label": "label", "clean": clean, "seen": seen}
    plain = {
        "input": {"table": f"{folder}/pool.parquet", "embedding": "vector"},
        "output": {"root": f"{folder}/lake"},
        "cluster": {"levels": [40, 10], "resampling": {"rounds": 0}},
        "samples": [{"name": "s", "target_size": 100, "share": {"leaves": 0.0}}],
        "learnability": {"source": "pool", "classifier": classifier} | learnability,
    }
    return parse_config(plain, overrides)


def ready(folder: Path, **more: Any) -> dict[str, Any]:
    """Return the keys of ready losses in place of the classifiers."""
    sides = {name: {"table": f"{folder}/{name}.parquet"} for name in ("online", "reference")}
    return {"classifier": None} | sides | more


def rows_of(spark: SparkSession, of: RunConfig) -> pd.DataFrame:
    """Return a finished round's rows, in the pool's order."""
    run = open_run(spark, of)
    rows = run.read(score_learnability.STAGE, TABLE).drop("generation", "op").toPandas()
    return rows.sort_values("id", ignore_index=True)


def test_classifiers_find_what_is_new_and_right_and_learn_it(
    spark: SparkSession, folder: Path, pool: NoisyDigits
) -> None:
    of = config(folder, rounds=3, within_nodes=2)
    found = score_learnability.run(spark, of)
    rounds = [rows_of(spark, config(folder, round=r, within_nodes=2)) for r in range(3)]
    first = rounds[0]
    auc = {c: roc_auc_score(pool.is_target, first[c]) for c in ("learnability", "hard")}
    assert auc["learnability"] > max(0.9, auc["hard"] + 0.15)
    assert found[0].worth["noise"] < 0.5
    assert found[0].worth["gain"] > 2 * found[0].worth["gain_error"]
    # what was drawn is learned: the online losses of those rows fall, and targets run out
    drawn = first["is_selected"] & pool.is_target
    assert rounds[1]["loss_online"][drawn].mean() < 0.5 * first["loss_online"][drawn].mean()
    assert found[2].mean_selected < found[0].mean_selected
    assert (rounds[1]["loss_reference"] == first["loss_reference"]).all()
    # the compute of both models in round 0, of one later
    assert found[0].gflop["score"] == 2 * found[1].gflop["score"]
    again = score_learnability.run(spark, of)
    assert again == found
    told = str(explain_point.explain(open_run(spark, of), point="0")).splitlines()[-3:]
    assert ["in round 0" in told[0], "in round 1" in told[1], "in round 2" in told[2]] == [True] * 3


def test_a_classifiers_own_losses_given_as_ready_ones_draw_the_same_rows(
    spark: SparkSession, folder: Path
) -> None:
    score_learnability.run(spark, config(folder))
    mine = rows_of(spark, config(folder))
    for side in ("online", "reference"):
        table = pa.table({"id": mine["id"], "loss": mine[f"loss_{side}"]})
        pq.write_table(table, folder / f"own-{side}.parquet")
    sides = {s: {"table": f"{folder}/own-{s}.parquet"} for s in ("online", "reference")}
    given = config(folder, **ready(folder, **sides))
    score_learnability.run(spark, given)
    assert rows_of(spark, given).equals(mine)


def test_a_function_trains_between_rounds(spark: SparkSession, folder: Path) -> None:
    selections: list[list[int]] = []

    def train(selection: Selection) -> Mapping[str, Any]:
        drawn = selection.ids().to_pylist()
        assert drawn != sorted(drawn)
        selections.append(sorted(drawn))
        rows = pq.read_table(folder / "online.parquet").to_pandas()
        rows.loc[rows["id"].isin(drawn), "loss"] = 0.0  # it knows what it was trained on
        path = f"{folder}/trained-{selection.round}.parquet"
        pq.write_table(pa.Table.from_pandas(rows), path)
        return {"table": path}

    of = config(folder, **ready(folder, rounds=2, temperature=0.01, keep=0.25))
    found = score_learnability.run(spark, of, train)
    assert len(found) == len(selections) == 2
    assert [one.age for one in found] == [0, 0]
    with pytest.raises(ConfigError, match=r"\['tabel'\] are no keys of learnability.online"):
        score_learnability.run(spark, of, lambda _: {"tabel": "x"})
    assert not {*selections[0]} & {*selections[1]}  # at a low temperature, the next best
    trained = {"table": f"{folder}/trained-0.parquet"}
    second = config(folder, **ready(folder, online=trained, round=1, temperature=0.01, keep=0.25))
    assert rows_of(spark, second)["is_selected"].sum() == found[1].n_selected  # driven by hand too


def test_losses_that_no_training_changed_are_told_by_their_age(
    spark: SparkSession, folder: Path
) -> None:
    shape = ready(folder, keep=0.3, temperature=0.5)
    found = score_learnability.run(spark, config(folder, **shape, rounds=3))
    assert [one.age for one in found] == [0, 1, 2]
    alone = score_learnability.run(spark, config(folder, **shape, round=2, rounds=3))
    assert alone == found[2:]  # by hand too


def test_a_command_trains_between_rounds_once_each(
    spark: SparkSession, folder: Path, tmp_path: Path, pool: NoisyDigits
) -> None:
    log, fails = tmp_path / "log", tmp_path / "fails"
    n = len(pool.pool)
    (tmp_path / "train.py").write_text(TRAINER % {"log": log, "fails": fails, "n": n})
    words = [sys.executable, f"{tmp_path}/train.py", "{selection}", "{losses}", "{round}"]
    trainer = {"command": words, "folder": f"{tmp_path}/training"}
    of = config(folder, **ready(folder, rounds=2, keep=0.2, trainer=trainer, temperature=0.01))
    fails.touch()
    with pytest.raises(CurationError, match="ended with code 4 after round 0; fix it"):
        score_learnability.run(spark, of)
    fails.unlink()
    found = score_learnability.run(spark, of)
    assert log.read_text() == "0 0 1 "  # the failed one was repeated, after a draw that was kept
    assert score_learnability.run(spark, of) == found
    assert log.read_text() == "0 0 1 "
    (second,) = tmp_path.glob("training/round_1_*")
    drawn = pq.read_table(second / "selection.parquet")["id"].to_pylist()
    (first,) = tmp_path.glob("training/round_0_*")
    assert not {*drawn} & {*pq.read_table(first / "selection.parquet")["id"].to_pylist()}


def test_one_round_can_be_asked_for(
    spark: SparkSession, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import yaml

    from jobs.config.model import as_dict

    for r in range(2):
        table = pq.read_table(folder / "online.parquet").to_pandas()
        table["loss"] += r
        pq.write_table(pa.Table.from_pandas(table), tmp_path / f"online-{r}.parquet")
    by_round = {"table": f"{tmp_path}/online-{{round}}.parquet"}
    of = config(folder, **ready(folder, online=by_round, rounds=9))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(as_dict(of)))
    command = ["learnability", "--config", f"{tmp_path}/config.yaml", "--round"]
    assert evenlake([*command, "1"]) == 0
    assert capsys.readouterr().out.startswith("round 1: ")
    mine = rows_of(spark, config(folder, **ready(folder, online=by_round, round=1)))
    shift = mine["loss_online"] - pq.read_table(folder / "online.parquet")["loss"].to_numpy()
    assert [*shift] == pytest.approx([1.0] * len(shift))
    assert evenlake([*command, "x"]) == 2
    assert "--round x: want the number of a round" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("learnability", "error", "said"),
    [
        ({"round": 1, "keep": 0.1}, ConfigError, "starts from the classifier that round 0 left"),
        (
            {"classifier": {"label": "label", "clean": {"table": "{folder}/pool.parquet",
             "where": "label = '1'"}}},
            InputError, "clean has labels ['1']",
        ),
        (
            {"classifier": {"label": "label", "clean": {"table": "{folder}/clean.parquet",
             "content": "array(1.0, 2.0)"}}},
            InputError, "has vectors of length 2, the pool's have 64",
        ),
        (
            {"classifier": {"label": "nothing", "clean": {"table": "{folder}/clean.parquet"}}},
            InputError, "nothing",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_classified_is_refused(
    spark: SparkSession,
    folder: Path,
    learnability: dict[str, Any],
    error: type[CurationError],
    said: str,
) -> None:
    given = eval(repr(learnability).replace("{folder}", str(folder)))
    with pytest.raises(error) as refused:
        score_learnability.run(spark, config(folder, **given))
    assert said in str(refused.value)


def test_rows_without_a_known_label_are_rejects(spark: SparkSession, folder: Path) -> None:
    clean = {"table": f"{folder}/clean.parquet", "where": "label <> '7'"}
    label = "case when id = 3 then null else label end"
    of = config(folder, classifier={"label": label, "clean": clean | {"label": "label"}})
    score_learnability.run(spark, of)
    run = open_run(spark, of)
    rejects = run.lake.read("rejects", run.key(score_learnability.STAGE)).toPandas()
    n_sevens = int((pq.read_table(folder / "pool.parquet")["label"].to_numpy(False) == "7").sum())
    assert rejects["reason"].value_counts().to_dict() == {"unknown_label": n_sevens, "no_label": 1}
    assert "no clean row has the label 7" in {*rejects["detail"]}


def test_looking_at_rounds_trains_none(
    spark: SparkSession, folder: Path, pool: NoisyDigits, tmp_path: Path
) -> None:
    paths = {"log": tmp_path / "log", "fails": tmp_path / "fails", "n": len(pool.pool)}
    (tmp_path / "train.py").write_text(TRAINER % paths)
    command = [sys.executable, f"{tmp_path}/train.py", "{selection}", "{losses}", "{round}"]
    trainer = {"command": command, "folder": f"file:{tmp_path}/rounds"}
    online = {"table": f"{folder}/online.parquet", "format": "parquet", "loss": "1.0 * loss"}
    of = config(folder, **ready(folder, rounds=2, trainer=trainer, online=online, keep=0.1))
    (tmp_path / "fails").touch()
    with pytest.raises(CurationError, match="ended with code 4"):
        score_learnability.run(spark, of)
    assert (tmp_path / "log").read_text() == "0 "
    run = open_run(spark, of)
    said = str(explain_point.explain(run, point="1"))
    assert said.count("learnability: scored") == 1
    with pytest.raises(ConfigError, match="trainer has not trained on round 0 yet; run evenlake"):
        score_learnability.selections(run)
    assert (tmp_path / "log").read_text() == "0 "
    (tmp_path / "fails").unlink()
    assert len(score_learnability.run(spark, of)) == 2  # its losses are read as they are
    assert len(score_learnability.selections(open_run(spark, of))) == 2
    assert (tmp_path / "log").read_text() == "0 0 1 "


def test_what_a_trainer_returns_is_checked(spark: SparkSession, folder: Path) -> None:
    of = config(folder, **ready(folder, rounds=2, keep=0.2))
    with pytest.raises(ConfigError, match="does not fit learnability.online: Input should be a va"):
        score_learnability.run(spark, of, lambda selection: {"table": 3})
    here = folder / "online.parquet"
    assert len(score_learnability.run(spark, of, lambda selection: {"table": here})) == 2


def test_a_trainers_folder_is_one_of_this_machine(folder: Path) -> None:
    trainer = {"command": ["true"], "folder": "s3://bucket/rounds"}
    with pytest.raises(ConfigError, match="is in a store; want a folder of this machine"):
        config(folder, **ready(folder, trainer=trainer))

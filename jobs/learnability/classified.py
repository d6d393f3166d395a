"""Losses by classifiers: labels of the source's rows, clean rows to fit on, models between rounds.

Round r starts from the models that round r - 1 left; round 0 fits them.
"""

import logging
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.config.errors import ConfigError
from jobs.embedding.chosen import chosen
from jobs.learnability.classifier import Arrays, Labelled, gflop_of, started, trained_on
from jobs.learnability.losses import Judged
from jobs.points.alike import embedded_alike, read_alike
from jobs.points.surviving import surviving
from jobs.pool.columns import pool_columns
from jobs.pool.joining import RejectRule, with_reasons
from jobs.runs.stage import Stage
from jobs.runs.work import Work
from jobs.sections.learnability import ClassifierConfig, GflopConfig, LabelledConfig
from jobs.tables.shared import ARTIFACTS
from udfs.blocks import from_bytes, to_bytes
from udfs.losses import CLASSIFIERS, make_classified

log = logging.getLogger(__name__)

ARTIFACT = "classifiers.npz"
MAX_TRAINED = 200_000  # rows of a selection that the classifier learns from, those drawn first
_LABEL = "label"


def judged(this: Work, embedded_by: Stage[Any], rows: DataFrame, given: ClassifierConfig) -> Judged:
    """Add each model's loss to rows, or why a row cannot be scored.

    Parameters
    ----------
    embedded_by : the stage that embedded the pool
    rows : id, node_id

    Returns
    -------
    judged : its rows also have an embedding and y, the class's number; the models as of
        this round
    """
    models = _models(this, embedded_by, given)
    classes = [str(name) for name in models["classes"]]
    labels = _labels(this, given.label)
    joined = rows.join(surviving(this.run), on="id", how="inner").join(labels, on="id", how="left")
    numbers = F.array_position(F.lit(classes), F.col(_LABEL)) - 1
    several = F.lit("rows of this id have several labels")
    unknown = F.concat(F.lit("no clean row has the label "), F.substring(_LABEL, 1, 200))
    wrong = [
        RejectRule("no_label", F.col(_LABEL).isNull(), F.lit("the label is null")),
        RejectRule("duplicate_label", F.col("n_labels") > 1, several),
        RejectRule("unknown_label", numbers < 0, unknown),
    ]
    told = with_reasons(joined.withColumn("y", numbers), wrong)
    content = np.frombuffer(to_bytes(dict(models)), np.uint8)
    score = make_classified(this.ship(content))
    y = F.when(F.col("reason").isNull(), F.col("y")).otherwise(0)
    scored = told.withColumn("losses", score("embedding", y))
    losses = (F.col(f"losses.loss_{name}") for name in CLASSIFIERS)
    score_gflop, train_gflop = gflop_of(models["online_coef"].shape[1], len(classes))
    cost = GflopConfig(score=score_gflop, train=this.config.learnability.gflop.train or train_gflop)
    return Judged(scored.select("*", *losses).drop("losses", "n_labels", _LABEL), cost, models)


def _labels(this: Work, label: str) -> DataFrame:
    """Return the pool's labels : id, label, n_labels."""
    config = this.config
    given = config.input.model_copy(update={"metadata": [f"{label} AS {_LABEL}"]})
    rows = pool_columns(this.run.pool, given, chosen(config).spec.reads)
    named = rows.select("id", F.col("metadata")[_LABEL].alias(_LABEL)).groupBy("id")
    return named.agg(F.max(_LABEL).alias(_LABEL), F.count_distinct(_LABEL).alias("n_labels"))


def _models(this: Work, embedded_by: Stage[Any], given: ClassifierConfig) -> Arrays:
    """Return the models that the round before left, or new ones."""
    config, round_ = this.config, this.config.learnability.round
    if round_ == 0:
        clean = _labelled(this, embedded_by, "clean", given.clean, given.label)
        seen = None
        if given.seen is not None:
            seen = _labelled(this, embedded_by, "seen", given.seen, given.label)
        return started(given, clean, seen, config.seed)
    before = config.learnability.model_copy(update={"round": round_ - 1})
    key = this.run.key_if(this.stage, {"learnability": before})
    if this.run.ledger.figures(key) is None:
        raise ConfigError(
            f"learnability.round={round_} starts from the classifier that round {round_ - 1} left, "
            f"and that has not been drawn; draw it first, or all with learnability.rounds="
            f"{round_ + 1}"
        )
    stored = this.lake.read(ARTIFACTS, key).where(F.col("name") == ARTIFACT)
    return from_bytes(bytes(stored.select("content").collect()[0].content))


def _labelled(
    this: Work, embedded_by: Stage[Any], name: str, table: LabelledConfig, label: str
) -> Labelled:
    """Embed a labelled table as the pool was; return its rows in an order of their content."""
    key, named = f"learnability.classifier.{name}", f"{table.label or label} AS {_LABEL}"
    rows = read_alike(this, key, table, id_="'-'", content=table.content, metadata=[named])
    gated = embedded_alike(this, embedded_by, rows, f"{key}={table.table!r}")
    wanted = gated.select(
        "embedding", "content_hash", F.col("metadata")[_LABEL].alias(_LABEL), "reason"
    )
    found = wanted.toArrow().sort_by([("content_hash", "ascending"), (_LABEL, "ascending")])
    is_fit = pa.compute.and_(found["reason"].is_null(), found[_LABEL].is_valid())
    if (n_left_out := found.num_rows - pa.compute.sum(is_fit).as_py()) > 0:
        log.warning("%s: %d of %d rows cannot be used", key, n_left_out, found.num_rows)
    return _as_labelled(found.filter(is_fit), _LABEL)


def _as_labelled(rows: pa.Table, label: str) -> Labelled:
    labels = np.array(rows[label].to_pylist(), dtype=str)
    if not rows.num_rows:
        return Labelled(np.empty((0, 1), np.float32), labels)
    values = rows["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return Labelled(values.reshape(rows.num_rows, -1), labels)


def learned_from(
    this: Work, given: ClassifierConfig, models: Arrays, rows: DataFrame, selected: DataFrame
) -> bytes:
    """Train the online model on a round's selection; return the models, as an artifact keeps them.

    Parameters
    ----------
    rows : id, embedding, y
    selected : id, key
    """
    seed = this.config.seed
    first = selected.select("id", "key").orderBy(F.desc("key"), "id").limit(MAX_TRAINED)
    drawn = rows.select("id", "embedding", "y").join(first, on="id", how="inner")
    turn = F.xxhash64("id", F.lit("learnability.turn"), F.lit(seed))
    found = drawn.withColumn("turn", turn).drop("key").toArrow()
    found = found.sort_by([("turn", "ascending"), ("id", "ascending")])
    labels = models["classes"][found["y"].to_numpy()]
    labelled = _as_labelled(found.append_column("name", pa.array([*map(str, labels)])), "name")
    return to_bytes(dict(trained_on(given, models, labelled, seed)))

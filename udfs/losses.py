"""Losses on the workers: by a user's scorer, a leaf's mean, views told apart, or classifiers.

Losses that are computed here are rounded to LOSS_GRID: what decides must not depend on the last
bits of a sum, which differ between processors.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql.functions import pandas_udf  # type: ignore[attr-defined]  # its stub lacks it

from udfs.blocks import from_bytes
from udfs.embed import load_once
from udfs.embedders.contract import EmbedderError, described
from udfs.embedders.python import Code, archive_name
from udfs.kernels.learning.losses import (
    centroid_losses,
    classifier_losses,
    instance_losses,
    on_grid,
)
from udfs.shipping import Shipped

CENTROID_SCHEMA = VIEWS_SCHEMA = "loss double"
CLASSIFIERS = ("online", "reference", "half_a", "half_b")  # each half is a reference, too
CLASSIFIED_TYPE = ", ".join(f"loss_{name} double" for name in CLASSIFIERS)
OnGroup = Callable[[pa.Table], pa.Table]


def _of_bytes(values: pd.Series) -> pd.Series:
    """Read raw little-endian float32; bytes that are no whole number of them become null."""
    return pd.Series(
        [
            np.frombuffer(value, "<f4") if value is not None and len(value) % 4 == 0 else None
            for value in values
        ],
        dtype=object,
    )


def vectors_of_bytes(column: str) -> Any:
    """Return a column of raw little-endian float32 as ARRAY<FLOAT>."""
    _of_bytes.__annotations__ = {"values": pd.Series, "return": pd.Series}
    return pandas_udf(_of_bytes, "array<float>")(column)


def make_centroid(scale: float) -> OnGroup:
    """Return a function that scores a leaf's rows, id, hash and c0 -> id, loss.

    A row whose vector has another length than most gets no loss.
    """

    def score(rows: pa.Table) -> pa.Table:
        return _scored(rows, ("c0",), lambda X: scale * centroid_losses(X))

    return score


def make_views(scale: float) -> OnGroup:
    """Return a function that scores a group's rows, id, hash, c0 and c1 -> id, loss."""

    def score(rows: pa.Table) -> pa.Table:
        return _scored(rows, ("c0", "c1"), lambda A, B: instance_losses(A, B, scale))

    return score


def _scored(
    rows: pa.Table, columns: Sequence[str], losses: Callable[..., NDArray[np.float64]]
) -> pa.Table:
    """Score the rows whose vectors are finite and as long as most; the others' loss is null."""
    rows = rows.sort_by([("hash", "ascending"), ("id", "ascending")])
    lists = [rows[name].to_pylist() for name in columns]
    lengths = Counter(len(vector) for vector in lists[0] if vector is not None)
    usual = max(lengths, key=lambda n: (lengths[n], n), default=0)
    kept = [
        i
        for i, vectors in enumerate(zip(*lists, strict=True))
        if all(v is not None and len(v) == usual and None not in v for v in vectors)
        and np.isfinite(np.array(vectors, np.float64)).all()
    ]
    found = np.full(rows.num_rows, np.nan)
    if kept:
        matrices = [np.array([vectors[i] for i in kept], np.float64) for vectors in lists]
        found[kept] = on_grid(losses(*matrices))
    return pa.table({"id": rows["id"], "loss": pa.array(found, from_pandas=True)})


def make_scorer(code: Code, columns: Sequence[str]) -> Any:
    """Return a UDF: a struct of columns c0, c1, ... -> DOUBLE, by the user's code.

    The factory is called once per worker, and returns a function of a frame of the columns under
    their own names : (n, len(columns)) -> (n,) float.
    """
    shipped = replace(code, archive=archive_name(code.archive))
    key = uuid4().hex

    def score(batches: Iterator[pd.DataFrame]) -> Iterator[pd.Series]:
        call: Any = load_once(key, shipped.call)
        for batch in batches:
            named = batch.set_axis([*columns], axis="columns")
            yield pd.Series(_called(call, named, code.factory), dtype="float64")

    score.__annotations__ = {"batches": Iterator[pd.DataFrame], "return": Iterator[pd.Series]}
    return pandas_udf(score, "double").asNondeterministic()


def _called(call: Any, batch: pd.DataFrame, name: str) -> NDArray[np.float64]:
    if not len(batch):
        return np.empty(0)
    try:
        got = np.asarray(call(batch), np.float64)
    except MemoryError:
        raise  # the machine's fault
    except Exception as error:
        raise EmbedderError(
            f"{name} failed on {len(batch)} rows with {described(error)}; fix it, and return nan "
            "for a row that cannot be scored"
        ) from error
    if got.shape != (len(batch),):
        raise EmbedderError(
            f"{name} gave losses of shape {got.shape} for {len(batch)} rows; want ({len(batch)},)"
        )
    return got


def make_classified(models: Shipped) -> Any:
    """Return a UDF: (embedding, label's number) -> STRUCT of CLASSIFIED_TYPE, each model's loss.

    Parameters
    ----------
    models : bytes of an .npz: <name>_coef (n_classes, n_features), <name>_intercept (n_classes,)
    """

    def score(
        batches: Iterator[tuple[pd.Series, pd.Series]],
    ) -> Iterator[pd.DataFrame]:
        arrays = from_bytes(models.get().tobytes())
        for vectors, labels in batches:
            frame = {f"loss_{name}": np.empty(0) for name in CLASSIFIERS}
            if len(vectors):
                X, y = np.stack([*vectors]).astype(np.float64), labels.to_numpy(np.int64)
                for name in CLASSIFIERS:
                    model = arrays[f"{name}_coef"], arrays[f"{name}_intercept"]
                    frame[f"loss_{name}"] = on_grid(classifier_losses(X, y, *model))
            yield pd.DataFrame(frame)

    return pandas_udf(score, CLASSIFIED_TYPE).asNondeterministic()

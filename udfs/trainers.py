"""The user's trainer on the executors: an encoder for each cluster, one task each, largest first.

Spark shape map: rows of id, a, b, draw (and LABEL) -> the same in bins -> one row of TRAINED_SCHEMA
per cluster.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from udfs.blocks import to_bytes
from udfs.contrast import Division, labels_of, views_of
from udfs.embedders.contract import EmbedderError, described
from udfs.embedders.python import Code, archive_name
from udfs.kernels.contrast.encoders import MOST_HIDDEN, Encoder, Floats, encoder_of
from udfs.kernels.joint.dots import scale_of
from udfs.points import Batches, OnBatches

BINNED_SCHEMA = "bin int, cluster int, draw bigint, id {id}, a binary, b binary"
TRAINED_SCHEMA = "cluster int, payload binary"
_AT_ONCE = 4096  # points


@dataclass(frozen=True)
class Sent:
    """Which points a trainer gets.

    Attributes
    ----------
    division : how points are divided into clusters
    merged : (n_clusters,) the cluster, among those left, that each has become
    bins : (n_left,) int32 the key of each one's task
    cuts : (n_left,) int64 points with a larger draw stay away
    """

    division: Division | None
    merged: NDArray[np.int64]
    bins: NDArray[np.int32]
    cuts: NDArray[np.int64]


def make_send(of: Sent) -> OnBatches:
    """Return a function that sends points to the task of their cluster: rows of BINNED_SCHEMA."""

    def send(batches: Batches) -> Batches:
        find = labels_of(of.division) if of.division is not None else None
        for batch in batches:
            for start in range(0, batch.num_rows, _AT_ONCE):
                rows = pa.Table.from_batches([batch.slice(start, _AT_ONCE)])
                found = find(rows, None) if find else rows["label"].to_numpy()
                labels = of.merged[found]
                near = pa.array(np.flatnonzero(rows["draw"].to_numpy() <= of.cuts[labels]))
                sent = rows.select(["draw", "id", "a", "b"])
                sent = sent.add_column(0, "cluster", pa.array(labels, pa.int32()))
                sent = sent.add_column(0, "bin", pa.array(of.bins[labels], pa.int32()))
                yield from sent.take(near).combine_chunks().to_batches()

    return send


def make_train(code: Code, n_rows: int, seed: int) -> OnBatches:
    """Return a function that trains an encoder on each cluster of a task: TRAINED_SCHEMA.

    Parameters
    ----------
    n_rows : the most rows to train on: those with the smallest draws
    """

    def train(batches: Batches) -> Batches:
        some = [batch for batch in batches if batch.num_rows]
        if not some:
            return
        rows = pa.Table.from_batches(some)
        for cluster in pa.compute.unique(rows["cluster"]).sort().to_pylist():
            mine = rows.filter(pa.compute.equal(rows["cluster"], cluster))
            mine = mine.sort_by([("draw", "ascending"), ("id", "ascending")]).slice(0, n_rows)
            encoder = trained(code, mine, seed)
            payload = to_bytes(encoder.arrays())
            row = {"cluster": pa.array([cluster], pa.int32()), "payload": [payload]}
            yield pa.RecordBatch.from_pydict(row)

    return train


def trained(code: Code, rows: pa.Table, seed: int) -> Encoder:
    """Call the user's trainer on both views of points : (n, n_features) float32, of length 1.

    Raises
    ------
    EmbedderError
        If it fails, or its layers cannot be used.
    """
    views = views_of(rows)
    scale = scale_of(views.a.shape[1])
    # workers know the archive by its name alone
    train: Any = replace(code, archive=archive_name(code.archive)).call()
    try:
        layers = train(*((view / scale).astype(np.float32) for view in views), seed)
        layers = [(np.asarray(W, np.float64), np.asarray(b, np.float64)) for W, b in layers]
    except MemoryError:
        raise  # the machine's fault
    except Exception as error:
        raise EmbedderError(
            f"{code.factory} failed on {len(rows)} rows with {described(error)}; fix it: it "
            "returns pairs of weights and bias"
        ) from error
    _require_layers(code.factory, layers, views.a.shape[1])
    return encoder_of(layers, input_length=2 * scale)  # a point is its views' sum


def _require_layers(name: str, layers: list[tuple[Floats, Floats]], n_features: int) -> None:
    n_in, wrong = n_features, not 1 <= len(layers) <= 2
    for weights, bias in layers:
        wrong |= weights.ndim != 2 or len(weights) != n_in or bias.shape != weights.shape[1:]
        wrong |= not (np.isfinite(weights).all() and np.isfinite(bias).all())
        n_in = bias.size
    wrong |= len(layers) == 2 and len(layers[0][1]) > MOST_HIDDEN
    if wrong:
        shapes = [(weights.shape, bias.shape) for weights, bias in layers]
        raise EmbedderError(
            f"{name} gave layers of shapes {shapes}; want one or two of finite numbers, weights "
            f"(n_in, n_out) and bias (n_out,), the first of {n_features} features, with at most "
            f"{MOST_HIDDEN} units between"
        )

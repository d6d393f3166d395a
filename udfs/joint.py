"""Joint selection on the executors: embeddings into whole numbers, a batch out of a super-batch.

Spark shape map: ARRAY<number> or BINARY of n_features float32 -> BINARY of n_features int16; a
group of rows of both models' embeddings -> ``size`` rows of DRAWN_SCHEMA, with the batch's figures.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from udfs.embed import gate
from udfs.embedders import precomputed
from udfs.kernels.joint.dots import Coordinates, to_coordinates
from udfs.kernels.joint.draws import admitted, draw_independently, draw_jointly
from udfs.kernels.joint.losses import FORMS, Calibration, Losses
from udfs.kernels.joint.sums import looked_up
from udfs.points import Batches, OnBatches, as_binary

PACKED_SCHEMA = "id {id}, {0} binary, {1} binary, reason string, detail string"
# the figures are those of the batch, the same on each of its rows
DRAWN_SCHEMA = (
    "batch_id bigint, id {id}, chunk int, position int, g_diagonal double, g_joint double, "
    "joint_learnability double, uniform_control double, independent_control double, "
    "loss_learner double, loss_reference double"
)
_AT_ONCE = 1024  # rows packed at once
_COORDINATE = np.dtype(np.int16)


def make_pack(n_features: int, names: tuple[str, str]) -> OnBatches:
    """Return a function that turns rows of id and two embeddings into rows of PACKED_SCHEMA."""
    embed = precomputed.make_embedder(n_features)

    def pack(batches: Batches) -> Batches:
        for batch in batches:
            for start in range(0, batch.num_rows, _AT_ONCE):
                yield _packed(batch.slice(start, _AT_ONCE), n_features)

    def _packed(batch: pa.RecordBatch, n_features: int) -> pa.RecordBatch:
        n = batch.num_rows
        reasons, details = (np.full(n, None, dtype=object) for _ in range(2))
        vectors = []
        for name in reversed(names):  # what is wrong with the first vector is reported
            gated = gate(embed(batch.column(name).to_pandas()), n_values=n, normalize=True)
            vectors.append(as_binary(to_coordinates(gated.vectors), np.arange(n + 1)))
            for i in np.flatnonzero(~pd.isna(gated.reasons)):
                reasons[i] = "bad_embedding"
                told = (name, gated.reasons[i], gated.details[i])
                details[i] = ": ".join(str(part) for part in told if part is not None)
        told_of = (pa.array(column, pa.string()) for column in (reasons, details))
        columns = [batch.column("id"), vectors[1], vectors[0], *told_of]
        return pa.RecordBatch.from_arrays(columns, names=["id", *names, "reason", "detail"])

    return pack


@dataclass(frozen=True)
class Drawing:
    """How a batch is drawn from a super-batch.

    Attributes
    ----------
    form : form of the losses, sigmoid or softmax
    prefilter : share of the pairs that the reference turns away
    """

    form: str
    learner: Calibration
    reference: Calibration
    size: int
    n_chunks: int
    prefilter: float


def make_draw(how: Drawing) -> Callable[[pa.Table], pa.Table]:
    """Return a function that draws a batch from a super-batch.

    Its rows are super_batch, id, hash and, for learner and reference, image_... and text_..., in
    any order; the batch does not depend on it.
    """

    def draw(rows: pa.Table) -> pa.Table:
        keys = [("hash", "ascending"), ("id", "ascending")]
        rows = rows.take(pa.compute.sort_indices(rows, keys))
        reference = losses(rows, "reference", how.reference)
        rows = rows.take(pa.array(admitted(reference.matched, how.prefilter)))
        reference = losses(rows, "reference", how.reference)
        learner = losses(rows, "learner", how.learner)
        return _as_rows(rows, *_drawn(learner, reference, rows["hash"].to_numpy(), how))

    def losses(rows: pa.Table, side: str, of: Calibration) -> Losses:
        image, text = (coordinates_of(rows[f"{name}_{side}"]) for name in ("image", "text"))
        return FORMS[how.form](image, text, of, looked_up)

    return draw


def _drawn(
    learner: Losses, reference: Losses, hashes: NDArray[np.int64], how: Drawing
) -> tuple[dict[str, NDArray[Any]], dict[str, float]]:
    """Draw a batch, and beside it one uniformly and one by each pair's own gain, of the same pairs.

    Returns
    -------
    columns : columns of the batch, in its order, including the rows drawn
    figures : figures of the batch
    """
    gains = learner.matched - reference.matched

    def learned(rows: NDArray[np.int64]) -> float:
        return learner.of_batch(rows) - reference.of_batch(rows)

    controls = {
        f"{name}_control": learned(draw_independently(scores, hashes, how.size, name))
        for name, scores in (("uniform", np.zeros_like(gains)), ("independent", gains))
    }
    joint = draw_jointly(learner, reference, hashes, how.size, how.n_chunks)
    both = learner.of_batch(joint.rows), reference.of_batch(joint.rows)
    columns: dict[str, NDArray[Any]] = {
        "row": joint.rows,
        "chunk": joint.chunks,
        "position": np.arange(how.size, dtype=np.int32),
        "g_diagonal": gains[joint.rows],
        "g_joint": joint.scores,
    }
    losses = {"loss_learner": both[0], "loss_reference": both[1]}
    return columns, {"joint_learnability": both[0] - both[1], **controls, **losses}


def _as_rows(
    rows: pa.Table, columns: dict[str, NDArray[Any]], figures: dict[str, float]
) -> pa.Table:
    """Return a batch as rows of DRAWN_SCHEMA."""
    drawn = rows.select(["super_batch", "id"]).take(pa.array(columns.pop("row")))
    made = {name: pa.array(values) for name, values in columns.items()}
    made |= {name: pa.array(np.full(len(drawn), value)) for name, value in figures.items()}
    return pa.table({"batch_id": drawn["super_batch"], "id": drawn["id"], **made})


def coordinates_of(column: pa.ChunkedArray) -> Coordinates:
    """Read packed embeddings : (n, n_features), copied."""
    parts = [part for part in column.chunks if len(part)]
    read = [_read(part) for part in parts]
    return np.concatenate(read, dtype=np.float32, casting="unsafe")


def _read(column: pa.Array) -> NDArray[np.int16]:
    """Read packed embeddings without copying : (n, n_features)."""
    _, offsets, content = column.buffers()
    edges = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    values = np.frombuffer(content, np.uint8)[edges[0] : edges[-1]]
    return values.view(_COORDINATE).reshape(len(column), -1)

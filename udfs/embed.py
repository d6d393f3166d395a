"""Make functions on rows from embedders: a content in, embeddings and reasons out.

An embedder is loaded on the worker, once per process, as in pyspark's `predict_batch_udf`:

    pool.withColumn("embedding", make_embed(lambda: lsa.make_embedder(arrays))("text"))

Spark type -> Python: STRING -> str, BINARY -> bytes, ARRAY<number> -> 1-D ndarray (nulls inside
become nan). Back: (n, n_features) float32 -> ARRAY<FLOAT>.

Pools are embedded by `make_gated_embed`, on Arrow batches: a pandas UDF turns every component into
a Python number on its way back, which took most of a worker's time on ready vectors.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray
from pyspark.sql.functions import pandas_udf  # type: ignore[attr-defined]  # its stub lacks it

from udfs.blocks import from_bytes
from udfs.embedders.contract import Embedded, Embedder
from udfs.embedders.specs import Arrays
from udfs.kernels.exact.hygiene import check_vectors, normalize_rows, row_norms
from udfs.points import Batches, OnBatches, as_lists
from udfs.shipping import Shipped

EMBEDDING_TYPE = "array<float>"
GATED_SCHEMA = "embedding array<float>, norm double, reason string, detail string"
BATCH_SIZE = 256  # rows per call of the embedder

Loaded = TypeVar("Loaded")
MAX_LOADED = 3  # embedders kept by a worker, like pyspark's ModelCache
_loaded: OrderedDict[str, Any] = OrderedDict()


class Gated(NamedTuple):
    """Embedded rows; those without a reason are fit for clustering.

    Attributes
    ----------
    vectors : (n, n_features) float32
    norms : (n,) float64
        Before normalisation; nan if there is a reason.
    reasons, details : (n,) object
    """

    vectors: NDArray[np.float32]
    norms: NDArray[np.float64]
    reasons: NDArray[np.object_]
    details: NDArray[np.object_]


def make_embed(
    load_embedder: Callable[[], Embedder], *, normalize: bool = True, batch_size: int = BATCH_SIZE
) -> Any:
    """Return a pandas UDF: a content column -> ARRAY<FLOAT>, null if a row cannot be embedded.

    It is marked non-deterministic, though it is not: Spark would otherwise push a filter on the
    embedding below the projection, and embed every row twice.

    Parameters
    ----------
    load_embedder : runs on the worker
    normalize : scale the embeddings to length 1
    batch_size : rows handed to the embedder at once
    """
    key = uuid4().hex

    def embed(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        embedder = load_once(key, load_embedder)
        for batch in batches:
            for start in range(0, len(batch), batch_size):
                values = batch.iloc[start : start + batch_size]
                gated = gate(embedder(values), n_values=len(values), normalize=normalize)
                rows = zip(gated.vectors, gated.reasons, strict=True)
                vectors = [vector if reason is None else None for vector, reason in rows]
                yield pd.Series(vectors, dtype=object)

    return pandas_udf(embed, EMBEDDING_TYPE).asNondeterministic()


def make_gated_embed(
    load_embedder: Callable[[], Embedder],
    *,
    normalize: bool = True,
    batch_size: int = BATCH_SIZE,
    counter: Any | None = None,
    is_costly: bool = False,
) -> OnBatches:
    """Make the function that embeds rows: ``value`` goes, and GATED_SCHEMA's columns come.

    Rows that have a reason keep it, and have no embedding; if not, either ``reason`` is null, or
    ``embedding`` and ``norm`` are. ``norm`` is the L2 norm before normalisation. Other columns stay
    as they are, before the new ones. Parameters as in `make_embed`; ``counter`` is an accumulator
    of rows embedded; a costly embedder is given each of a task's contents once.
    """
    key = uuid4().hex

    def embed(batches: Batches) -> Batches:
        embedder = load_once(key, load_embedder)
        if is_costly:
            embedder = each_once(embedder)
        for batch in batches:
            for start in range(0, len(batch), batch_size):
                rows = batch.slice(start, batch_size)
                values = rows.column("value").to_pandas(integer_object_nulls=True)
                gated = gate(embedder(values), n_values=len(rows), normalize=normalize)
                if counter is not None:
                    counter.add(len(rows))
                yield _with_gated(rows, gated)

    return embed


def _with_gated(rows: pa.RecordBatch, gated: Gated) -> pa.RecordBatch:
    """Return rows with what was found instead of their values."""
    given = rows.column("reason")
    reason = pa.array(gated.reasons, pa.string())
    told = pa.compute.if_else(
        given.is_valid(), rows.column("detail"), pa.array(gated.details, pa.string())
    )
    reason = pa.compute.coalesce(given, reason)
    embedding = as_lists(gated.vectors, is_null=reason.is_valid())
    norm = pa.array(gated.norms, from_pandas=True)  # nan becomes null
    kept = [name for name in rows.schema.names if name not in ("value", "reason", "detail")]
    columns = {"embedding": embedding, "norm": norm, "reason": reason, "detail": told}
    return pa.RecordBatch.from_pydict({name: rows.column(name) for name in kept} | columns)


def make_reduce(reduce: Callable[[Any, Any], bytes | None], options: Any) -> Any:
    """Return a UDF: a content column -> what an embedder's fit needs of each, BINARY."""

    def reduced(contents: pd.Series) -> pd.Series:
        return contents.map(lambda content: reduce(content, options)).astype(object)

    return pandas_udf(reduced, "binary")


def make_loader(make: Callable[[Arrays], Embedder], shipped: Shipped) -> Callable[[], Embedder]:
    """Return a function that loads an embedder on the worker from .npz bytes shipped there."""
    return lambda: make(from_bytes(shipped.get().tobytes()))


def load_once(key: str, load: Callable[[], Loaded]) -> Loaded:
    """Return the model this process loaded under `key`, loading it the first time."""
    if key not in _loaded:
        _loaded[key] = load()
    _loaded.move_to_end(key)
    while len(_loaded) > MAX_LOADED:
        _loaded.popitem(last=False)
    found: Loaded = _loaded[key]
    return found


def each_once(embedder: Embedder) -> Embedder:
    """Return an embedder that remembers: a content that comes again is not embedded again.

    Raises
    ------
    ValueError
        If the embedder does not return one vector and one reason per value.
    """
    known: dict[bytes, tuple[NDArray[np.float32], Any, Any]] = {}

    def embed(values: pd.Series) -> Embedded:
        keys = [_digest(value) for value in values]
        new = {key: i for i, key in enumerate(keys) if key not in known}
        if new:
            found = embedder(values.iloc[[*new.values()]])
            _require_whole(found, len(new))
            known.update(zip(new, zip(*found, strict=True), strict=True))
        vectors, reasons, details = zip(*(known[key] for key in keys), strict=True)
        told = [np.empty(len(keys), dtype=object) for _ in range(2)]
        told[0][:], told[1][:] = reasons, details
        return Embedded(np.stack(vectors), *told)

    return embed


def _digest(value: Any) -> bytes:
    """Name a content: a text, bytes, an array of numbers, or None."""
    if value is None:
        return b""
    content = value if isinstance(value, str | bytes) else np.ascontiguousarray(value).tobytes()
    kind = b"t" if isinstance(value, str) else b"b"
    content = content.encode() if isinstance(content, str) else content
    return hashlib.blake2b(content, digest_size=16, person=kind).digest()


def gate(embedded: Embedded, *, n_values: int, normalize: bool) -> Gated:
    """Add what is wrong with the vectors themselves to the embedder's own reasons.

    Raises
    ------
    ValueError
        If the embedder did not return one vector and one reason per value.
    """
    vectors = np.asarray(embedded.vectors, dtype=np.float32)
    reasons, details = embedded.reasons.copy(), embedded.details.copy()
    _require_whole(embedded, n_values)
    found = check_vectors(vectors)
    for i in np.flatnonzero(pd.isna(reasons) & ~pd.isna(found)):
        reasons[i], details[i] = found[i], _explain(found[i], vectors[i])
    is_fit = pd.isna(reasons)
    norms = row_norms(vectors)
    norms[~is_fit] = np.nan
    return Gated(normalize_rows(vectors, norms) if normalize else vectors, norms, reasons, details)


def _require_whole(embedded: Embedded, n_values: int) -> None:
    shape, (_, reasons, details) = np.shape(embedded.vectors), embedded
    if len(shape) != 2 or {shape[0], len(reasons), len(details)} != {n_values}:
        raise ValueError(
            f"the embedder returned vectors {shape}, {len(reasons)} reasons and "
            f"{len(details)} details for {n_values} values; want ({n_values}, n_features) and "
            f"{n_values} of each"
        )


def _explain(reason: str, vector: NDArray[np.float32]) -> str | None:
    """Return where a vector is nan or inf, or which value it repeats."""
    if reason == "nan":
        return f"nan at index {np.isnan(vector).argmax()}"
    if reason == "inf":
        return f"inf at index {np.isinf(vector).argmax()}"
    if reason == "constant":
        return f"all {len(vector)} components are {vector[0]:g}"
    return None

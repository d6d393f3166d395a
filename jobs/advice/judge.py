"""A second embedding of the pool, which the tree never saw, to judge samples in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from jobs.config.errors import InputError
from jobs.pool.columns import judge_columns
from jobs.reporting.coverage_rows import Judges, coverage_rows
from jobs.reporting.rows import Row, figure_rows
from jobs.runs.run import Run
from udfs.kernels.exact.grid import grid_unit, to_grid

PREFIX = "judge_"  # of the report's sections
_BYTES = 4  # per number in binary vectors, little-endian float32


@dataclass(frozen=True)
class Vectors:
    """The vectors of some ids, all of one length.

    Attributes
    ----------
    ids : (n,)
    X : (n, n_features) grid coordinates
    unit : grid unit
    n_missing : requested ids that have no vector, or none of that length
    """

    ids: pa.Array
    X: NDArray[np.float32]
    unit: float
    n_missing: int

    def of(self, rows: pa.Table) -> NDArray[np.float32]:
        """Return the vectors of those rows with an ``id`` that have one, in their order."""
        places = pa.compute.index_in(rows["id"].cast(self.ids.type), self.ids)
        found: NDArray[np.float32] = self.X[places.drop_null().to_numpy()]
        return found


def judge_rows(
    run: Run, column: str, samples: Mapping[str, pa.Table], drawn: Sequence[pa.Table]
) -> list[Row]:
    """Measure the samples in the second embedding, as they are measured in their own.

    Parameters
    ----------
    column : a column of the pool, or an expression
    samples : sample -> its points, with an ``id``
    drawn : hash samples of the pool that judge, alternating with uniform draws

    Raises
    ------
    InputError
        If no point has a vector.
    """
    tables = [*samples.values(), *drawn]
    ids = pa.concat_tables([table.select(["id"]) for table in tables]).group_by("id").aggregate([])
    read = judge_columns(run.pool, run.config.input, column, run.spark.createDataFrame(ids))
    found = vectors_of(read.toArrow(), len(ids), normalize=run.config.embed.normalize)
    return judged(found, samples, drawn, run.config.seed)


def judged(
    found: Vectors, samples: Mapping[str, pa.Table], drawn: Sequence[pa.Table], seed: int
) -> list[Row]:
    """Return what the vectors found measure of samples, as many of each as of its uniform draws.

    ``n_rows`` are a sample's, ``n_without_vector`` those that have none here, beside as many rows
    of a uniform draw, ``n_compared`` the vectors of each that coverage is measured with.

    Parameters
    ----------
    samples, drawn : see ``judge_rows``
    """
    section = f"{PREFIX}coverage"
    vectors = [found.of(table) for table in drawn]
    judges = Judges(vectors[::2], vectors[1::2], seed, found.unit)
    most = min(map(len, judges.uniform)) if all(map(len, vectors)) else 0
    mine = {name: found.of(table) for name, table in samples.items()}
    compared = {name: X[:most] for name, X in mine.items()}
    rows = figure_rows(section, None, {"n_missing": float(found.n_missing)})
    for name, table in samples.items():
        n_without = len(table) - len(mine[name])
        uniform = [draw.slice(0, len(table)) for draw in drawn[1::2]]
        others = np.mean([len(draw) - len(found.of(draw)) for draw in uniform])
        figures = {"n_rows": len(table), "n_without_vector": n_without}
        figures["n_compared"] = len(compared[name])
        rows += figure_rows(section, name, figures, control={"n_without_vector": float(others)})
    some = {name: X for name, X in compared.items() if len(X)}
    return (coverage_rows(some, judges, prefix=PREFIX) if some else []) + rows


def vectors_of(table: pa.Table, n_wanted: int, *, normalize: bool) -> Vectors:
    """Return the vectors among values (id, value), which are arrays of numbers or raw float32.

    Ids that occur more than once have none, as it is not known which is theirs.

    Parameters
    ----------
    n_wanted : ids asked for

    Raises
    ------
    InputError
        If no value is a vector.
    """
    counts = table["id"].value_counts()
    once = counts.filter(pa.compute.equal(counts.field("counts"), 1)).field("values")
    table = table.filter(pa.compute.is_in(table["id"], once))
    table, X = _of_one_length(table)
    if not len(X):
        raise InputError(
            "report.judge names a column that holds no vector of finite numbers for any point of "
            "the samples; want a second embedding of the same rows, or null"
        )
    norms = np.linalg.norm(X, axis=1)
    unit = grid_unit(1.0 if normalize else float(norms.max()))
    if normalize:
        X /= norms[:, None]
    missing = n_wanted - len(X)
    return Vectors(table["id"].combine_chunks(), to_grid(X.astype(np.float32), unit), unit, missing)


def _of_one_length(table: pa.Table) -> tuple[pa.Table, NDArray[np.float64]]:
    """Return the rows whose vectors have the most frequent length, are finite and not zero."""
    values = table["value"].combine_chunks()
    is_binary = pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type)
    length = pa.compute.binary_length if is_binary else pa.compute.list_value_length
    lengths = pa.compute.fill_null(length(values), 0).to_numpy()
    if is_binary:  # in integer arithmetic
        lengths = np.where(lengths % _BYTES, 0, lengths)
    if not (lengths > 0).any():
        return table.slice(0, 0), np.empty((0, 0))
    common = int(np.bincount(lengths[lengths > 0]).argmax())
    table = table.filter(pa.array(lengths == common))
    kept = table["value"].combine_chunks()
    if is_binary:
        flat = np.frombuffer(b"".join(kept.to_pylist()), "<f4").astype(np.float64)
        common //= _BYTES
    else:
        flat = kept.flatten().cast(pa.float64()).to_numpy(zero_copy_only=False)
    X = flat.reshape(-1, common)
    is_good = np.isfinite(X).all(axis=1) & X.any(axis=1)
    return table.filter(pa.array(is_good)), X[is_good]

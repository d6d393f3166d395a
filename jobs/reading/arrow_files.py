"""Files that Spark has no reader for, read by Python workers: .npy, .npz, tars, Arrow files."""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from jobs.config.errors import InputError
from jobs.reading.files import Files
from jobs.reading.sources import WHOLE, sources_of
from jobs.spark.errors import SPARK_ERRORS, reason
from udfs.readers import numpy_files, tar_files
from udfs.readers.forms import DESCRIBED, Form, columns_of
from udfs.readers.sources import UnreadableError

log = logging.getLogger(__name__)

_PART_BYTES = 64 << 20  # bytes of a .npy file that one task reads


class ArrowRows(NamedTuple):
    """The rows of files, and the members of tars that are passed over."""

    rows: DataFrame
    passed_over: tuple[str, ...] = ()


def read_arrow_files(
    spark: SparkSession,
    kind: str,
    files: Files,
    options: Mapping[str, str],
    named: tuple[str, ...] = (),
) -> ArrowRows:
    """Read files on Python workers.

    Parameters
    ----------
    named : columns that the config names: which arrays are meant, if there are several

    Raises
    ------
    InputError
        If a file is not of this form, or a column is of two types.
    """
    wanted = tuple(name.strip() for name in options.get("arrays", "").split(",") if name.strip())
    form = Form(kind, files.root, len(files.found) == 1, wanted, named)
    described = described_by(spark, form, files)
    try:
        schema = columns_of(form, {path: found for path, (found, _) in described.items()})
    except UnreadableError as error:
        raise InputError(f"input.table={files.path!r}: {error}") from error
    members: list[str] = []
    for path, (found, _) in described.items():
        told = found.metadata or {}
        names = json.loads(told.get(tar_files.PASSED_OVER, "[]"))
        members += [f"{path.removeprefix(files.root)}/{_printable(name)}" for name in names]
        if passed_over := told.get(numpy_files.PASSED_OVER):
            log.warning(
                "%s: arrays passed over: %s; input.options.arrays names those to read",
                path, passed_over.decode(),
            )  # fmt: skip
    parts = {f.path: _parts(described[f.path][1], f.length, f.path) for f in files.found}

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return form.read(schema, batches)

    sources = sources_of(spark, parts)
    return ArrowRows(sources.mapInArrow(read, from_arrow_schema(schema)), tuple(members))


def described_by(spark: SparkSession, form: Form, files: Files) -> dict[str, tuple[pa.Schema, int]]:
    """Return the schema and the number of rows of each file.

    Raises
    ------
    InputError
        If a file cannot be read.
    """
    sources = sources_of(spark, {file.path: [WHOLE] for file in files.found})
    try:
        rows = sources.mapInPandas(form.describe, DESCRIBED).collect()
    except SPARK_ERRORS as error:
        raise InputError(
            f"input.table={files.path!r}: {unreadable(error) or reason(error)}"
        ) from error
    return {
        row.path: (pa.ipc.read_schema(pa.py_buffer(bytes(row.schema))), row.n_rows)
        for row in sorted(rows)
    }


def unreadable(error: Exception) -> str | None:
    """Return a worker's message about a file that it cannot read, if that caused the error."""
    found = re.search(rf"{UnreadableError.__name__}: (.+)", str(error))
    return found and found[1]


def _printable(name: str) -> str:
    """Return a tar's name, whose bytes may be of any encoding, as it can be shown."""
    return name.encode(errors="surrogateescape").decode(errors="replace")


def _parts(n_rows: int, n_bytes: int, path: str) -> list[tuple[int, int]]:
    """Return ranges of rows for tasks; only .npy files can be read in parts."""
    if not path.endswith(".npy"):
        return [WHOLE]
    step = max(1, n_rows * _PART_BYTES // max(n_bytes, 1))
    return [(i, min(n_rows, i + step)) for i in range(0, n_rows, step)] or [WHOLE]

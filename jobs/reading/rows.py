"""How a pool's rows are read: the same from every session, and nothing is lost silently."""

import re
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import and_
from typing import NamedTuple

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from jobs.config.errors import InputError
from jobs.config.model import InputConfig
from jobs.reading.arrow_files import read_arrow_files
from jobs.reading.csv_files import csv_options
from jobs.reading.files import Files, escaped, few, literal_path
from jobs.reading.formats import glob_of
from jobs.reading.json_files import json_options, refuse_lost_digits
from jobs.reading.names import format_of, is_hidden
from jobs.reading.parquet_files import read_parquet
from jobs.reading.text_files import TextOptions, as_utf8, whole_texts
from jobs.reading.whole_files import are_read_by_workers, read_whole_files
from jobs.spark.frames import packed
from jobs.spark.naming import quote

MALFORMED = "_evenlake_malformed"  # column for the text of a record that Spark could not read
_EVERY_FILE = {"ignoreCorruptFiles": "false", "ignoreMissingFiles": "false"}
_FORMAT_OPTIONS = {
    # RFC 4180: quotes double inside quotes, a record may have several lines
    "csv": {
        "header": "true",
        "multiLine": "true",
        "escape": '"',
        "enforceSchema": "false",  # a file with other columns is an error
        "columnPruning": "false",  # otherwise a record's fields would not be counted
    },
    "text": {"wholetext": "true"},  # ids by file: what a folder of texts means to a curator
}
_LOOKED_AT = 20  # columns that tell a header
_ONE_PER_FILE = ("binaryFile", "text")
_BY_WORKERS = ("numpy", "webdataset", "arrow")  # kinds that Python opens


class Read(NamedTuple):
    """Rows, how they were read, and what was not.

    Attributes
    ----------
    ways : names of what is read differently than in earlier versions
    members : members of tars that are passed over
    """

    rows: DataFrame
    ways: tuple[str, ...] = ()
    members: tuple[str, ...] = ()


def _options(kind: str, files: Files) -> dict[str, str]:
    """Return the reader's options, before what the files' content and the config say."""
    options = _FORMAT_OPTIONS.get(kind, {}) | _EVERY_FILE
    if files.layout == "subfolders":
        options["recursiveFileLookup"] = "true"
    if files.others and (pattern := glob_of(files)):
        options["pathGlobFilter"] = pattern
    return options


def read_files(spark: SparkSession, kind: str, files: Files, config: InputConfig) -> Read:
    """Read the files of a pool.

    Raises
    ------
    InputError
        If their content is not what the format allows.
    """
    found = TextOptions({})
    if kind in ("csv", "json"):
        told_by = {"csv": csv_options, "json": json_options}[kind]
        found = told_by(spark, files, config.options)
    options = _options(kind, files) | found.options | config.options
    _refuse_names(kind, files, options, config)
    paths = [literal_path(spark, files.path)]
    if files.others and "pathGlobFilter" not in options:
        paths = [escaped(file.path) for file in files.found]
    if kind == "parquet" and any(map(_is_empty_parquet, files.unread)):  # Spark would read them
        paths = [escaped(file.path) for file in files.found]
        options = {"basePath": files.root} | options
    members: tuple[str, ...] = ()
    if kind in _BY_WORKERS:
        named = tuple(filter(None, (config.embedding, config.content)))
        rows, members = read_arrow_files(spark, kind, files, config.options, named)
    elif kind == "parquet":
        rows = read_parquet(spark, files, paths, options)
    elif kind in ("csv", "json"):
        rows = _records(spark, kind, paths, options, found.columns, config)
        rows = as_utf8(rows) if found.is_bytes else rows
    elif kind == "binaryFile":
        rows = read_whole_files(spark, files, paths, options, config)
    else:
        rows = spark.read.format(kind).options(**options).load(paths)
        if kind == "text" and options["wholetext"] == "true":
            rows = whole_texts(rows)
    if kind in _ONE_PER_FILE:
        rows = packed(with_places(rows, files), files.n_bytes)
    told = {"rfc4180": kind == "csv", files.layout: files.layout != "flat"}
    return Read(rows, (*(way for way, is_so in told.items() if is_so), *found.ways), members)


def _is_empty_parquet(name: str) -> bool:
    return format_of(name) == "parquet" and not any(map(is_hidden, name.split("/")))


def _refuse_names(kind: str, files: Files, options: Mapping[str, str], config: InputConfig) -> None:
    """Refuse local files whose names Hadoop would take for something else."""
    is_by_workers = kind in _BY_WORKERS or (
        kind == "binaryFile" and are_read_by_workers(files, config)
    )
    if is_by_workers or not files.is_local:
        return
    odd = [name for name in files.names if ":" in name.rpartition("/")[2]]
    if not odd and kind == "json" and options.get("multiLine") == "true":
        # to find the columns, Spark takes the paths for patterns
        odd = [name for name in files.names if re.search(r"[\\{}\[\]*?:]", files.root[5:] + name)]
    if odd:
        raise InputError(
            f"input.table={files.path!r}: Spark cannot open {few(odd)} by this name, for a colon "
            "or a sign of patterns in it or above it; rename it"
        )


def _records(
    spark: SparkSession,
    kind: str,
    paths: list[str],
    options: Mapping[str, str],
    columns: Sequence[str],
    config: InputConfig,
) -> DataFrame:
    """Read CSV or JSON; CSV records that do not fit the header, or repeat it, are malformed."""
    reader = spark.read.format(kind).options(columnNameOfCorruptRecord=MALFORMED).options(**options)
    if columns:
        reader = reader.schema(StructType([StructField(name, StringType()) for name in columns]))
    rows = reader.load(paths)
    if kind == "json":
        refuse_lost_digits(reader, paths, rows, config)
    if kind != "csv" or MALFORMED in rows.columns:
        return rows
    has_types = not _is_text(rows.schema)  # by the option inferSchema
    names, separator = rows.columns, options.get("sep", options.get("delimiter", ","))
    rows = reader.schema(rows.schema.add(MALFORMED, StringType())).load(paths)
    # one word may be like its column
    if has_types or len(names) == 1 or options["header"].lower() != "true":
        return rows
    # files with a header each that were joined; Spark names a column without a name itself
    is_name = (
        F.col(quote(name)).isNull() if name == f"_c{i}" else F.col(quote(name)) == name
        for i, name in enumerate(names[:_LOOKED_AT])
    )
    is_header = reduce(and_, is_name)
    text = F.when(is_header, separator.join(names)).otherwise(F.col(MALFORMED))
    return rows.withColumn(MALFORMED, text)


def well_formed(rows: DataFrame) -> DataFrame:
    """Return rows with the columns that are the pool's own."""
    return rows.drop(MALFORMED) if MALFORMED in rows.columns else rows


def _is_text(schema: StructType) -> bool:
    return all(isinstance(field.dataType, StringType) for field in schema)


def with_places(rows: DataFrame, files: Files) -> DataFrame:
    """Add where each file is: ``relative_path``, also as ``id``, and its folder as ``label``.

    Existing columns stay as they are.
    """
    whole = "path" if "path" in rows.columns else "_metadata.file_path"
    path = F.expr(whole)
    if whole != "path":  # written as a URI
        path = F.url_decode(F.replace(path, F.lit("+"), F.lit("%2B")))
    relative = F.substring(path, F.lit(len(files.root) + 1), F.length(path))
    folder = F.element_at(F.split(relative, "/"), -2)
    label = F.when(F.instr(relative, "/") > 0, folder)
    for name, column in {"relative_path": relative, "id": relative, "label": label}.items():
        if name not in rows.columns:
            rows = rows.withColumn(name, column)
    return rows


def names_timestamps(rows: DataFrame, config: InputConfig) -> bool:
    """Return whether the config names a timestamp column, whose text depends on the time zone."""
    named = " ".join([config.where or "", config.id, *config.metadata]).lower()
    kinds = {field.name.lower(): field.dataType.simpleString() for field in rows.schema}
    return any("timestamp" in kind and name in named for name, kind in kinds.items())

"""Look at a few rows of a pool before a run, for anything that would make the run futile."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from pyspark.sql import DataFrame

from jobs.config.errors import InputError
from jobs.config.model import InputConfig
from jobs.pool.computing import computable
from jobs.pool.ids import shown
from jobs.pool.inputs import Pool
from udfs.readers.stats import make_size_and_time

_LOOKED_AT = 200  # rows
_MANY_FILES = 10_000
_SMALL_FILE = 1 << 20  # mean bytes per file
_LARGE_FILE = 1 << 30  # bytes for one task
_WHOLE = re.compile(r"\.(tar|npz|arrow|feather|gz|zst)$")


@computable()
def look(pool: Pool, rows: DataFrame, config: InputConfig) -> list[str]:
    """Return what is odd about a pool's first rows and its files.

    Parameters
    ----------
    rows : id, value, metadata

    Raises
    ------
    InputError
        If all ids are equal or null, or none of the files that the content names exists.
    """
    return [*_ids(rows, config), *_paths(pool, rows), *_files(pool), *large_files(pool, config)]


def _ids(rows: DataFrame, config: InputConfig) -> Iterator[str]:
    ids = [row.id for row in rows.select("id").limit(_LOOKED_AT).collect()]
    counts = Counter(bytes(id_) if isinstance(id_, bytearray) else id_ for id_ in ids)
    if not ids:
        return
    id_, n = counts.most_common(1)[0]
    if n == len(ids) > 1:
        known = "null" if id_ is None else repr(shown(id_))
        raise InputError(
            f"input.id={config.id!r} is {known} on each of the first {n} rows; want a "
            "column or expression that tells rows apart"
        )
    if n > 1 and id_ is not None:
        yield (
            f"input.id={config.id!r}: {shown(id_)!r} is the id of {n} of the first {len(ids)} "
            "rows; of rows with one id and one content one stays, others are rejects"
        )
    elif re.search(r"(?i)\b(sha[12]?|md5|xxhash64|hash)\(", config.id):
        yield f"input.id={config.id!r} is a hash: of rows whose contents are the same one stays"


def _paths(pool: Pool, rows: DataFrame) -> Iterator[str]:
    if pool.pointed is None or pool.pointed.folders:
        return
    states = rows.where("value IS NOT NULL").select("value").limit(_LOOKED_AT)
    found = states.withColumn("state", make_size_and_time()("value")).collect()
    missing = [row.value for row in found if row.state is None]
    if missing and len(missing) == len(found):
        raise InputError(
            f"input.content: none of the first {len(found)} paths is a file here, such as "
            f"{missing[0]!r}; set input.base to the folder that relative paths start from, or make "
            "them visible to the workers"
        )
    if missing:
        yield (
            f"{len(missing)} of the first {len(found)} paths are no files, such as {missing[0]!r}"
        )


def _files(pool: Pool) -> Iterator[str]:
    if pool.files is None:
        return
    if pool.files.passed_over:
        yield f"files passed over: {pool.files.passed_over}"
    n = len(pool.files.found)
    if n >= _MANY_FILES and pool.files.n_bytes < n * _SMALL_FILE:
        yield (
            f"the pool is {n:,} files of {pool.files.n_bytes / n / 1024:,.0f} KiB in the mean: a "
            "Delta table with their bytes is read faster, and pinned to a version"
        )


def large_files(pool: Pool, config: InputConfig) -> Iterator[str]:
    """Warn of large files that one task has to read, as what is inside cannot be told in parts."""
    if pool.files is None:
        return
    large = [file for file in pool.files.found if file.length > _LARGE_FILE]
    fixes = {file.path: _instead_of_whole(file.path, pool.ways, config) for file in large}
    found = sorted((f for f in large if fixes[f.path]), key=lambda file: -file.length)
    if found:
        largest = found[0]
        name = largest.path.removeprefix(pool.files.root)
        yield (
            f"{name} of {largest.length / _LARGE_FILE:.1f} GiB is read by one task"
            + (f", as are {len(found) - 1:,} more files of over 1 GiB" if found[1:] else "")
            + f": {fixes[largest.path]}"
        )


def _instead_of_whole(path: str, ways: Sequence[str], config: InputConfig) -> str:
    """Return what makes a file be read by several tasks; empty if it is."""
    if _WHOLE.search(path):
        return "split it"
    given = {key.lower(): value.lower() for key, value in config.options.items()}
    if "rfc4180" in ways and given.get("multiline") != "false":
        return "split it, or if no field holds a line break, set input.options.multiLine: 'false'"
    is_document = "document" in ways or given.get("multiline") == "true"
    return "write a record a line (jq -c '.[]' FILE)" if is_document else ""

"""The one door to the surviving points: those that passed every gate that is on.

Small pools are collected to the driver once per run, and handed from stage to stage; larger ones
are read from their table, unless a gate has just fetched them for a solver that wants them all.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.points.hash_sample import sample_of, sample_rows
from jobs.runs.run import HANDED_BYTES, Run
from jobs.runs.stage import Stage
from jobs.tables.table import Table

HASH = "hash"  # column of points held in memory: Spark's xxhash64 of the id
_HELD = ("id", "content_hash", "embedding")


class Size(NamedTuple):
    """How many points survive, and how long their vectors are."""

    n_points: int
    n_features: int


def surviving(run: Run, *columns: str, before: Stage[Any] | None = None) -> DataFrame:
    """Return the points that passed every gate that is on.

    Parameters
    ----------
    columns : id and embedding by default
    before : a gate; only those before it count
    """
    _, points = _source(run)
    return passed(run, points(run), before=before).select(*(columns or ("id", "embedding")))


def passed(run: Run, rows: DataFrame, *, before: Stage[Any] | None = None) -> DataFrame:
    """Return the rows, matched by id, that passed every gate that is on."""
    for gate, table in _gone(run, _gates(run, before)):
        rows = rows.join(run.read(gate, table).select("id"), on="id", how="left_anti")
    return rows


def shown_by_gates(run: Run) -> Iterator[DataFrame]:
    """Return what each gate turned away, to look at, if it did: see ``Stage.shows``."""
    for gate in _gates(run):
        if gate.shows is not None and run.outcome(gate).n_turned_away:
            yield gate.shows(run)


def size_of(run: Run, *, before: Stage[Any] | None = None) -> Size:
    """Return how many points passed every gate that is on, and the length of their vectors."""
    accepted = run.outcome(_source(run)[0])
    n_gone = sum(run.outcome(gate).n_turned_away for gate in _gates(run, before))
    return Size(accepted.n_points - n_gone, accepted.n_features)


def _source(run: Run) -> tuple[Stage[Any], Callable[[Run], DataFrame]]:
    """Return the stage that makes the points, and its function that reads them."""
    on = run.recipe.on(run.written)
    (source,) = ((stage, stage.points) for stage in on if stage.points is not None)
    return source


def _gates(run: Run, before: Stage[Any] | None = None) -> list[Stage[Any]]:
    """Return the finished gates that turned anyone away; none after the running stage has."""
    earlier = run.recipe.stages if before is None else run.recipe.before(before)
    on = run.recipe.on(run.written)
    gates = (s for s in earlier if s in on and s.turned_away is not None)
    finished = (gate for gate in gates if run.has_finished(gate))
    return [gate for gate in finished if run.outcome(gate).n_turned_away]


def held(run: Run, *, before: Stage[Any] | None = None) -> pa.Table | None:
    """Return the surviving points in memory, or None if there are too many.

    Parameters
    ----------
    before : a gate; only those before it count

    Returns
    -------
    points : id, content_hash, embedding, hash; in no particular order
    """
    *earlier, name = names = _names(run, before)
    if name in run.held:
        return run.held[name]
    few = is_held(*size_of(run, before=before))
    known = [n for n in earlier if n in run.held]
    if known:
        points = run.held[known[-1]] if few else run.held.pop(known[-1])
        run.held[name] = _past(points, _gates(run, before)[names.index(known[-1]) :], run)
    elif few:
        run.held[name] = hashed(surviving(run, *_HELD, before=before)).toArrow()
    return run.held.get(name)


def keep(run: Run, points: pa.Table) -> None:
    """Keep the surviving points, once fetched, for the next stages; ``release`` ends it.

    Parameters
    ----------
    points : id, content_hash, embedding, hash, and perhaps others
    """
    run.held.setdefault(_names(run)[-1], points.select([*_HELD, HASH]))


def release(run: Run) -> None:
    """Let go of points in memory that are too many to be held to the run's end."""
    if not is_held(*size_of(run)):
        for name in _names(run):
            run.held.pop(name, None)


def _names(run: Run, before: Stage[Any] | None = None) -> list[str]:
    """Return the names in ``run.held`` of all points, of those that passed one gate, two, ..."""
    keys = [run.key(stage) for stage in (_source(run)[0], *_gates(run, before))]
    return [",".join(keys[:n]) for n in range(1, len(keys) + 1)]


def _past(points: pa.Table, gates: Sequence[Stage[Any]], run: Run) -> pa.Table:
    """Return the points in memory that passed some gates."""
    type_ = points["id"].type
    ids = [run.fetch(gate, table, ["id"])["id"].cast(type_) for gate, table in _gone(run, gates)]
    return without(
        points, pa.chunked_array([chunk for each in ids for chunk in each.chunks], type_)
    )


def without(points: pa.Table, ids: pa.ChunkedArray) -> pa.Table:
    """Return the points in memory that have none of these ids."""
    if len(ids) == 0:
        return points  # a filter would copy every vector
    is_other = pa.compute.is_in(points["id"], ids.combine_chunks())
    return points.filter(pa.compute.invert(is_other))


def _gone(run: Run, gates: Sequence[Stage[Any]]) -> Iterator[tuple[Stage[Any], Table]]:
    """Yield the tables that name the ids that gates turned away."""
    for gate in gates:
        if gate.turned_away is not None:
            yield from ((gate, table) for table in gate.turned_away(run))


def hold(run: Run, source: Stage[Any], points: DataFrame) -> pa.Table:
    """Collect all points of a stage, other columns included; keep those of ``held``."""
    table = hashed(points).toArrow()
    run.held[run.key(source)] = table.select([*_HELD, HASH])
    return table


def is_held(n_points: int, n_features: int) -> bool:
    """Return whether points are few enough to be held in memory from stage to stage."""
    return 4 * n_points * n_features <= HANDED_BYTES


def hashed(points: DataFrame) -> DataFrame:
    """Add the hash of each point's id."""
    return points.withColumn(HASH, F.xxhash64("id"))


def sample_points(
    run: Run, wanted: Sequence[tuple[str, int]], *, before: Stage[Any] | None = None
) -> list[pa.Table]:
    """Return independent hash samples of the surviving points.

    Parameters
    ----------
    wanted : (salt, n_rows) each; all points if there are fewer
    before : a gate; only those before it count

    Returns
    -------
    samples : for each salt, the points with the smallest id hashes, in that order
    """
    points = held(run, before=before)
    if points is None:
        rows, n_rows = surviving(run, before=before), size_of(run, before=before).n_points
        return sample_rows(rows, wanted, n_rows, seed=run.written.seed)
    return [
        sample_of(points, points[HASH], salt, n_rows, seed=run.written.seed)
        for salt, n_rows in wanted
    ]


def sample_among(run: Run, ids: DataFrame, wanted: tuple[str, int], *, n_ids: int) -> pa.Table:
    """Return a hash sample of the surviving points that have certain ids.

    Parameters
    ----------
    ids : rows with a column ``id``
    wanted : (salt, n_rows); all of them if there are fewer
    n_ids : the number of ids, or fewer: the fewer, the more points are read to choose from
    """
    points, seed = held(run), run.written.seed
    if points is None:
        mine = surviving(run).join(ids, on="id", how="leftsemi")
        return sample_rows(mine, [wanted], n_ids, seed=seed)[0]
    mine = points.take(places_of(ids.toArrow()["id"], points["id"]))
    return sample_of(mine, mine[HASH], *wanted, seed=seed)


def places_of(ids: pa.ChunkedArray, among: pa.ChunkedArray) -> pa.Array:
    """Return the positions of ids among others, which contain them all : (n,) indices."""
    return pa.compute.index_in(ids.cast(among.type).combine_chunks(), among.combine_chunks())

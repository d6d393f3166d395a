"""Seeds: rows that samples are to be like, or unlike, embedded as the pool was."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from jobs.config.errors import InputError
from jobs.config.secrets import without_secrets
from jobs.points.alike import embedded_alike, read_alike
from jobs.points.surviving import size_of, surviving
from jobs.retrieval.nearest import nearest_points, vectors_of
from jobs.runs.stage import Stage
from jobs.runs.work import Work
from jobs.sections.samples import SampleConfig
from jobs.spark.frames import kept_no_more, kept_on_disk
from udfs.near import DirectionReader

log = logging.getLogger(__name__)

OfRows = Callable[[Work, DataFrame], DataFrame]


@dataclass(frozen=True)
class Seeds:
    """The seeds of a sample.

    Attributes
    ----------
    embedded_by : the stage that embedded the pool
    on_grid : turns away what has no place on the tree's grid
    """

    this: Work
    sample: SampleConfig
    embedded_by: Stage[Any]
    on_grid: OfRows

    def by_leaf(self, n_leaves: int, land: OfRows) -> dict[str, NDArray[np.int64]]:
        """Count the seeds that land in each leaf, except those used to find nearest points.

        Parameters
        ----------
        land : returns where rows land : leaf_id

        Returns
        -------
        n_seeds : (n_leaves,) of like and unlike, where the sample has them

        Raises
        ------
        InputError
            If a table cannot be read as described, or none of its rows be embedded.
        """
        found = {}
        for key in (key for key in self.sample.seeds if key not in self.sample.retrieved):
            with self._embedded(key) as (_, seeds):
                found[key] = _by_leaf(land(self.this, seeds), n_leaves)
        return found

    def picked(self, candidates: DataFrame) -> DataFrame:
        """Return the candidates that are among the points nearest to seeds, or are not.

        Parameters
        ----------
        candidates : id, and more

        Raises
        ------
        InputError
            As ``by_leaf`` does, or if there are too many seeds.
        """
        run = self.this.run
        read = DirectionReader(size_of(run).n_features, run.config.embed.normalize)
        for key, k in self.sample.retrieved.items():
            with self._embedded(key) as (name, seeds):
                vectors = vectors_of(name, seeds, read)
            ids = self.this.persisted(nearest_points(self.this, vectors, surviving(run), k, read))
            how = "leftsemi" if key == "like" else "left_anti"
            if self.sample.must_include is not None:
                other = "left_anti" if how == "leftsemi" else "leftsemi"
                lost = candidates.where("is_included").join(ids, on="id", how=other)
                if n := lost.count():
                    told = f"samples.{self.sample.name}: {n} rows of must_include"
                    log.warning("%s are left out by %s.nearest", told, key)
            candidates = candidates.join(ids, on="id", how=how)
        return candidates

    @contextmanager
    def _embedded(self, key: str) -> Iterator[tuple[str, DataFrame]]:
        """Read seeds and embed them as the pool was: their name, and id, embedding."""
        this, given, at = self.this, self.sample.seeds[key], f"samples.{self.sample.name}.{key}"
        id_, name = given.id or this.config.input.id, f"{at}={without_secrets(given.table)!r}"
        rows = read_alike(this, at, given, id_=id_, content=given.content)
        if rows.isEmpty():
            raise InputError(f"{name} has no row; want at least one: check its where")
        gated = self.on_grid(this, embedded_alike(this, self.embedded_by, rows, name))
        gated = kept_on_disk(gated)
        try:
            _require_some(name, gated)
            yield name, gated.where("reason IS NULL")
        finally:
            kept_no_more(gated)


def _require_some(at: str, gated: DataFrame) -> None:
    """Refuse seeds none of which can be embedded, and say how many others cannot."""
    counts = {row.reason: row["count"] for row in gated.groupBy("reason").count().collect()}
    n_fit = counts.pop(None, 0)
    said = ", ".join(f"{reason} {counts[reason]}" for reason in sorted(counts))
    if not n_fit:
        raise InputError(
            f"{at} has no row that can be embedded ({said}); want at least one: check its "
            "content, or leave it out"
        )
    if counts:
        n = sum(counts.values())
        log.warning("%s: %d of %d rows cannot be embedded: %s", at, n, n + n_fit, said)


def _by_leaf(landed: DataFrame, n_leaves: int) -> NDArray[np.int64]:
    """Count rows by leaf : (n_leaves,)."""
    found = landed.groupBy("leaf_id").count().toArrow()
    counts = np.zeros(n_leaves, np.int64)
    counts[found["leaf_id"].to_numpy()] = found["count"].to_numpy()
    return counts

"""What rounds of Divide and Contrast start from, and what one has learned, which can be stored."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from udfs.contrast import Division, Views, labels_of, views_of
from udfs.kernels.contrast.encoders import Codes, Encoder
from udfs.kernels.passes.step import Arrays

DRAW = "draw"  # column of rows: a hash, whose remainder is a random cluster


@dataclass(frozen=True)
class Points:
    """The points that have two views.

    Attributes
    ----------
    rows : id, a, b, draw; and label, if the tree divides them
    n_points, n_features : their number, and a view's length
    n_nodes : clusters, if the tree divides them
    sample : some of the rows, on the driver
    """

    rows: DataFrame
    n_points: int
    n_features: int
    n_nodes: int | None
    sample: pa.Table

    @property
    def views(self) -> Views:
        """The sample's views."""
        return views_of(self.sample)


@dataclass(frozen=True)
class Lesson:
    """What a round has learned.

    Attributes
    ----------
    division : how the base divides the points
    merged : (n_clusters,) what each of its clusters has become, among those that are left
    merges : (n_merges, 3) see ``Merge``
    centroids : (n_left, n_components) of the clusters that are left
    experts : encoders of the same clusters
    student : the student, without its heads
    """

    division: Division
    merged: NDArray[np.int64]
    merges: NDArray[np.int64]
    centroids: Codes
    experts: list[Encoder]
    student: Encoder

    def labels(self, rows: pa.Table) -> NDArray[np.int64]:
        """Return the clusters, among those that are left, of rows of a sample : (n,)."""
        found: NDArray[np.int64] = self.merged[labels_of(self.division)(rows, None)]
        return found

    def arrays(self) -> Arrays:
        """Return it as arrays by name."""
        experts = {f"expert_{k}": each for k, each in enumerate(self.experts)}
        encoders = {"base": self.division.encoder, "student": self.student} | experts
        named = {
            f"{name}.{key}": value
            for name, each in encoders.items()
            for key, value in each.arrays().items()
        }
        if self.division.centroids is not None:
            named["clusters"] = self.division.centroids
        return named | {name: getattr(self, name) for name in ("merged", "merges", "centroids")}

    @classmethod
    def of(cls, arrays: Arrays) -> "Lesson":
        """Return a lesson from its arrays."""

        def encoder(name: str) -> Encoder:
            start = f"{name}."
            mine = {k.removeprefix(start): v for k, v in arrays.items() if k.startswith(start)}
            return Encoder.of(mine)

        return cls(
            Division(encoder("base"), arrays.get("clusters")),
            arrays["merged"],
            arrays["merges"],
            arrays["centroids"],
            [encoder(f"expert_{k}") for k in range(len(arrays["centroids"]))],
            encoder("student"),
        )

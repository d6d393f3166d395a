"""Divide and Contrast on the executors: views into whole numbers, moments, what teachers teach.

Spark shape map: rows of a and b, BINARY of n_features int16 -> one row of moments per task and
cluster; -> a row each of TAUGHT_SCHEMA, ARRAY<FLOAT> of n_components.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from udfs.blocks import from_bytes, to_bytes
from udfs.joint import coordinates_of
from udfs.kernels.contrast.encoders import Codes, Encoder, as_floats
from udfs.kernels.contrast.moments import Moments, MomentSums, total
from udfs.kernels.exact.grid import GRID_BITS
from udfs.kernels.exact.nearest import Centroids, NearestCentroids, sq_distances
from udfs.kernels.passes.step import Arrays
from udfs.points import Batches, OnBatches, as_lists
from udfs.shipping import Shipped

MOMENTS_SCHEMA = "cluster int, payload binary"
TAUGHT_SCHEMA = (
    "id {id}, cluster_id bigint, distance double, base array<float>, expert array<float>"
)
LABEL = "label"  # column of rows whose cluster is known
_AT_ONCE = 4096  # points
Labels = NDArray[np.integer]


class Division(NamedTuple):
    """How points fall into clusters.

    Attributes
    ----------
    encoder : the base's encoder
    centroids : (n_clusters, n_components) grid coordinates; None if rows have a LABEL
    """

    encoder: Encoder
    centroids: Codes | None = None


class Views(NamedTuple):
    """Views of some points : (n, n_features) whole numbers each."""

    a: NDArray[np.floating]
    b: NDArray[np.floating]

    @property
    def points(self) -> NDArray[np.floating]:
        """The points, as encoders read them."""
        return np.asarray(self.a + self.b)


def views_of(rows: pa.Table) -> Views:
    """Read the views of rows of a and b."""
    a, b = (coordinates_of(rows[name]) for name in "ab")
    return Views(a, b)


def labels_of(division: Division) -> Callable[[pa.Table, Codes | None], Labels]:
    """Return the function that finds the clusters of rows; codes are computed unless given."""
    if division.centroids is None:
        return lambda rows, codes: rows[LABEL].to_numpy()
    nearest = NearestCentroids(Centroids(division.centroids))

    def find(rows: pa.Table, codes: Codes | None) -> Labels:
        if codes is None:
            codes = division.encoder(views_of(rows).points)
        return nearest.labels(codes)

    return find


def packed_division(division: Division) -> NDArray[np.uint8]:
    """Return a division as bytes, to be shipped."""
    arrays = division.encoder.arrays()
    if division.centroids is not None:
        arrays |= {"centroids": division.centroids}
    return _as_array(arrays)


def _division_of(shipped: Shipped) -> Division:
    arrays = _arrays_of(shipped)
    centroids = arrays.pop("centroids", None)
    return Division(Encoder.of(arrays), centroids)


def packed_experts(experts: Sequence[Encoder]) -> NDArray[np.uint8]:
    """Return linear encoders as bytes, to be shipped."""
    return _as_array(
        {f"{k}.{name}": value for k, each in enumerate(experts) for name, value in
         each.arrays().items()}
    )  # fmt: skip


def _experts_of(shipped: Shipped) -> list[Encoder]:
    found: dict[int, Arrays] = {}
    for name, value in _arrays_of(shipped).items():
        k, _, rest = name.partition(".")
        found.setdefault(int(k), {})[rest] = value
    return [Encoder.of(found[k]) for k in range(len(found))]


def _as_array(arrays: Arrays) -> NDArray[np.uint8]:
    return np.frombuffer(to_bytes(arrays), np.uint8)


def _arrays_of(shipped: Shipped) -> Arrays:
    return from_bytes(shipped.get().tobytes())


def make_moments(n_features: int, n_clusters: int, division: Shipped | None = None) -> OnBatches:
    """Return a function that adds up a task's moments by cluster: rows of MOMENTS_SCHEMA.

    Parameters
    ----------
    division : None if rows have a LABEL
    """

    def add_up(batches: Batches) -> Batches:
        sums = MomentSums(n_clusters, n_features)
        find = labels_of(_division_of(division)) if division is not None else None
        for rows in _tables(batches):
            labels = find(rows, None) if find else rows[LABEL].to_numpy()
            a, b = views_of(rows)
            sums.add(a, b, labels)
        yield from _as_rows(dict(enumerate(sums.result())))

    return add_up


def make_total() -> OnBatches:
    """Return a function that adds up the moments sent to this task, cluster by cluster."""

    def add_up(batches: Batches) -> Batches:
        found: dict[int, Moments] = {}
        for batch in batches:
            for k, payload in zip(*(batch.column(name) for name in ("cluster", "payload")),
                                  strict=True):  # fmt: skip
                part = Moments.of(from_bytes(payload.as_py()))
                cluster = k.as_py()
                found[cluster] = total([found[cluster], part]) if cluster in found else part
        yield from _as_rows(found)

    return add_up


def _as_rows(found: dict[int, Moments]) -> Batches:
    for k, moments in found.items():
        row = {"cluster": pa.array([k], pa.int32()), "payload": [to_bytes(moments.arrays())]}
        yield pa.RecordBatch.from_pydict(row)


@dataclass(frozen=True)
class Teaching:
    """What all teachers teach, and where.

    Attributes
    ----------
    division : the base's division; see ``packed_division``
    experts : one a cluster that is left; see ``packed_experts``
    merged : (n_clusters,) the cluster, among those left, that each has become
    left : (n_left, n_components) their centroids
    """

    division: Shipped
    experts: Shipped
    merged: NDArray[np.int64]
    left: Codes


def make_teach(of: Teaching) -> OnBatches:
    """Return a function that turns rows of id, a, b (and LABEL) into rows of TAUGHT_SCHEMA."""

    def teach(batches: Batches) -> Batches:
        division, experts = _division_of(of.division), _experts_of(of.experts)
        find = labels_of(division)
        for rows in _tables(batches):
            U = views_of(rows).points
            base = division.encoder(U)
            labels = of.merged[find(rows, base)]
            yield pa.RecordBatch.from_arrays(
                [
                    rows["id"].combine_chunks(),
                    pa.array(labels),
                    pa.array(distances_to(base, of.left[labels])),
                    _as_lists(base),
                    _as_lists(by_experts(U, experts, labels)),
                ],
                names=["id", "cluster_id", "distance", "base", "expert"],
            )

    return teach


def by_experts(U: NDArray[np.number], experts: Sequence[Encoder], labels: Labels) -> Codes:
    """Encode each point by its cluster's expert : (n, n_components)."""
    n_components = experts[0].layers[-1].weights.shape[1]
    found = np.zeros((len(U), n_components), np.float32)
    for k, expert in enumerate(experts):
        found[labels == k] = expert(U[labels == k])
    return found


def distances_to(codes: Codes, centroids: Codes) -> NDArray[np.float64]:
    """Return the distance of each code to a centroid of its own : (n,), (n, n_components) both."""
    sq_distance = sq_distances(codes, centroids)
    return np.asarray(np.sqrt(sq_distance) * 2.0**-GRID_BITS)


def _as_lists(codes: Codes) -> pa.Array:
    return as_lists(as_floats(codes).astype(np.float32))


def _tables(batches: Batches) -> "Batches":
    """Yield the rows of batches, some at once, as tables."""
    for batch in batches:
        for start in range(0, batch.num_rows, _AT_ONCE):
            yield pa.Table.from_batches([batch.slice(start, _AT_ONCE)])

"""Points that are in evaluation sets: of the same content as one of their rows, or similar to it.

Spark shape map: rows of id, content_hash and embedding, ARRAY<FLOAT> of n_features -> rows of
MATCHED_SCHEMA, for those that are.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from udfs.kernels.exact.nearest import Centroids, NearestCentroids
from udfs.kernels.near.pairs import cosines
from udfs.near import DirectionReader
from udfs.points import Batches, OnBatches

MATCHED_SCHEMA = "id {id}, known int, cosine_similarity double"
HASH_BYTES = 16  # bytes of a content's hash
SAME = 2.0  # stands in for a similarity if the content is the same


def make_match(
    read: DirectionReader,
    load_hashes: Callable[[], NDArray[np.uint8]],
    load_known: Callable[[], NDArray[np.float32]],
    threshold: float,
) -> OnBatches:
    """Return a function that finds points whose content is known, or whose nearest known row is.

    Parameters
    ----------
    load_hashes : runs on the worker, (n_known, HASH_BYTES) of contents
    load_known : likewise, (n_known, n_features) on the grid
    threshold : the least cosine similarity to the nearest known row
    """

    def match(batches: Batches) -> Batches:
        first: dict[bytes, int] = {}
        for i, content in enumerate(load_hashes()):
            first.setdefault(content.tobytes(), i)
        known = load_known()
        nearest = NearestCentroids(Centroids(known))
        for batch in batches:
            if batch.num_rows == 0:
                continue
            X = read(batch)
            found = nearest.labels(X)
            cosine = cosines(X, known, np.arange(len(X)), found)
            for i, content in enumerate(batch.column("content_hash").to_pylist()):
                if content in first:
                    found[i], cosine[i] = first[content], SAME
            (at,) = np.nonzero(cosine >= threshold)
            columns = [batch.column("id").take(pa.array(at)), found[at], cosine[at]]
            names = ["id", "known", "cosine_similarity"]
            yield pa.RecordBatch.from_pydict(dict(zip(names, columns, strict=True)))

    return match

"""Views of embeddings on the executors: with noise, or by the user's own code, drawn by hashes.

Spark shape map: ARRAY<FLOAT> of n_features -> BINARY of n_features int16 for each of two views.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias
from uuid import uuid4

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from udfs.embed import load_once
from udfs.embedders.contract import EmbedderError, described
from udfs.embedders.python import Code, archive_name
from udfs.joint import make_pack
from udfs.kernels.exact.hashing import uniform
from udfs.points import Batches, OnBatches

Floats = NDArray[np.floating]
# (n, n_features) embeddings, (n,) seeds -> (n, n_features) a view of each
View: TypeAlias = Callable[[Floats, NDArray[np.int64]], Floats]
Augment: TypeAlias = Callable[[], View]


@dataclass(frozen=True)
class Noise:
    """Adds Gaussian noise to embeddings of length 1; its mean length is about this."""

    length: float

    def __call__(self) -> View:
        """Return the view."""
        return self._view

    def _view(self, X: Floats, seeds: NDArray[np.int64]) -> Floats:
        norms = np.linalg.norm(X, axis=1, keepdims=True)
        units = X / np.where(norms > 0, norms, 1.0)
        return np.asarray(units + self.length / np.sqrt(X.shape[1]) * _normal(seeds, X.shape[1]))


def _normal(seeds: NDArray[np.int64], n_features: int) -> Floats:
    """Return standard normal numbers by rows' seeds : (n, n_features), by Box and Muller."""
    n_pairs = -(-n_features // 2)
    drawn = [np.column_stack([uniform(turn * n_pairs + j, seeds) for j in range(n_pairs)])
             for turn in range(2)]  # fmt: skip
    radius, angle = np.sqrt(-2 * np.log(drawn[0])), 2 * np.pi * drawn[1]
    return np.hstack([radius * np.cos(angle), radius * np.sin(angle)])[:, :n_features]


@dataclass(frozen=True)
class UserCode:
    """Calls what the user's factory makes on (n, n_features) float32 and (n,) int64 seeds.

    The factory is called once per worker. A view must depend on its row and seed alone.
    """

    code: Code

    def __call__(self) -> View:
        """Return the view."""
        # workers know the archive by its name alone
        call: Any = replace(self.code, archive=archive_name(self.code.archive)).call()

        def view(X: Floats, seeds: NDArray[np.int64]) -> Floats:
            try:
                got = np.asarray(call(X, seeds), np.float64)
            except MemoryError:
                raise  # the machine's fault
            except Exception as error:
                raise EmbedderError(
                    f"{self.code.factory} failed on {len(X)} rows with {described(error)}; fix it"
                ) from error
            if got.ndim != 2 or len(got) != len(X):
                raise EmbedderError(
                    f"{self.code.factory} gave views of shape {got.shape} for {len(X)} rows; want "
                    f"({len(X)}, n_features)"
                )
            return got

        return view


def make_views(augment: Augment) -> OnBatches:
    """Return a function that turns rows of id, embedding, seed_a and seed_b into PACKED_SCHEMA."""
    key = uuid4().hex

    def views(batches: Batches) -> Batches:
        view = load_once(key, augment)
        for batch in batches:
            if batch.num_rows == 0:
                continue
            values = batch.column("embedding").flatten().to_numpy(zero_copy_only=False)
            X = values.reshape(batch.num_rows, -1)
            made = [view(X, batch.column(f"seed_{name}").to_numpy()) for name in "ab"]
            lists = [pa.array(list(each.astype(np.float32))) for each in made]
            viewed = pa.RecordBatch.from_arrays(
                [batch.column("id"), *lists], names=["id", "a", "b"]
            )
            yield from make_pack(made[0].shape[1], ("a", "b"))(iter([viewed]))

    return views

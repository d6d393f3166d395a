"""Points on their way to the cells they are solved in."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from udfs.blocks import from_bytes
from udfs.kernels.cells.coarse import fit_cells
from udfs.kernels.cells.split import SplitProblem
from udfs.kernels.exact.nearest import Centroids
from udfs.kernels.kmeans.iterations import KMeansParams
from udfs.points import PointReader, fetched
from udfs.shipping import Shipped
from udfs.shuffles import ByCell, make_scatter, make_solve

N_BLOCKS, MAX_ROWS = 5, 200
READ = PointReader(1.0, 2)


def pool(seed: int, n_around: int) -> pa.Table:
    """Return 900 copies of one point, some points near it and some far."""
    rng = np.random.default_rng(seed)
    parts = [np.full((900, 2), 7), 7 + rng.integers(-9, 10, (n_around, 2))]
    X = np.concatenate([*parts, 1000 + rng.integers(0, 500, (300, 2))])
    X = rng.permutation(X).astype(np.float32)
    hashes = rng.integers(0, 2**60, len(X))
    return pa.table({"hash": hashes, "embedding": pa.array(list(X), pa.list_(pa.float32()))})


@pytest.mark.parametrize("n_around", [0, 40, 400])
@pytest.mark.parametrize("batch_rows", [1, 100, 10_000])
def test_copies_that_are_only_counted_change_no_result(
    n_around: int, batch_rows: int, seed: int
) -> None:
    rows = pool(seed, n_around)
    local = fetched(rows, READ, N_BLOCKS, 1)
    coarse = fit_cells(local, 50, 6, max_rows=MAX_ROWS, seed=seed)
    C, n_points = coarse.centroids, coarse.n_points
    copied = {int(c): C[[c]] for c in np.flatnonzero(n_points > MAX_ROWS)}
    shares = coarse.share(50)
    problem = SplitProblem(Centroids(C), n_points, shares, copied, KMeansParams(), seed)
    # through the shuffle, into two bins
    cells = Shipped(C.tobytes(), C.shape, "float32", f"{seed} {n_around}")
    bins = np.arange(len(C), dtype=np.int32) % 2
    scatter = make_scatter(READ, ByCell(cells, frozenset(copied)), bins)
    scattered = pa.Table.from_batches([*scatter(iter(rows.to_batches(batch_rows)))])
    sent = sum(len(v.as_py()) for v in scattered["vectors"]) // 8
    assert sent == len(local.X) - (local.X == 7).all(axis=1).sum()
    solve = make_solve(replace(problem, centroids=None), 2, N_BLOCKS)  # type: ignore[arg-type]  # as shipped
    found = {}
    for number in (0, 1):
        mine = scattered.filter(pa.compute.equal(scattered["bin"], number))
        for solved in solve(iter(mine.to_batches())):
            found[solved["cell"][0].as_py()] = from_bytes(solved["payload"][0].as_py())
    for cell, expected in enumerate(local.solve(problem)):
        assert found[cell].keys() == expected.keys()
        assert all(found[cell][name].tobytes() == a.tobytes() for name, a in expected.items())
    counts = np.concatenate([found[cell]["counts"] for cell in range(len(C))])
    assert counts.sum() == len(local.X) and counts.max() >= 900

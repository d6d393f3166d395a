"""Communities: planted groups are found, in any order of threads; pools that have none."""

import hashlib

import numpy as np
import pytest
from numpy.typing import NDArray

from jobs.judging.communities import find_communities
from jobs.judging.views import views_of
from udfs.kernels.exact.grid import grid_unit, to_grid


def _groups(sizes: list[int], *, n_features: int = 16, seed: int = 0) -> NDArray[np.float32]:
    """Draw groups around far centres : (sum of sizes, n_features) grid coordinates."""
    rng = np.random.default_rng(seed)
    centres = 10 * rng.standard_normal((len(sizes), n_features))
    X = np.repeat(centres, sizes, axis=0) + rng.standard_normal((sum(sizes), n_features))
    return to_grid(X.astype(np.float32), grid_unit(float(np.linalg.norm(X, axis=1).max())))


def test_groups_that_lie_apart_are_communities_whatever_their_size() -> None:
    sizes = [400, 30, 60, 25]
    found = find_communities(_groups(sizes), seed=3, n_threads=2)
    groups = np.repeat(np.arange(4), sizes)
    for c in np.unique(found):
        assert len(np.unique(groups[found == c])) == 1
    small = [np.unique(found[groups == g]) for g in (1, 2, 3)]
    assert [len(each) for each in small] == [1, 1, 1]  # none is divided, none is joined


def test_communities_are_the_same_on_any_number_of_threads_and_with_any_copies() -> None:
    points = _groups([300, 100, 50])
    one, two = (find_communities(points, seed=3, n_threads=n) for n in (1, 2))
    assert (one == two).all()
    twice = find_communities(np.repeat(points, 2, axis=0), seed=3, n_threads=2)
    assert (twice[::2] == one).all()
    assert (twice[1::2] == one).all()


def test_another_version_of_the_library_would_be_noticed() -> None:
    rng = np.random.default_rng(0)
    X = (3 * rng.standard_normal((30, 1, 8)) + rng.standard_normal((30, 40, 8))).reshape(-1, 8)
    points = to_grid(X.astype(np.float32), grid_unit(float(np.linalg.norm(X, axis=1).max())))
    found = find_communities(points, seed=5, n_threads=2)
    assert hashlib.sha256(found.astype("<i8").tobytes()).hexdigest()[:16] == "70ddf9f7417fa675"


@pytest.mark.parametrize("n", [1, 2, 5, 40])
def test_a_pool_of_few_points_or_of_copies_is_one_community_and_nodes_alone_judge(n: int) -> None:
    copies = np.zeros((n, 3), np.float32)
    assert (find_communities(copies, seed=1, n_threads=1) == 0).all()
    assert views_of(copies, [1, 2], n_threads=1).communities is None

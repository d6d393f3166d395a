"""A computation stopped at any save and resumed from it ends as if it had never stopped."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from jobs.clustering.level import levels_of, state_of
from jobs.clustering.tree import grow_tree
from jobs.sections.cluster import ClusterConfig
from udfs.kernels.passes.journal import Journal, State
from udfs.kernels.passes.sources import blocks_of

CONFIGS: dict[str, dict[str, Any]] = {
    "lloyd": {"levels": [30, 6], "algorithm": "lloyd", "resampling": {"rounds": 2}},
    "minibatch": {
        "levels": [25, 5],
        "algorithm": "minibatch",
        "minibatch": {"batch_fraction": 0.05, "max_no_improvement": 1},
        "resampling": {"rounds": 1},
    },
    "split": {"levels": [40, 8, 3], "split": 4, "resampling": {"rounds": 1}},
}


class Stopped(Exception):
    """The process is gone."""


class Kept(Journal):
    """Keeps its pages as bytes, and stops the computation at one of its saves."""

    def __init__(self, stop_at: int, states: dict[int, bytes] | None = None) -> None:
        self.states = states or {}
        self.stop_at, self.n_saved, self.depth = stop_at, 0, 0
        self.whole = self

    def load(self) -> State | None:
        content = self.whole.states.get(self.depth)
        if content is None:
            return None
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return dict(arrays)

    def save(self, **state: object) -> None:
        whole, buffer = self.whole, io.BytesIO()
        np.savez(buffer, allow_pickle=False, **{n: np.asarray(v) for n, v in state.items()})
        kept = {d: s for d, s in whole.states.items() if d < self.depth}
        whole.states = kept | {self.depth: buffer.getvalue()}
        whole.n_saved += 1
        if whole.n_saved == whole.stop_at:
            raise Stopped

    def parts(self) -> Journal:
        page = Kept(0)
        page.whole, page.depth = self.whole, self.depth + 1
        return page


def points() -> NDArray[np.float32]:
    rng = np.random.default_rng(4)
    centres = rng.integers(-4000, 4000, (60, 5))
    X = centres[rng.integers(0, 60, 900)] + rng.integers(-900, 900, (900, 5))
    return X.astype(np.float32)


def grow(config: ClusterConfig, journal: Journal, seen: list[Any]) -> State:
    """Grow a tree over several blocks; return its exact state."""
    source = replace(blocks_of(points(), 1), n_blocks=20)
    levels = grow_tree(
        source,
        config,
        seed=2,
        n_threads=1,
        on_iteration=lambda t, m, solver, it: seen.append((t, m, it.algorithm, it.objective)),
        journal=journal,
    )
    return state_of(levels)


@pytest.mark.parametrize("kind", CONFIGS)
def test_going_on_from_any_save_ends_in_the_same_tree_after_the_same_iterations(kind: str) -> None:
    config = ClusterConfig.model_validate(CONFIGS[kind])
    expected_seen: list[Any] = []
    counting = Kept(stop_at=0)
    expected = grow(config, counting, expected_seen)
    assert counting.n_saved > 8
    for stop_at in range(1, counting.n_saved):
        stopping, seen = Kept(stop_at), []
        with pytest.raises(Stopped):
            grow(config, stopping, seen)
        going_on = Kept(0, stopping.states)
        found = grow(config, going_on, seen)
        assert found.keys() == expected.keys()
        for name, array in expected.items():
            assert np.array_equal(found[name], array), (stop_at, name)
        assert seen == expected_seen, stop_at  # none repeated, none lost
        assert going_on.n_saved == counting.n_saved - stop_at


def test_levels_come_back_from_their_state() -> None:
    config = ClusterConfig.model_validate(CONFIGS["split"])
    state = grow(config, Journal(), [])
    assert "1.cells" in state
    again = state_of(levels_of(state))
    assert set(again) == set(state)
    assert all(np.array_equal(again[name], array) for name, array in state.items())

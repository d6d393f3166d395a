"""What a tree refuses: each message names the level, and a fix that helps."""

import re

import numpy as np
import pytest
from numpy.typing import NDArray

from jobs.clustering import tree
from jobs.clustering.tree import grow_tree
from jobs.config.errors import ConfigError
from jobs.sections.cluster import ClusterConfig
from udfs.kernels.cells.coarse import CellTooLarge
from udfs.kernels.passes.sources import blocks_of


def refusal(X: NDArray[np.float32], **config: object) -> str:
    with pytest.raises(ConfigError) as caught:
        grow_tree(
            blocks_of(X),
            ClusterConfig.model_validate(config),
            seed=0,
            n_threads=1,
            on_iteration=lambda *told: None,
        )
    return str(caught.value)


@pytest.mark.parametrize("split", ["off", 2])
def test_too_few_distinct_points_ask_for_fewer_clusters(split: str | int) -> None:
    X = np.repeat(np.arange(6, dtype=np.float32), 5)[:, None]
    assert refusal(X, levels=[12], split=split) == (
        "cluster.levels[0]=12: n_clusters=12 should be <= 6, the number of distinct points; "
        "lower it or drop the level"
    )


def test_a_cell_too_large_for_its_clusters_asks_for_more_and_these_help() -> None:
    X = np.arange(900, dtype=np.float32)[:, None]  # 200 points per cell need more than 3 clusters
    said = refusal(X, levels=[3], split=2, max_cell_rows=200)
    found = re.fullmatch(
        r"cluster.levels\[0\]=3: a cell of (\d+) points cannot be divided, want at most 200; its "
        r"parts have too few points for a cluster: raise it to (\d+) or more; or raise "
        r"cluster.max_cell_rows=200 to \1 or more",
        said,
    )
    assert found is not None
    n_points, n_leaves = map(int, found.groups())
    for fixed in ({"levels": [n_leaves]}, {"levels": [3], "max_cell_rows": n_points}):
        config = ClusterConfig.model_validate({"split": 2, "max_cell_rows": 200} | fixed)
        source, told = blocks_of(X), lambda *told: None
        (level,) = grow_tree(source, config, seed=0, n_threads=1, on_iteration=told)
        assert level.n_points.sum() == 900


@pytest.mark.parametrize(
    ("copied", "n_features", "fix"),
    [
        (0.8, 1, "80% of them are copies of others: turn copies away by dedup.exact, or by .*"),
        (0.1, 1, "they lie close together: turn near copies away by dedup.threshold"),
        (0.1, 2**18, "they lie close together: turn near copies away by dedup.threshold"),
    ],
)
def test_a_cell_too_large_whatever_its_clusters_asks_for_fewer_copies(
    copied: float, n_features: int, fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, max_rows: int, **__: object) -> None:
        raise CellTooLarge(500, max_rows, copied)

    monkeypatch.setattr(tree, "fit_split", fail)
    X = np.zeros((60, n_features), np.float32)
    said = refusal(X, levels=[40], split=2, max_cell_rows=20)
    room = "" if n_features > 1 else "; or raise cluster.max_cell_rows=20 to 500 or more"
    want = r"cluster.levels\[0\]=40: a cell of 500 points cannot be divided, want at most 20; "
    assert re.fullmatch(f"{want}{fix}{room}", said)

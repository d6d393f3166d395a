"""What a tree refuses: each message names the level, and a fix that helps."""

import re

import numpy as np
import pytest
from numpy.typing import NDArray

from jobs.clustering.tree import grow_tree
from jobs.config.errors import ConfigError
from jobs.sections.cluster import ClusterConfig
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


def test_a_cell_too_large_asks_for_none() -> None:
    X = np.arange(900, dtype=np.float32)[:, None]  # 200 points per cell need more than 3 clusters
    said = refusal(X, levels=[3], split=2, max_cell_rows=200)
    assert re.fullmatch(
        r"cluster.levels\[0\]=3: a cell of \d+ points cannot be divided, want at most 200; "
        "raise it, or filter out near copies by input.where",
        said,
    )

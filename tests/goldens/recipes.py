"""The configs and pools behind the goldens.

Vectors are given, not computed: what an embedder learns may differ in its last bits between CPUs.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FINGERPRINT = "fedcba9876543210"  # of an input, if only keys are needed

_BASE: dict[str, Any] = {
    "input": {"table": "/lake/pool", "embedding": "vector", "metadata": ["label"]},
    "output": {"root": "/lake/evenlake"},
    "samples": [{"name": "s", "target_size": 20}],
}
# name -> overrides of the base, as on the command line
CONFIGS: dict[str, list[str]] = {
    "automatic": [],
    "given": ["cluster.levels=[8,3]", "samples.0.share.leaves=0"],
    "levels given, share open": ["cluster.levels=[8,3]"],
    "texts": ["embed.model=lsa", "embed.n_components=16", "input.content=text", "seed=7"],
    "images": ["embed.model=pixels", "embed.image_mode=L", "input.content=image"],
    "credentials": ["input.table=s3://me:hunter2@bucket/pool", "input.options.password=hunter2"],
    "filtered": ["input.where=label = 'a'", "input.id=concat_ws('/', shard, key)"],
    "solver": ["cluster.levels=[8,3]", "cluster.solver=spark", "cluster.checkpoint_interval=60"],
    "resampled": [
        "cluster.levels=[40,8,2]",
        "cluster.resampling.rounds=[0,3,3]",
        "cluster.resampling.points=[2,2,3]",
        "cluster.split=4",
        "cluster.algorithm=lloyd",
        "cluster.tol=0.001",
    ],
    "two samples": [
        "samples=[{name: large, target_size: 40, strategy: closest, replicas: 2},"
        " {name: small, target_size: 10, on_worse_than_uniform: fail, share: {points: 0.5}}]",
        "report.label=label",
        "embed.normalize=false",
        "hygiene.max_reject_fraction=0.3",
    ],
}


def base() -> dict[str, Any]:
    """Return the config that is overridden, as plain data."""
    return {section: _copy(value) for section, value in _BASE.items()}


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def write_pool(path: Path, n_points: int, n_features: int) -> None:
    """Write (id, vector, label) rows as one Parquet file, including bad ones."""
    rng = np.random.default_rng(n_points)
    centres = rng.standard_normal((12, n_features)) * 3
    concepts = np.minimum(rng.geometric(0.25, n_points) - 1, 11)
    X = (centres[concepts] + rng.standard_normal((n_points, n_features))).round(4)
    vectors: list[list[float] | None] = X.tolist()
    vectors[3], vectors[5], vectors[7] = None, [float("nan")] * n_features, [0.0] * n_features
    vectors[9] = X[8].tolist()  # a copy of another point
    ids = [f"p{i:04d}" for i in range(n_points)]
    ids[11] = ids[10]
    labels = [f"concept {c}" if c else None for c in concepts]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": ids, "vector": vectors, "label": labels}), path)


# name -> points, features, overrides
RUNS: dict[str, tuple[int, int, list[str]]] = {
    "automatic": (400, 8, ["samples=[{name: s, target_size: 60}, {name: t, target_size: 20}]"]),
    "given": (
        300,
        6,
        [
            "cluster.levels=[24,6]",
            "cluster.solver=spark",
            "cluster.resampling.rounds=2",
            "samples=[{name: r, target_size: 350, replicas: 2, share: {leaves: 1}},"
            " {name: c, target_size: 50, strategy: closest, share: {leaves: 0.5}}]",
            "report.label=label",
            "embed.normalize=false",
            "input.metadata=[label]",
        ],
    ),
    "split": (
        500,
        5,
        ["cluster.levels=[60,10,3]", "cluster.split=4", "cluster.resampling.rounds=1"],
    ),
}

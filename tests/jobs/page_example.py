"""A believable report of an example run, computed from a made-up pool, without Spark.

119,556 rows, a tree of 3000 / 300 / 50 nodes with leaves of very unequal size, samples that fill
the leaves evenly, up to the points they hold.
"""

from typing import Any

import numpy as np
import pandas as pd

from jobs.reporting.page import PageContext

COLUMNS = ["sample", "section", "level", "key", "x", "metric", "value", "control"]
SECTIONS = [f"section {i:02d}" for i in range(58)]
REASONS = ("near_duplicate", "empty_text", "outlier", "null_id")


def fill_evenly(sizes: np.ndarray, target: int) -> np.ndarray:
    """Draw one point from every node that has one left, largest first, until target is met."""
    drawn = np.zeros_like(sizes)
    while drawn.sum() < min(target, sizes.sum()):
        open_nodes = np.flatnonzero(drawn < sizes)[: target - int(drawn.sum())]
        drawn[open_nodes] += 1
    return drawn


def balance(sizes: np.ndarray) -> dict[str, float]:
    p = sizes[sizes > 0] / sizes.sum()
    entropy = float(-(p * np.log(p)).sum())
    return {
        "entropy": entropy,
        "effective_nodes": float(np.exp(entropy)),
        "kl_uniform": float(np.log(len(sizes)) - entropy),
        "largest_share": float(p.max()),
        "nodes_reached": float((sizes > 0).sum()),
    }


def curves(sizes: np.ndarray) -> dict[str, np.ndarray]:
    at = np.linspace(0, 1, 101)
    ordered = np.sort(sizes)[::-1]
    position = np.minimum((at * len(sizes)).astype(int), len(sizes) - 1)
    cumulative = np.concatenate([[0], np.cumsum(ordered[::-1])]) / sizes.sum()
    return {
        "share_of_mean": ordered[position] / sizes.mean(),
        "cumulative_share": np.interp(at, np.linspace(0, 1, len(sizes) + 1), cumulative),
    }


def row(section: str, metric: str, value: float, control: float | None = None, **more: Any) -> dict:
    return {"section": section, "metric": metric, "value": value, "control": control, **more}


def with_rows(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=COLUMNS)


def level_rows(level: int, sizes: np.ndarray, control: np.ndarray | None, **more: Any) -> list:
    """Return the rows of one level, of the pool (no control) or of a sample."""
    uniform = balance(control) if control is not None else {}
    rows = [
        row("balance", metric, value, uniform.get(metric), level=level, **more)
        for metric, value in balance(sizes).items()
    ]
    drawn = curves(sizes)
    beside = curves(control) if control is not None else {}
    for metric, section in (("share_of_mean", "node_sizes"), ("cumulative_share", "lorenz")):
        for i, value in enumerate(drawn[metric]):
            other = float(beside[metric][i]) if beside else None
            rows.append(row(section, metric, float(value), other, level=level, x=i / 100, **more))
    return rows


def label_rows(labels: list[str], targets: dict[str, int], rng: np.random.Generator) -> list:
    counts = np.sort(
        rng.zipf(1.7, len(labels)).clip(max=60) * 190 + rng.integers(90, size=len(labels))
    )
    rows = [row("labels", "knn_accuracy", 0.412)]
    rows += [
        row("labels", "count", float(n), key=k) for k, n in zip(labels, counts[::-1], strict=True)
    ]

    def measures(n: np.ndarray) -> dict[str, float]:
        of = balance(n)
        return {
            "kl_uniform": of["kl_uniform"],
            "effective_labels": of["effective_nodes"],
            "n_labels": of["nodes_reached"],
        }

    rows += [row("labels", metric, value) for metric, value in measures(counts).items()]
    for name, target in targets.items():
        control = rng.multinomial(target, counts[::-1] / counts.sum())
        drawn = rng.multinomial(target, (w := counts[::-1] ** 0.75) / w.sum())
        rows += [
            row("labels", "count", float(a), float(b), key=k, sample=name)
            for k, a, b in zip(labels, drawn, control, strict=True)
        ]
        beside = measures(control)
        rows += [
            row("labels", metric, value, beside[metric], sample=name)
            for metric, value in measures(drawn).items()
        ]
    return rows


def pool_rows(levels: list[np.ndarray], reasons: tuple[str, ...]) -> list[dict[str, Any]]:
    n_points, n_rejected = int(levels[0].sum()), 1913
    rows = [
        row("size", "n_pool", n_points + n_rejected),
        row("size", "n_rejected", n_rejected),
        row("size", "n_points", n_points),
        row("coverage", "effective_nodes", 486.2),
        row("coverage", "n_nodes", 1000),
        row("coverage", "n_clusterings", 3),
        *trial_rows("3000/1500 · 0", 0.881, 0.0, is_chosen=True),
        *trial_rows("3000/1500/750 · 0.5", 0.893, 0.0041, is_chosen=False),
    ]
    for reason, share in zip(reasons, (0.71, 0.2, 0.08, 0.01), strict=True):
        rows.append(row("rejects", "n_rows", round(n_rejected * share), key=reason))
    for level, sizes in enumerate(levels, start=1):
        rows += [
            row("tree", "n_nodes", len(sizes), level=level),
            row("tree", "largest_node_share", float(sizes.max() / n_points), level=level),
            row("tree", "n_empty", float((sizes == 0).sum()), level=level),
            row("tree", "single_child_share", 0.0 if level == 1 else 0.043, level=level),
            *level_rows(level, sizes, None),
        ]
    return rows


def trial_rows(name: str, score: float, error: float, *, is_chosen: bool) -> list[dict[str, Any]]:
    return [
        row("tune", "relative_coverage", score, key=name),
        row("tune", "standard_error", error, key=name),
        row("tune", "is_chosen", float(is_chosen), key=name),
    ]


def sample_rows(
    name: str, target: int, drawn: list[np.ndarray], control: list[np.ndarray]
) -> list[dict[str, Any]]:
    rows = [
        row("size", "n_sampled", drawn[0].sum(), sample=name),
        row("size", "target_size", target, sample=name),
        # A sample under 1000 points stands for one that went wrong.
        row(
            "coverage", "coverage_distance", 0.402 if target >= 1000 else 0.502, 0.457, sample=name
        ),
        row("coverage", "effective_nodes", 663.9, 479.1, sample=name),
        row("coverage", "nodes_reached_share", 0.9712, 0.8236, sample=name),
        row("coverage", "coverage_gap", -0.12 if target >= 1000 else 0.1, sample=name),
        row("coverage", "coverage_gap_error", 0.004, sample=name),
    ]
    for level, (after, beside) in enumerate(zip(drawn, control, strict=True), start=1):
        rows += level_rows(level, after, beside, sample=name)
    return rows


def sample_facts(name: str, target: int, n_rows: int) -> dict[str, Any]:
    return {
        "name": name,
        "table": f"sample_{name}",
        "n_rows": n_rows,
        "target_size": target,
        "drawn": "random",
        "expected": "Each node is to give as many rows as the others of its parent.",
        "prefixes": "each prefix is the sample of its size",
        "beside_tree": None,
        "reason": None if n_rows == target else "the pool holds no more points",
    }


def example_tree(
    n_nodes: tuple[int, ...], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the leaves' sizes and places in [0, 1): those near each other share nodes."""
    sizes = np.maximum(1, rng.pareto(1.1, n_nodes[0]) * 8).clip(max=4000).astype(int)
    return sizes, np.minimum(rng.beta(0.9, 1.3, n_nodes[0]), 0.999)


def example(
    targets: dict[str, int],
    labels: list[str],
    reasons: tuple[str, ...] = REASONS,
    n_nodes: tuple[int, ...] = (3000, 300, 50),
) -> PageContext:
    rng = np.random.default_rng(42)
    sizes, place = example_tree(n_nodes, rng)

    def by_level(at_leaves: np.ndarray) -> list[np.ndarray]:
        above = [np.bincount((place * k).astype(int), at_leaves, k) for k in n_nodes[1:]]
        return [at_leaves, *above]

    rows, samples = pool_rows(by_level(sizes), reasons), []
    for name, target in targets.items():
        drawn, control = fill_evenly(sizes, target), rng.multinomial(target, sizes / sizes.sum())
        rows += sample_rows(name, target, by_level(drawn), by_level(control))
        samples.append(sample_facts(name, target, int(drawn.sum())))
    if labels:
        rows += label_rows(labels, targets, rng)
    return PageContext(
        run_id="9f2c41d07ab3e865",
        title="package_descriptions",
        created="2025-03-04 02:17 UTC",
        rows=with_rows(*rows),
        samples=samples,
        config_yaml="seed: 0\ninput:\n  table: lake/package_descriptions\n  id: name\n",
        inputs={"pool": "7d1e9c52-0f0a-4b6e@41", "embed.model": "lsa"},
        tables={"nodes": "lake/evenlake/nodes", "assignments": "lake/evenlake/assignments"},
        notes=["level 3: 4.3% of the nodes have a single child"],
        code_version="0.1.0",
    )

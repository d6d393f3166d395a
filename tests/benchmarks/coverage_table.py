"""The table of coverage: a row per pool and method, means over the seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jobs.sections.share import Powers

Row = dict[str, Any]
_HEAD = (
    "| pool | method | levels (seed 0) | rounds | share | coverage | effective nodes | KL |",
    "|---|---|---|---|---|---|---|---|",
)


def as_markdown(pools: Mapping[str, Sequence[Row]]) -> str:
    """Return the table: figures at the three target sizes, smallest first, means over seeds."""
    lines = [*_HEAD]
    for pool, rows in pools.items():
        n_seeds = len({row["seed"] for row in rows})
        for method, chosen in _methods(rows, n_seeds):
            first = chosen[0]
            figures = [_figures(chosen, name) for name in ("coverage", "effective", "kl")]
            levels = "/".join(map(str, first["levels"])) or "-"
            how = f"{levels} | {first['rounds']} | {Powers(*first['share'])}"
            lines.append(f"| {pool} | {method} | {how} | {' | '.join(figures)} |")
    return "\n".join(lines) + "\n"


def _methods(rows: Sequence[Row], n_seeds: int) -> list[tuple[str, list[Row]]]:
    """Return every method's rows, one per seed; for the grid, the best by coverage and by KL."""
    named: dict[str, list[Row]] = {}
    tried: dict[str, list[Row]] = {}
    for row in rows:
        recipe = str((row["levels"], row["rounds"], row["share"]))
        known = (tried, recipe) if row["method"] == "grid" else (named, row["method"])
        known[0].setdefault(known[1], []).append(row)
    whole = [found for found in tried.values() if len(found) == n_seeds]
    found = list(named.items())
    n_tried = sum(row["method"] == "grid" and row["seed"] == 0 for row in rows)
    for name, figure in (("coverage", "coverage"), ("KL", "kl")):
        if whole and not np.isnan(whole[0][0][figure]).any():
            best = min(whole, key=lambda each: _mean(each, figure))
            found.append((f"best of {n_tried} by {name}", best))
    return found


def _mean(rows: Sequence[Row], figure: str) -> float:
    return float(np.mean([row[figure] for row in rows]))


def _figures(rows: Sequence[Row], name: str) -> str:
    """Format the mean over seeds at each size, then the mean of all and its spread over seeds."""
    values = np.array([row[name] for row in rows])
    if np.isnan(values).any():
        return "-"
    form = "{:.0f}" if name == "effective" else "{:.3f}"
    said = " ".join(form.format(v) for v in values.mean(axis=0))
    if name == "coverage":
        each = values.mean(axis=1)
        said += f" (mean {each.mean():.3f} ± {each.std():.3f})"
    return said

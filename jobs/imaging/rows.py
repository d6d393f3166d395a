"""What the report says about synthetic images: where they landed, and how balance changes."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from jobs.imaging.homes import Homes
from jobs.reporting.rows import Row, figure_rows
from udfs.kernels.judging.measures import entropy

SECTION = "synthesis"
_COUNTS = ("n_pool", "n_sample", "n_home", "n_images", "n_rejected", "n_landed", "n_joined")


def by_group(
    homes: Homes,
    real: pd.DataFrame,
    images: pd.DataFrame,
    owned: pd.DataFrame,
    joined: pd.DataFrame,
) -> pd.DataFrame:
    """Count what there is of every group.

    Parameters
    ----------
    real : place, group, n_pool, n_sample
    images : place, group, n_images, n_rejected
    owned : place, owner
    joined : concept_id, n_joined

    Returns
    -------
    counts : group, concept_id (nan if the group is not a concept), _COUNTS; n_home are the pool's
        points, of any group, at the group's home
    """
    places = real.merge(owned, on="place", how="left")
    homes_ = places.groupby("owner")["n_pool"].sum().rename("n_home")
    at = images.merge(owned, on="place", how="left")
    at["n_landed"] = at["n_images"].where(at["owner"] == at["group"], 0)
    of_images = at.groupby("group")[["n_images", "n_rejected", "n_landed"]].sum()
    of_real = real.dropna(subset=["group"]).groupby("group")[["n_pool", "n_sample"]].sum()
    concepts = homes.groups[["concept_id", "group"]].merge(joined, on="concept_id", how="left")
    found = concepts.set_index("group").join(of_real, how="outer")
    found = found.join(of_images).join(homes_)
    found[[*_COUNTS]] = found[[*_COUNTS]].fillna(0).astype(np.int64)
    return found.rename_axis("group").reset_index()


def landing_rows(counts: pd.DataFrame, n_points: int) -> list[Row]:
    """Return each concept's rows of the report.

    Parameters
    ----------
    counts : what ``by_group`` returned
    n_points : points of the pool
    """
    rows: list[Row] = []
    for one in counts.dropna(subset=["concept_id"]).sort_values("concept_id").to_dict("records"):
        key, n = str(int(one["concept_id"])), float(one["n_images"])
        share, chance = one["n_landed"] / max(n, 1.0), one["n_home"] / max(n_points, 1)
        for metric, value, control in (
            ("n_images", n, None),
            ("share_landed", share, chance),
            ("n_points_with_images", one["n_pool"] + n, float(one["n_pool"])),
            ("n_in_sample", one["n_sample"] + one["n_joined"], float(one["n_sample"])),
        ):
            rows.append(Row(None, SECTION, None, key, None, metric, float(value), control))
    return rows


def balance_figures(counts: Sequence[int]) -> dict[str, float]:
    """Measure how evenly groups are spread; those without a point count too."""
    values = np.array(counts, np.int64)
    even = math.log(len(values)) if len(values) > 1 else 1.0
    return {
        "normalised_entropy": entropy(values) / even,
        "groups_reached": float((values > 0).sum()),
        "smallest_share": float(values.min(initial=0) / max(1, values.sum())),
    }


def balance_rows(sample: str | None, before: Sequence[int], after: Sequence[int]) -> list[Row]:
    """Return how even groups are, with images and, as the control, without."""
    control = balance_figures(before)
    return figure_rows(SECTION, sample, balance_figures(after), control=control)


def with_and_without(counts: pd.DataFrame) -> tuple[list[int], list[int]]:
    """Return the points of every group, without images and with those that were not turned away.

    Parameters
    ----------
    counts : what ``by_group`` returned
    """
    before = counts["n_pool"]
    return [*before], [*(before + counts["n_images"] - counts["n_rejected"])]


def figures_of(counts: pd.DataFrame, n_points: int) -> dict[str, Any]:
    """Return the figures of all images together; see ``check_synthesis.Checked``.

    Parameters
    ----------
    counts : what ``by_group`` returned
    n_points : points of the pool
    """
    before, after = with_and_without(counts)
    totals = {name: int(counts[name].sum()) for name in ("n_images", "n_rejected", "n_joined")}
    at_home = int((counts["n_home"] * counts["n_images"]).sum())
    n_images = max(1, totals["n_images"])
    return totals | {
        "share_landed": int(counts["n_landed"].sum()) / n_images,
        "chance": at_home / (max(1, n_points) * n_images),
        "n_homeless": int(((counts["n_landed"] == 0) & (counts["n_images"] > 0)).sum()),
        "entropy": balance_figures(after)["normalised_entropy"],
        "entropy_before": balance_figures(before)["normalised_entropy"],
    }

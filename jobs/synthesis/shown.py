"""What a plan of captions, and the captions, look like: lines, and rows of the report."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from jobs.reporting.rows import Row
from jobs.synthesis.concepts import Concept
from jobs.synthesis.rounds import Caption
from udfs.kernels.judging.measures import entropy

_SECTION = "synthesis"
_MOST_NAMED = 5  # concepts in a line
_SNIPPET = 80  # characters


def evenness(counts: Sequence[int]) -> float:
    """Return the normalised entropy of counts: 1 if all are equal; 1 too for one concept."""
    return entropy(np.array(counts, np.int64)) / np.log(len(counts)) if len(counts) > 1 else 1.0


def share_rows(concepts: Sequence[Concept], counts: Sequence[int], key: str) -> list[Row]:
    """Return each concept's share of the captions, beside its share of the pool's points.

    Parameters
    ----------
    counts : captions of each concept
    """
    total = max(1, sum(counts))
    n_points = [each.n_points for each in concepts]
    whole = max(1, sum(n or 0 for n in n_points))
    order = sorted(range(len(concepts)), key=lambda i: (n_points[i] or 0, i))
    return [
        Row(None, _SECTION, concepts[i].level, key, float(place), "share", counts[i] / total,
            None if n_points[i] is None else (n_points[i] or 0) / whole)
        for place, i in enumerate(order)
    ]  # fmt: skip


def caption_rows(concepts: Sequence[Concept], rounds: Sequence[Sequence[Caption]]) -> list[Row]:
    """Return what each round asked for and turned away, and how evenly captions spread after it."""
    quotas = [each.quota for each in concepts]
    counts = [0] * len(concepts)
    rows: list[Row] = []
    for round_, captions in enumerate(rounds):
        reasons = Counter(each.reason or "accepted" for each in captions)
        for each in captions:
            counts[each.concept_id] += each.reason is None
        figures = {"asked": len(captions), **dict(sorted(reasons.items()))}
        figures |= {"short": sum(quotas) - sum(counts)}
        rows += [_row(round_, name, float(n)) for name, n in figures.items()]
        rows += [_row(round_, "normalised_entropy", evenness(counts), evenness(quotas))]
    return rows + share_rows(concepts, counts, str(max(0, len(rounds) - 1)))


def _row(round_: int, metric: str, value: float, control: float | None = None) -> Row:
    return Row(None, _SECTION, None, str(round_), None, metric, value, control)


def plan_said(concepts: Sequence[Concept]) -> list[str]:
    """Return lines on a plan: the quotas, and of what the pool has nothing."""
    quotas = [each.quota for each in concepts]
    rare = sorted(concepts, key=lambda each: (-each.quota, each.name))
    most = _listed([f"{each.name} {each.quota:,}" for each in rare])
    said = [
        f"{sum(quotas):,} captions of {len(concepts):,} concepts, {min(quotas):,} to "
        f"{max(quotas):,} each; the most: {most}"
    ]
    if missing := [each for each in concepts if each.n_points == 0]:
        n = sum(each.quota for each in missing)
        said.append(f"{len(missing):,} concepts are not in the pool: {n:,} captions are of them")
    if n_none := sum(each.quota == 0 for each in concepts):
        said.append(f"{n_none:,} concepts get none: the pool has enough of them, or of others less")
    return said


def _listed(named: Sequence[str]) -> str:
    more = f" and {len(named) - _MOST_NAMED:,} more" if len(named) > _MOST_NAMED else ""
    return ", ".join(named[:_MOST_NAMED]) + more


def shortfall_said(concepts: Sequence[Concept], counts: Sequence[int], n_rounds: int) -> str:
    """Return a line on the quotas that are not met.

    Parameters
    ----------
    counts : accepted captions of each concept
    """
    short = [(each.quota - n, each, n) for each, n in zip(concepts, counts, strict=True)]
    short = [one for one in short if one[0] > 0]
    short.sort(key=lambda one: (-one[0], one[1].name))
    named = _listed([f"{each.name} {n:,} of {each.quota:,}" for _, each, n in short])
    total = sum(missing for missing, *_ in short)
    return (
        f"{total:,} captions are missing after {n_rounds} rounds, of {len(short):,} concepts: "
        f"{named}; raise synthesis.max_rounds, add aliases, or look at why captions were "
        "turned away"
    )


def turned_away_said(rejects: pd.DataFrame) -> list[str]:
    """Return a line for each reason, with an example.

    Parameters
    ----------
    rejects : caption_id, reject_reason, text, detail; of captions that were turned away
    """
    lines = []
    for reason, mine in rejects.sort_values("caption_id").groupby("reject_reason"):
        first = mine.iloc[0]
        text = " ".join(str(first["detail"] if first["text"] is None else first["text"]).split())
        shown = text if len(text) <= _SNIPPET else text[: _SNIPPET - 1] + "…"
        lines.append(f"turned away, {reason}: {len(mine):,}, such as {shown!r}")
    return lines

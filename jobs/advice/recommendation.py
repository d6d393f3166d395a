"""What to do about a sample, and why in words, from the rows of a report."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from jobs.advice.judge import PREFIX
from jobs.config.model import HygieneConfig
from jobs.judging.recommendation import EVEN, Evidence, Recommendation, Skew
from jobs.judging.scatter import Scatter
from jobs.judging.verdict import Gap, Verdict
from jobs.reporting.cells import CellOf, index_of
from jobs.reporting.numbers import human, percent
from jobs.reporting.rows import Row
from jobs.sections.kinds import LedBy
from jobs.telling.verdicts import gap_said, verdict_of

SECTION = "recommendation"


def recommendations(
    rows: pd.DataFrame, samples: Sequence[str], judge: str | None, led: Mapping[str, LedBy]
) -> list[Recommendation]:
    """Return what to do about each sample whose coverage was measured.

    Parameters
    ----------
    judge : the column of a second embedding, if the report has one
    led : samples -> what decides what they hold, where that is not the tree alone
    """
    cell = index_of(rows)
    found = (recommended(cell, name, judge, led.get(name)) for name in samples)
    return [one for one in found if one is not None]


def recommendation_rows(
    rows: Sequence[Row], samples: Sequence[str], judge: str | None, led: Mapping[str, LedBy]
) -> list[Row]:
    """Return the report's rows that say what to do, one per sample."""
    found = recommendations(pd.DataFrame(rows, columns=Row._fields), samples, judge, led)
    return [Row(r.sample, SECTION, None, r.action, None, "is_recommended", 1.0) for r in found]


def recommended(
    cell: CellOf, sample: str, judge: str | None, led_by: LedBy | None
) -> Recommendation | None:
    """Return what to do about a sample; None if its coverage was not measured."""
    verdict = verdict_of(cell, sample)
    if verdict is None:
        return None
    other = verdict_of(cell, sample, prefix=PREFIX)
    shares = cell("scatter", sample, None, "share_above")
    evidence = Evidence(
        verdict,
        {} if judge is None or other is None else {judge: other},
        _skew(cell),
        Scatter(*shares, cell("scatter", sample, None, "share_error").value),
        _evenness(cell, sample),
        led_by=led_by,
        silent=judge if other is None else None,
    )
    return Recommendation(sample, evidence.action, tuple(_reasons(evidence)))


def _skew(cell: CellOf) -> Skew | None:
    names = ("effective_communities", "n_communities", "kl_uniform")
    effective, n, kl = (cell("communities", None, None, name).value for name in names)
    return None if effective is None or n is None or kl is None else Skew(effective, n, kl)


def _evenness(cell: CellOf, sample: str) -> tuple[float, float] | None:
    mine, uniform = cell("communities", sample, None, "effective_communities")
    return None if mine is None or uniform is None else (mine, uniform)


def _limit_to_raise(part: float) -> str:
    """Return what else the gate needs where it would turn away more than it may by default."""
    limit = HygieneConfig().max_reject_fraction
    return f" and hygiene.max_reject_fraction above {percent(part)}" if part > limit else ""


def _reasons(found: Evidence) -> Iterator[str]:
    """Yield what supports the action, the most telling reason first."""
    scatter, skew = found.scatter, found.skew
    if found.action == "guard":
        why = "" if found.led_by else ", which balance multiplies"
        yield (
            f"{percent(scatter.sample)} of the sample and {percent(scatter.pool)} of the pool are "
            f"scatter, points far from all others{why}: turn them away with outliers.method: knn"
        ) + _limit_to_raise(scatter.pool or 0)
    if skew is None:
        yield "The pool is one community: no group of points in it stands apart"
    else:
        said = (
            f"The pool is {_skew_said(skew)}: its {human(skew.n_communities)} communities are as "
            f"evenly filled as {human(skew.effective)} equal ones"
        )
        if found.evenness is not None:
            mine, uniform = map(human, found.evenness)
            said += f", in the sample as {mine}, in a uniform one as {uniform}"
        yield said
    yield f"Averaged over regions, points lie {_compared(found.verdict)}"
    for name, other in found.judges.items():
        yield f"In {name}, which the tree never saw, they lie {_compared(other)}"
    if found.silent is not None:
        yield f"In {found.silent}, which the tree never saw, too few rows have a vector to judge it"
    if found.action == "curate" and found.verdict.state == "mixed":
        yield "It gains in one respect more than it loses in the other: look at what is kept"
    if found.action != "guard" and scatter.sample is not None:
        yield (
            f"Scatter, points far from all others, takes {percent(scatter.sample)} of the sample "
            f"and {percent(scatter.pool)} of the pool"
        )
    if found.action == "uniform" and found.is_even:
        yield "A uniform sample is as good, and needs no tree"
    elif found.action == "uniform":
        yield "No more can be claimed of it than of a uniform sample"
    elif found.action == "seeds":
        yield "It is to be like its seeds, not to cover the pool: the figures say what that costs"
    elif found.action == "constraints":
        yield "Its constraints decide what it holds: the figures say what that costs"


def _skew_said(skew: Skew) -> str:
    return "even" if skew.kl < EVEN else "skewed" if skew.kl > 5 * EVEN else "somewhat skewed"


def _compared(verdict: Verdict) -> str:
    """Compare the distances to this sample with those to a uniform one."""
    preposition = _preposition(verdict.nodes)
    said = f"{_amount(verdict.nodes)} this sample than {preposition} a uniform one"
    if verdict.communities is not None:
        said += f", averaged over communities {_amount(verdict.communities)} it"
    return said


def _amount(gap: Gap) -> str:
    return f"{gap_said(gap)} {_preposition(gap)}"


def _preposition(gap: Gap) -> str:
    return "to" if gap.mean <= 0 else "from"

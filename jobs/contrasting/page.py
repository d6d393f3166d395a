"""The page of Divide and Contrast: what was divided, and what it is worth beside its controls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jobs.config.model import RunConfig
from jobs.reporting.side_page import SidePage
from jobs.runs.outcomes import Outcome, per

_INTRO = (
    "A base encoder learns what two views of a row share; it divides the rows into clusters; in "
    "each, an expert learns to tell alike rows apart; a student learns from all of them. It pays "
    "where the pool holds unlike things and the code is short. In a pool of one kind, such as "
    "handwritten digits, it may gain nothing or lose: believe the figures, which stand beside a "
    "student of the base alone and one of the experts of random clusters."
)
_FIGURE = r"\w+\.\w+"


@dataclass(frozen=True, kw_only=True)
class Contrasted(Outcome):
    """What was divided, and what it is worth.

    Attributes
    ----------
    n_clusters : clusters left after merging
    n_merged : tiny ones that joined others
    n_sampled : points that the student learned from
    worth : values by metric.divided, and by metric.control for each control
    """

    n_points: int
    n_rejected: int
    n_clusters: int
    n_merged: int
    n_sampled: int
    worth: Mapping[str, float] = per("worth.{}", _FIGURE)


def said_of(done: Contrasted) -> list[str]:
    """Return a line for each finding."""
    merged = f", {done.n_merged} tiny ones merged" if done.n_merged else ""
    rejects = f"; {done.n_rejected:,} rejects" if done.n_rejected else ""
    lines = [f"{done.n_points:,} points in {done.n_clusters} clusters{merged}{rejects}"]
    for metric in dict.fromkeys(name.partition(".")[0] for name in done.worth):
        of = {
            name.partition(".")[2]: value
            for name, value in done.worth.items()
            if name.startswith(f"{metric}.")
        }
        value = of.pop("divided")
        beside = ", ".join(f"{name.replace('_', ' ')} {other:.3g}" for name, other in of.items())
        lines.append(f"{metric.replace('_', ' ')}: {value:.3g}; {beside}")
    return lines


def contrast_page(
    config: RunConfig, run_id: str, said: Sequence[str], tables: Mapping[str, str]
) -> SidePage:
    """Return the content of the page of Divide and Contrast.

    Parameters
    ----------
    tables : name -> address
    """
    return SidePage.of(
        config,
        run_id,
        title="Divide and Contrast",
        intro=_INTRO,
        said=said,
        charts=(),
        tables=tables,
        columns="round",
        control="the same of the control that the measure names",
    )

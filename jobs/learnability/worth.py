"""What scores are worth: how far two references agree, what a selection gains, what it costs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jobs.runs.outcomes import Outcome, per
from jobs.sections.learnability import GflopConfig, LearnabilityConfig

Floats = NDArray[np.float64]
N_ERRORS = 2.0  # standard errors that a gain has to exceed


class Worth(NamedTuple):
    """How good scores are, by two references that were trained on different rows.

    Attributes
    ----------
    agreement : correlation of the losses of the two references
    noise : share of the rows drawn by one reference that the other would not draw, relative to that
        of unrelated references: 0 for the same rows, 1 for an overlap by chance
    gain : mean learnability, by one reference, of the rows that the other would draw, minus that
        of all rows
    gain_error : standard error of the gain
    """

    agreement: float
    noise: float
    gain: float
    gain_error: float

    @property
    def is_sure(self) -> bool:
        """Whether the references agree on more than chance, and the gain exceeds its error."""
        return self.noise < 1 and self.gain > N_ERRORS * self.gain_error


def worth_of(online: Floats, half_a: Floats, half_b: Floats, keep: float) -> Worth:
    """Compare the scores by two references : (n,) losses each.

    Parameters
    ----------
    keep : the share of rows that is drawn; if all are, half of them are compared
    """
    n = len(online)
    keep = keep if round(keep * n) < n else 0.5
    n_kept = max(1, round(keep * n))
    scores = online - half_a, online - half_b
    first = [np.argsort(-score, kind="stable")[:n_kept] for score in scores]
    missed = 1 - len(np.intersect1d(first[0], first[1])) / n_kept
    gains = [(scores[1 - i][first[i]] - scores[1 - i].mean(), scores[1 - i]) for i in (0, 1)]
    gain = float(np.mean([each.mean() for each, _ in gains]))
    error = float(np.mean([(each.var() / n_kept + all_.var() / n) ** 0.5 for each, all_ in gains]))
    return Worth(
        _correlation(half_a, half_b), missed / (1 - n_kept / n) if n > n_kept else 0.0, gain, error
    )


def _correlation(a: Floats, b: Floats) -> float:
    spread = a.std() * b.std()
    return 0.0 if spread == 0 else float(((a - a.mean()) * (b - b.mean())).mean() / spread)


def advice(worth: Worth | None, criterion: str) -> str:
    """Return a sentence on whether to draw by the scores at all."""
    if worth is None:
        return (
            "how much of the scores is noise is not known: name losses of a reference that was "
            "trained on other rows in learnability.second_reference"
        )
    said = (
        f"two references share {1 - worth.noise:.0%} of what they would draw first beyond chance "
        f"(correlation {worth.agreement:.2f}); draws by one gain {worth.gain:.3g} ± "
        f"{worth.gain_error:.1g} by the other"
    )
    if not worth.is_sure and criterion != "uniform":
        return f"{said}: within its error, so draw by criterion: uniform"
    return said


class Compute(NamedTuple):
    """GFLOP of a round; None where the cost of a row is not known.

    Attributes
    ----------
    score : scoring the rows; in round 0 also by the reference, whose losses are kept
    train : training on the rows drawn
    uniform : training on all of them, as without a selection
    """

    score: float | None
    train: float | None
    uniform: float | None

    @property
    def saving(self) -> float | None:
        """The share of the compute of training on all rows that is saved, scoring included."""
        if self.score is None or self.train is None or not self.uniform:
            return None
        return 1 - (self.score + self.train) / self.uniform


def compute_of(cost: GflopConfig, round_: int, n_scored: int, n_trained: int) -> Compute:
    """Return the compute of a round, from its numbers of rows."""
    n_models = 2 if round_ == 0 else 1
    return Compute(
        None if cost.score is None else cost.score * n_scored * n_models,
        None if cost.train is None else cost.train * n_trained,
        None if cost.train is None else cost.train * n_scored,
    )


@dataclass(frozen=True, kw_only=True)
class Scored(Outcome):
    """How many rows a round scored and drew, their mean learnability, and what that is worth.

    Attributes
    ----------
    rejects : how many for each reason
    worth : a ``Worth``; empty if there is no second reference
    gflop : a ``Compute``, as far as known
    age : how many rounds in a row, up to the one before, drew by the same losses
    """

    n_scored: int
    n_selected: int
    n_rejected: int
    mean_learnability: float
    mean_selected: float
    worth: dict[str, float] = per("worth.{}")
    gflop: dict[str, float] = per("gflop.{}")
    rejects: dict[str, int] = per("rejects.{}")
    age: int = 0


def said_of(given: LearnabilityConfig, found: Scored, later: int = 0) -> list[str]:
    """Return lines on what a round drew.

    Parameters
    ----------
    given : config of the first of several rounds
    later : the round's number, counted from that
    """
    rejects = ""
    if found.n_rejected:
        reasons = ", ".join(f"{name} {n:,}" for name, n in sorted(found.rejects.items()))
        rejects = f"; {found.n_rejected:,} rejects ({reasons}), which the table rejects names"
    round_ = given.round + later
    stale = (
        f"losses: the same as in round {round_ - found.age}, before the model was trained on what "
        "was drawn; write those of the model as it is now before each round, or name a "
        "learnability.trainer"
    )
    return [
        f"round {round_}: {found.n_selected:,} of {found.n_scored:,} rows drawn by "
        f"{given.criterion}: mean learnability {found.mean_selected:.3g}, "
        f"{found.mean_learnability:.3g} of all{rejects}",
        *([stale] if found.age else []),
        f"scores: {_scores_said(given, found)}",
        f"compute: {_compute_said(Compute(*map(found.gflop.get, Compute._fields)))}",
    ]


def _scores_said(given: LearnabilityConfig, found: Scored) -> str:
    """Return what the scores are worth, or that they choose nothing."""
    if found.n_selected == found.n_scored:
        return (
            f"every row is drawn (keep: {given.keep:g}), so they choose nothing; want a smaller "
            "learnability.keep, or train on all rows without scoring them"
        )
    return advice(Worth(**found.worth) if found.worth else None, given.criterion)


def _compute_said(compute: Compute) -> str:
    """Return a round's compute, beside that of training on every row."""
    if compute.saving is None:
        return "not known; name the GFLOP of a row in learnability.gflop"
    less = f"{abs(compute.saving):.0%} {'less' if compute.saving >= 0 else 'more'}"
    return (
        f"{compute.score:.3g} GFLOP of scoring and {compute.train:.3g} of training, {less} "
        f"than training on every row ({compute.uniform:.3g})"
    )


def as_figures(worth: Worth | None) -> Mapping[str, Any]:
    """Return it as figures; an empty mapping if it is not known."""
    return {} if worth is None else worth._asdict()

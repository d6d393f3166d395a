"""What scores are worth: how far two references agree on them, and what a selection gains."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
N_ERRORS = 2.0  # standard errors that a gain has to exceed


class Worth(NamedTuple):
    """How good scores are, by two references that were trained on different rows.

    Attributes
    ----------
    agreement : correlation of the losses of the two references
    noise : share of what one reference would draw first that the other would not, over that of
        unrelated ones : 0 the same rows, 1 none but by chance
    gain : what the rows that one reference would draw have over all, in learnability by the other
    gain_error : its standard error
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
    keep : the share of rows that is drawn; half of them if it is all
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


def as_figures(worth: Worth | None) -> Mapping[str, Any]:
    """Return it as figures; none if it is not known."""
    return {} if worth is None else worth._asdict()

"""Whether a sample holds more scatter, points far from all others, than chance explains."""

from typing import NamedTuple

from jobs.judging.verdict import MAX_ERRORS


class Scatter(NamedTuple):
    """Shares of points that the outlier gate would turn away; None if nothing was found.

    Attributes
    ----------
    error : standard error of the difference of the two
    """

    sample: float | None
    pool: float | None
    error: float | None

    @property
    def is_more(self) -> bool:
        """Whether the sample has more of them than the pool, beyond chance."""
        if self.sample is None or self.pool is None or self.error is None:
            return False
        return self.sample - self.pool > MAX_ERRORS * self.error

    def said(self, name: str, *, most: float) -> str | None:
        """Return a proposal to turn the gate on, if the sample has more of them than the pool.

        Parameters
        ----------
        name : the sample's name
        most : the share of the pool that the gate may turn away
        """
        if not self.is_more or (self.pool or 0) > most:
            return None
        return (
            f"{self.sample:.1%} of {name} and {self.pool:.1%} of the pool are scatter, points far "
            f"from all others (± {self.error:.1%}, the standard error of the difference): "
            "outliers.method: knn turns them away"
        )

"""Config of duplicate removal: what is a copy of what, and which of them stays."""

from typing import Annotated, Literal

from pydantic import Field

from jobs.config.kinds import CountsFrom, Section


class KeepConfig(Section):
    """Which of several copies stays: the first by a column of the metadata."""

    by: str
    order: Literal["asc", "desc"] = "asc"


class DedupConfig(Section):
    """Duplicate removal.

    Attributes
    ----------
    exact : of points with the same content, one stays
    threshold : cosine similarity from which points are near duplicates
    keep : which one stays: the closest to its cell's centroid, or by a column of the metadata
    """

    exact: bool = False
    threshold: Annotated[float | None, Field(gt=0, le=1), CountsFrom(None)] = None
    keep: Annotated[Literal["closest"] | KeepConfig, CountsFrom("closest")] = "closest"
    against: Annotated[list[str], Field(max_length=0), CountsFrom([])] = []

    @property
    def is_on(self) -> bool:
        """Whether anything is turned away."""
        return self.exact or self.threshold is not None

"""Config of duplicate removal: what is a copy of what, and which of them stays."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from jobs.sections.kinds import AlikeConfig, CountsFrom, Section

AGAINST_THRESHOLD = 0.95  # default cosine similarity to an evaluation set


class KeepConfig(Section):
    """Which of several copies stays: the first by a column of the metadata."""

    by: str
    order: Literal["asc", "desc"] = "asc"


class AgainstConfig(AlikeConfig):
    """An evaluation set."""


class DedupConfig(Section):
    """Duplicate removal.

    Attributes
    ----------
    exact : whether one of several points with the same content stays
    threshold : cosine similarity from which points are near duplicates
    keep : which one stays: the closest to its cell's centroid, or by a metadata column
    against : evaluation sets; points that are in them, or similar, are turned away
    """

    exact: bool = True
    threshold: Annotated[float | None, Field(gt=0, le=1), CountsFrom(None)] = None
    keep: Annotated[Literal["closest"] | KeepConfig, CountsFrom("closest")] = "closest"
    against: Annotated[list[AgainstConfig], CountsFrom([])] = []

    @property
    def is_on(self) -> bool:
        """Whether anything is turned away."""
        return self.exact or self.threshold is not None or bool(self.against)

    @property
    def against_threshold(self) -> float:
        """The cosine similarity from which a point is in an evaluation set."""
        return AGAINST_THRESHOLD if self.threshold is None else self.threshold

    @field_validator("against", mode="before")
    @classmethod
    def _named(cls, tables: Any) -> Any:
        """Read a bare name as a table."""
        if not isinstance(tables, list):
            return tables
        return [{"table": table} if isinstance(table, str) else table for table in tables]

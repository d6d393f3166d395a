"""Building blocks of the config: sections, kinds of values, and marks for stage keys."""

import os
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

POOL = "pool"  # the source that is not a sample
ROUND = "{round}"  # stands for the round's number in a table's name
HOW = "how, not what: the answer does not depend on it"


@dataclass(frozen=True)
class CountsFrom:
    """Marks a config key that was added later: it enters no stage key while it has this value."""

    neutral: object


def at_home(path: str) -> str:
    """Expand a ``~`` at the start of a path, as a shell does: what YAML holds, no shell has seen.

    Raises
    ------
    PydanticCustomError
        If it names a user that this machine does not know.
    """
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        raise PydanticCustomError(
            "no_home", "a path; ~ is a home folder that is not known here, write it out"
        )
    return expanded


def _is_literal(place: str) -> str:
    if not place or "\0" in place or "${" in place:
        raise PydanticCustomError(
            "no_place", "a path or a name: some text, without ${, which Spark's SQL would replace"
        )
    return place


# A path, or the name of a table, schema or catalog.
Place = Annotated[str, AfterValidator(_is_literal), AfterValidator(at_home)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]+$", max_length=100)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(gt=0, le=1)]
LedBy = Literal["seeds", "constraints"]  # what decides what a sample holds, beside the tree
Format = Literal[
    "delta", "table", "parquet", "json", "csv", "text", "binaryFile", "numpy", "webdataset", "arrow"
]


class Section(BaseModel):
    """A section of the config: frozen, strict about types and unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class TableConfig(Section):
    """A table beside the pool, read as it is; by default the pool itself."""

    table: Place | None = None
    format: Format | None = None
    options: dict[str, str] = {}
    where: str | None = None
    version: Annotated[int | None, Field(ge=0)] = None
    fingerprint: str | None = None  # of the table as found; a run refuses any other

    @property
    def is_by_round(self) -> bool:
        """Whether each round has a table of its own."""
        return self.table is not None and ROUND in self.table

    def at(self, round_: int) -> Self:
        """Return the table of a round."""
        if self.table is None:
            return self
        return self.model_copy(update={"table": self.table.replace(ROUND, str(round_))})


class AlikeConfig(TableConfig):
    """A table whose rows are read and embedded as the pool's are.

    Attributes
    ----------
    id, content : columns or expressions; the pool's by default
    """

    table: Place
    id: str | None = None
    content: str | None = None
    # of the table as found; enters the stage's key separately
    fingerprint: Annotated[str | None, HOW] = None

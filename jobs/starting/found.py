"""What was found at a pool's place, as far as a first config needs it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Found:
    """A pool as seen from outside.

    Attributes
    ----------
    what : the pool's form, in words
    n_rows : how many rows it has, or about; None if unknown
    is_exact : whether they were counted
    rows : the first ones, as plain values by column
    partitions : columns that are names of folders, such as label=7
    columns : keys of ``input`` that the form itself decides, such as a file's path as the id
    options : options of the reader, such as another separator
    model : the embedder that fits; None if the columns decide
    wanted : what the user is to fill in for ``table``
    """

    table: str
    what: str
    n_rows: int | None = None
    is_exact: bool = True
    rows: Sequence[Mapping[str, Any]] = ()
    partitions: Sequence[str] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    model: str | None = None
    wanted: str = ""

    @property
    def shown(self) -> str:
        """Its form and size, in words."""
        if self.n_rows is None:
            return self.what
        return f"{self.what}, {'' if self.is_exact else 'about '}{self.n_rows:,} rows"

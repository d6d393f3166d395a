"""What to export, as asked for on a command line or in a notebook, and what was exported."""

from dataclasses import dataclass
from typing import Any

from jobs.config.errors import ConfigError
from jobs.training.index import BATCH, POSITION, Index

_OWN = ("id", BATCH, POSITION)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What to export.

    Attributes
    ----------
    of : the table
    columns : the pool's columns to add
    batch_size : the rows of a batch, where the table does not have batches
    rounds : rounds to export; all by default
    file_mb : the size that files do not exceed, unless one batch does
    """

    of: str
    columns: tuple[str, ...] = ()
    batch_size: int | None = None
    rounds: tuple[int, ...] | None = None
    file_mb: float = 256

    def __post_init__(self) -> None:
        """Refuse options that cannot be meant.

        Raises
        ------
        ConfigError
        """
        if self.batch_size is not None and self.batch_size < 1:
            raise ConfigError(f"--batch-size {self.batch_size}: want 1 or more")
        if not self.file_mb > 0:
            raise ConfigError(f"--file-mb {self.file_mb}: want more than 0")
        lower = [name.lower() for name in self.columns]
        for i, name in enumerate(lower):
            if name in _OWN or name in lower[:i]:
                raise ConfigError(
                    f"--columns {','.join(self.columns)}: {self.columns[i]} is there already; "
                    f"{', '.join(_OWN)} are always exported: name others, each once, whatever "
                    "their case"
                )


def parse_rounds(text: str | None) -> tuple[int, ...] | None:
    """Read the rounds of ``--rounds``, such as 0,1.

    Raises
    ------
    ConfigError
    """
    try:
        return None if text is None else tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError as error:
        raise ConfigError(f"--rounds {text}: want numbers, such as 0,1") from error


@dataclass(frozen=True)
class Exported:
    """What was exported, now or earlier."""

    folder: str
    index: Index
    is_new: bool

    def as_dict(self) -> dict[str, Any]:
        """Return what ``--result`` adds."""
        told = {"folder": self.folder, "is_new": self.is_new, "n_files": len(self.index.files)}
        return {"export": told | {"n_batches": self.index.n_batches, "n_rows": self.index.n_rows}}

    def __str__(self) -> str:
        """Return what the command prints."""
        index, size = self.index, self.index.source["batch_size"]
        of_size = "" if size is None else f" of {size:,}"
        lines = [
            f"{index.n_rows:,} rows of {index.source['of']} in {index.n_batches:,} batches"
            f"{of_size}, {len(index.files):,} files: {self.folder}"
        ]
        if not self.is_new:
            lines.insert(0, "nothing to do, this export is there already:")
        if size is not None:
            smaller = [
                (one["round"], left) for one in index.rounds if (left := one["n_rows"] % size)
            ]
            lines += [f"the last batch of round {r} has {n:,} rows" for r, n in smaller]
        return "\n".join(lines)

"""The index of an exported sample: its shards, split by split. Written last, read first."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jobs.training.index import FORMAT, INDEX


@dataclass(frozen=True)
class Shard:
    """One file, or a table in a folder.

    Attributes
    ----------
    path : relative to the folder
    split : None without splits
    """

    path: str
    split: str | None
    n_rows: int


@dataclass(frozen=True)
class SampleIndex:
    """What a folder holds.

    Attributes
    ----------
    columns : columns of the rows, in order
    splits : the rows of each; empty without splits
    files : split by split, in the order to read them in
    source : what was exported; equal for exports of the same thing
    """

    n_rows: int
    columns: Sequence[str]
    splits: Mapping[str, int]
    files: Sequence[Shard]
    source: Mapping[str, Any]

    def to_json(self) -> str:
        """Return it as the text of ``_index.json``."""
        return json.dumps({"format": FORMAT} | asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str) -> "SampleIndex":
        """Read the text of ``_index.json``.

        Raises
        ------
        ValueError
            If it is not the index of a sample, or is one of a later version.
        """
        told = json.loads(text)
        if (version := told.pop("format", None)) != FORMAT:
            raise ValueError(f"{where}/{INDEX} is of format {version!r}, want {FORMAT}")
        try:
            return cls(**told | {"files": [Shard(**file) for file in told["files"]]})
        except (KeyError, TypeError) as error:
            raise ValueError(f"{where}/{INDEX} is no index of a sample ({error})") from error

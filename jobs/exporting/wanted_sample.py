"""Which sample to export and how, as asked for on a command line, and what was exported."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from jobs.config.errors import ConfigError
from jobs.exporting.folder import HERE
from jobs.exporting.formats import FORMATS
from jobs.exporting.sample_index import SampleIndex

OWN = ("id", "replica", "rank", "position", "pool_weight", "leaf_id", "path")
ORDERS = ("position", "shuffle")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")  # names such as _a and .a are hidden to readers
_ENDING = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True, kw_only=True)
class WantedSample:
    """Which sample to export and how.

    Attributes
    ----------
    sample : the sample's name
    format : see ``jobs.exporting.formats``
    columns : the pool's columns to add; all by default
    order : position (files of equal length in this order, each shuffled) or shuffle (of all rows)
    splits : names and shares, which sum to 1; none by default
    endings : file endings of the columns that become files in webdataset tars
    file_mb : the size that files do not exceed by much
    """

    sample: str
    format: str = "parquet"
    columns: tuple[str, ...] | None = None
    order: str = "position"
    splits: Mapping[str, Fraction] = field(default_factory=dict)
    endings: Mapping[str, str] = field(default_factory=dict)
    file_mb: float = 256

    def __post_init__(self) -> None:
        """Refuse options that cannot be meant.

        Raises
        ------
        ConfigError
            The format's library is not installed, or an option is impossible.
        """
        if self.format not in FORMATS:
            raise ConfigError(f"--format {self.format}: want one of {', '.join(FORMATS)}")
        if self.order not in ORDERS:
            raise ConfigError(f"--order {self.order}: want one of {', '.join(ORDERS)}")
        if not 0 < self.file_mb <= (most := FORMATS[self.format].most_mb):
            limit = (
                f"{most:g} or less with --format {self.format}"
                if self.file_mb > 0
                else "more than 0"
            )
            raise ConfigError(f"--file-mb {self.file_mb}: want {limit}")
        self._check_splits()
        if self.endings and self.format != "webdataset":
            raise ConfigError(
                f"--extension {_joined(self.endings)}: {self.format} has no files of columns; want "
                "it with --format webdataset, or left out"
            )
        for column, ending in self.endings.items():
            if not _ENDING.fullmatch(ending) or ending == "json":
                raise ConfigError(
                    f"--extension {column}={ending}: want small letters and digits, such as "
                    f"{column}=jpg, and not json, which holds the other columns"
                )
        FORMATS[self.format].require(self.format)

    def _check_splits(self) -> None:
        if not self.splits:
            return
        told = f"--split {_joined(self.splits)}"
        if len({name.lower() for name in self.splits}) < len(self.splits):
            raise ConfigError(f"{told}: two names differ in case alone; want others")
        for name, share in self.splits.items():
            if not _NAME.fullmatch(name):
                raise ConfigError(
                    f"{told}: {name!r} becomes a folder; want letters, digits, - and _, and the "
                    "first a letter or digit"
                )
            if share <= 0:
                raise ConfigError(f"{told}: {name} has no share; want more than 0, or leave it out")
        if (total := sum(self.splits.values())) != 1:
            raise ConfigError(
                f"{told}: the shares sum to {float(total):g}; want 1, such as train=.98,val=.02"
            )

    def source(self) -> dict[str, Any]:
        """Return what an export is known by, as plain data."""
        return {
            "of": "sample",
            "sample": self.sample,
            "format": self.format,
            "order": self.order,
            "split": {name: str(share) for name, share in self.splits.items()},
            "extension": dict(self.endings),
            "file_mb": self.file_mb,
        }


def parse_splits(text: str | None) -> dict[str, Fraction]:
    """Read ``train=.98,val=.02``.

    Raises
    ------
    ConfigError
    """
    told = _parse(text, "--split", "train=.98,val=.02")
    try:
        return {name: Fraction(share) for name, share in told.items()}
    except (ValueError, ZeroDivisionError) as error:
        raise ConfigError(
            f"--split {text}: want shares as numbers, such as train=.98,val=.02"
        ) from error


def parse_endings(text: str | None) -> dict[str, str]:
    """Read ``image=jpg,caption=txt``.

    Raises
    ------
    ConfigError
    """
    return {
        name: e.removeprefix(".") for name, e in _parse(text, "--extension", "image=jpg").items()
    }


def _parse(text: str | None, option: str, example: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in (text or "").split(",") if pair.strip()]
    told = {name.strip(): value.strip() for name, _, value in pairs}
    if len(told) < len(pairs) or not all(name and sign for name, sign, _ in pairs):
        raise ConfigError(f"{option} {text}: want names, each once, with values: {example}")
    return told


def _joined(told: Mapping[str, Any]) -> str:
    return ",".join(f"{name}={value}" for name, value in told.items())


@dataclass(frozen=True)
class ExportedSample:
    """What was exported, now or earlier."""

    folder: str
    index: SampleIndex
    is_new: bool

    def as_dict(self) -> dict[str, Any]:
        """Return what ``--result`` adds."""
        told = {"folder": self.folder, "is_new": self.is_new, "n_files": len(self.index.files)}
        return {"export": told | {"n_rows": self.index.n_rows, "splits": dict(self.index.splits)}}

    def __str__(self) -> str:
        """Return what the command prints."""
        index, source = self.index, self.index.source
        lines = [
            f"{index.n_rows:,} rows of {source['sample']} as {source['format']}: {self.folder}"
        ]
        if not self.is_new:
            lines.insert(0, "nothing to do, this export is there already:")
        for split in index.splits or (None,):
            paths = [file.path for file in index.files if file.split == split]
            n_rows = index.n_rows if split is None else index.splits[split]
            if paths != [HERE]:
                lines.append(f"{n_rows:,} rows in {_range_of(paths)}")
        return "\n".join(lines)


def _range_of(paths: Sequence[str]) -> str:
    """Return the names of numbered files as a shell, or webdataset, expands them."""
    first, last = (re.split(r"(?<=part-)(\d+)", path) for path in (paths[0], paths[-1]))
    if len(paths) == 1 or len(first) == 1:
        return paths[0]
    return f"{first[0]}{{{first[1]}..{last[1]}}}{first[2]}"

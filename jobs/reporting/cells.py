"""The rows of ``report`` that are one number each, looked up by what they measure."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pandas as pd


class Cell(NamedTuple):
    """A measure and its uniform control; None if there is no such row."""

    value: float | None = None
    control: float | None = None


CellOf = Callable[[str, str | None, int | None, str], Cell]  # section, sample, level, metric


def index_of(rows: pd.DataFrame) -> CellOf:
    """Return a lookup of the single-number rows: those without key and x."""

    def optional(value: Any, kind: Callable[[Any], Any]) -> Any:
        return None if pd.isna(value) else kind(value)

    cells = {
        (
            row["section"],
            optional(row["sample"], str),
            optional(row["level"], int),
            row["metric"],
        ): Cell(optional(row["value"], float), optional(row["control"], float))
        for row in rows[rows["key"].isna() & rows["x"].isna()].to_dict("records")
    }

    def cell(section: str, sample: str | None, level: int | None, metric: str) -> Cell:
        return cells.get((section, sample, level, metric), Cell())

    return cell

"""Tables of the sections that stages add, whose rows the page does not lay out itself."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

import pandas as pd

MOST_ROWS = 100  # of one table


class PlainTable(NamedTuple):
    """The measures of one section.

    Attributes
    ----------
    rows : whose it is, the measure, its value and its uniform control
    n_left : rows that are in the table ``report`` alone
    """

    section: str
    rows: list[tuple[str, str, float, float]]
    n_left: int

    @property
    def title(self) -> str:
        """The section's name as a heading."""
        return self.section.replace("_", " ").capitalize()


def plain_tables(rows: pd.DataFrame, drawn: Collection[str]) -> Iterator[PlainTable]:
    """Yield a table for each section that is not drawn, measures of the whole before its parts.

    Parameters
    ----------
    rows : the `report` table
    drawn : sections that the page lays out itself
    """
    added = rows[~rows["section"].isin(drawn) & rows["x"].isna()]
    for section, mine in added.groupby("section", sort=False):
        mine = mine.sort_values("key", key=lambda key: key.notna(), kind="stable")
        whose = map(_whose, mine["sample"], mine["level"], mine["key"])
        measures = mine["metric"].astype(str).str.replace("_", " ")
        shown = zip(whose, measures, mine["value"], mine["control"].astype(float), strict=True)
        n_left = max(0, len(mine) - MOST_ROWS)
        yield PlainTable(str(section), [*shown][:MOST_ROWS], n_left)


def _whose(sample: str | None, level: float | None, key: str | None) -> str:
    """Return the sample, level and part that a row is of, as far as it has them."""
    named = [sample, None if pd.isna(level) else f"level {level:.0f}", key]
    return " · ".join(name for name in named if not pd.isna(name))

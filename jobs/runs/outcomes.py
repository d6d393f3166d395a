"""Outcomes: what a stage passes to later ones, typed, and as the figures that the ledger keeps.

A numeric field is a figure of the same name. A tuple is one figure per level, a mapping one per
sample or the like: ``per("n_nodes_{}")`` gives their names. A field added later needs a default,
for older ledgers.
"""

import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, Self, get_type_hints

from jobs.ledger.events import Figures

_PATTERN, _NAMES, _UNKEPT = "pattern", "names", "unkept"


def per(pattern: str, names: str = r"\w+") -> Any:
    """Declare a field that is several figures.

    Parameters
    ----------
    pattern : pattern of their names; ``{}`` is the level or the name
    names : a regular expression that matches what may replace ``{}``
    """
    return field(metadata={_PATTERN: pattern, _NAMES: names})


def unkept(default: Any) -> Any:
    """Declare a field that is not a figure and that the ledger does not keep."""
    return field(default=default, metadata={_UNKEPT: True})


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a stage found out; subclasses are frozen dataclasses of numbers."""

    @property
    def summary(self) -> str | None:
        """A line for people, kept in the ledger's notes, or None."""
        return None

    def figures(self) -> Figures:
        """Return the outcome as figures."""
        figures: Figures = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if _UNKEPT in f.metadata:
                continue
            if _PATTERN not in f.metadata:
                figures[f.name] = float(value)
            elif isinstance(value, Mapping):
                figures |= {f.metadata[_PATTERN].format(k): float(v) for k, v in value.items()}
            else:
                named = enumerate(value, start=1)
                figures |= {f.metadata[_PATTERN].format(t): float(v) for t, v in named}
        return figures

    @classmethod
    def of(cls, figures: Mapping[str, float]) -> Self:
        """Rebuild the outcome from its figures; unknown ones are ignored."""
        hints = get_type_hints(cls)
        return cls(**{f.name: _read(f, str(hints[f.name]), figures) for f in fields(cls)})


def _read(f: "Field[Any]", hint: str, figures: Mapping[str, float]) -> Any:
    kind = int if "int" in hint else float
    if _UNKEPT in f.metadata:
        return f.default
    if _PATTERN not in f.metadata:
        is_new = f.name not in figures and f.default is not MISSING
        return f.default if is_new else kind(figures[f.name])
    before, _, after = f.metadata[_PATTERN].partition("{}")
    shape = re.compile(f"{re.escape(before)}({f.metadata[_NAMES]}){re.escape(after)}")
    found = {match[1]: kind(v) for name, v in figures.items() if (match := shape.fullmatch(name))}
    if "tuple" in hint:
        return tuple(found[str(t)] for t in range(1, len(found) + 1))
    return found

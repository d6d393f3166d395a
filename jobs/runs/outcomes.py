"""Outcomes: what a stage hands to those after it, typed, and as the figures that the ledger keeps.

A field that is a number is a figure of its name. A tuple is one figure a level, a mapping one a
sample or the like: ``per("n_nodes_{}")`` says what they are called. A field that is added later has
a default, for ledgers of before.
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
    pattern : what they are called; ``{}`` stands for the level or the name
    names : a regular expression of what may stand there
    """
    return field(metadata={_PATTERN: pattern, _NAMES: names})


def unkept(default: Any) -> Any:
    """Declare a field that is no figure, and that the ledger does not keep."""
    return field(default=default, metadata={_UNKEPT: True})


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a stage found out; subclasses are frozen dataclasses of numbers."""

    @property
    def summary(self) -> str | None:
        """What the ledger's notes say of it to people, if anything."""
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
        """Return the outcome that figures tell of; those that it does not know are passed over."""
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

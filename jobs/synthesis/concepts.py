"""Concepts, wherever they come from: what they are called, and how many points the pool has."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.config.errors import InputError
from jobs.synthesis.words import words_of
from udfs.kernels.sampling.remainders import largest_remainders, scarcity_weights

MOST_CONCEPTS = 100_000  # they and their captions are checked on the driver
_LONGEST_NAME = 100  # characters


@dataclass(frozen=True)
class Concept:
    """One concept.

    Attributes
    ----------
    level, node_id : level and number of its node in the tree, or None
    n_points : points of the pool; None if they were not counted
    weight : the user's weight; later multiplied by the scarcity of its points
    backgrounds : backgrounds for its captions; None: those of the config
    quota : captions to write
    """

    name: str
    aliases: tuple[str, ...] = ()
    level: int | None = None
    node_id: int | None = None
    n_points: int | None = None
    weight: float = 1.0
    backgrounds: tuple[str, ...] | None = None
    quota: int = 0

    @property
    def called(self) -> list[list[str]]:
        """The words of its name and of its aliases."""
        return [words_of(name) for name in (self.name, *self.aliases)]


def checked(concepts: Sequence[Concept], source: str) -> list[Concept]:
    """Return concepts with tidy names.

    Parameters
    ----------
    source : what they come from, for messages

    Raises
    ------
    InputError
        If there are none or too many, or one has no name, another's name, or an invalid weight.
    """
    if not 0 < len(concepts) <= MOST_CONCEPTS:
        raise InputError(
            f"{source}: {len(concepts)} concepts; want at least 1 and at most {MOST_CONCEPTS}"
        )
    tidy = [replace(each, name=_on_one_line(each.name)) for each in concepts]
    bad = [each.name for each in tidy if not _is_name(each.name)]
    if bad:
        raise InputError(
            f"{source}: {len(bad)} concepts without a proper name, such as {bad[0]!r:.120}; want "
            f"letters or digits, at most {_LONGEST_NAME} characters"
        )
    named: dict[tuple[object, ...], str] = {}
    for each in tidy:
        key = (*words_of(each.name), each.node_id)
        if key in named:
            raise InputError(
                f"{source}: {each.name!r} and {named[key]!r} are one name; want each concept once: "
                "tell homonyms apart by another word, and give other names as aliases"
            )
        named[key] = each.name
    wrong = [each for each in tidy if not 0 <= each.weight < float("inf")]
    if wrong or not any(each.weight > 0 for each in tidy):
        found = f"{wrong[0].name!r} has weight {wrong[0].weight}" if wrong else "all weights are 0"
        raise InputError(f"{source}: {found}; want finite weights from 0 on, one of them above")
    return tidy


def _on_one_line(name: str | None) -> str:
    """Return a name without line ends, control characters and changes of direction."""
    return " ".join("".join(c if c.isprintable() else " " for c in name or "").split())


def _is_name(name: str) -> bool:
    return bool(words_of(name)) and len(name) <= _LONGEST_NAME


def counted(concepts: Sequence[Concept], by_label: Mapping[str, int]) -> list[Concept]:
    """Return concepts with the points whose label is their name or one of their aliases.

    Parameters
    ----------
    by_label : label -> points of the pool
    """
    found: dict[tuple[str, ...], int] = {}
    for label, n in by_label.items():
        key = tuple(words_of(label))
        found[key] = found.get(key, 0) + n
    return [
        replace(each, n_points=sum(found.get(name, 0) for name in {*map(tuple, each.called)}))
        for each in concepts
    ]


def with_quotas(concepts: Sequence[Concept], total: int, occupancy: float) -> list[Concept]:
    """Return concepts with their weights and quotas; what the pool has little of weighs most.

    Parameters
    ----------
    total : captions over all concepts
    occupancy : the power of (1 + points) that weights fall with
    """
    n_points = np.array([each.n_points or 0 for each in concepts], np.int64)
    weights = np.array([each.weight for each in concepts]) * scarcity_weights(n_points, occupancy)
    quotas = largest_remainders(total, weights)
    pairs = zip(concepts, weights.tolist(), quotas.tolist(), strict=True)
    return [replace(each, weight=weight, quota=quota) for each, weight, quota in pairs]


def slots(concepts: Sequence[Concept], order: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return which concept each slot is for, in an order by hash : (n_captions,) int64.

    Parameters
    ----------
    order : (n_captions,) hashes
    """
    ids = np.repeat(np.arange(len(concepts)), [each.quota for each in concepts])
    found: NDArray[np.int64] = ids[np.argsort(order, kind="stable")]
    return found


def as_table(concepts: Sequence[Concept]) -> pa.Table:
    """Return rows of ``synthesis_concepts``."""
    return pa.table(
        {
            "concept_id": pa.array(range(len(concepts)), pa.int64()),
            "concept": [each.name for each in concepts],
            "aliases": pa.array([[*each.aliases] for each in concepts], pa.list_(pa.string())),
            "backgrounds": pa.array(
                [None if each.backgrounds is None else [*each.backgrounds] for each in concepts],
                pa.list_(pa.string()),
            ),
            "level": pa.array([each.level for each in concepts], pa.int32()),
            "node_id": pa.array([each.node_id for each in concepts], pa.int64()),
            "n_points": pa.array([each.n_points for each in concepts], pa.int64()),
            "weight": [each.weight for each in concepts],
            "quota": pa.array([each.quota for each in concepts], pa.int64()),
        }
    )


def from_table(rows: pa.Table) -> list[Concept]:
    """Return the concepts in rows of ``synthesis_concepts``, by their ids."""
    return [
        Concept(
            name=row["concept"],
            aliases=tuple(row["aliases"]),
            level=row["level"],
            node_id=row["node_id"],
            n_points=row["n_points"],
            weight=row["weight"],
            backgrounds=None if row["backgrounds"] is None else tuple(row["backgrounds"]),
            quota=row["quota"],
        )
        for row in rows.sort_by("concept_id").to_pylist()
    ]


def texts_of(values: Iterable[str | None] | str | None) -> tuple[str, ...]:
    """Return texts of a column that holds one or several: on one line each, without empty ones."""
    several = [values] if isinstance(values, str) else values or []
    return tuple(text for value in several if (text := _on_one_line(value)))

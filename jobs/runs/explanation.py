"""What is known about one id, as text and as plain data."""

from dataclasses import asdict, dataclass, field
from typing import Any

from pyspark.sql import DataFrame

from jobs.pool.ids import Id, is_id


@dataclass(frozen=True)
class Gate:
    """The gates' verdict: accepted, rejected with stage and reason, or no such id."""

    status: str
    stage: str | None = None
    reason: str | None = None
    detail: str | None = None

    def __str__(self) -> str:
        """Return it as a reason."""
        if self.status != "rejected":
            return self.status
        return f"rejected: {self.reason}" + (f", {self.detail}" if self.detail else "")


def rejection(rejects: DataFrame, id_: Id) -> Gate | None:
    """Return why an id was rejected, or None if it was not.

    Parameters
    ----------
    rejects : a stage's rows of ``rejects``
    """
    found = rejects.where(is_id(id_)).select("stage", "reason", "detail").take(1)
    return Gate("rejected", *found[0]) if found else None


@dataclass(frozen=True)
class Node:
    """A node on the point's path, with its points and its quota per sample."""

    level: int
    node_id: int
    n_points: int
    quotas: dict[str, int]

    def __str__(self) -> str:
        """Return it as one line."""
        kind = "leaf" if self.level == 1 else f"level {self.level}, node"
        quotas = ", ".join(f"{quota} for {sample}" for sample, quota in self.quotas.items())
        return f"{kind} {self.node_id}: {self.n_points} points, quota {quotas}"


@dataclass(frozen=True)
class Place:
    """The point's place in a sample, or why it has none.

    Attributes
    ----------
    rank : in its leaf, from 0; None if the sample has no ranks
    position : in the sample, from 0, of its first replica
    part : for a blend: which of its parts holds the point
    """

    sample: str
    replicas: list[int]
    rank: int | None = None
    why_not: str | None = None
    position: int | None = None
    part: str | None = None

    def __str__(self) -> str:
        """Return it as one line."""
        if self.why_not is not None:
            return f"sample {self.sample}: not in it: {self.why_not}"
        times = f", {len(self.replicas)} times" if len(self.replicas) > 1 else ""
        facts = [f"sample {self.sample}: in it{times}"]
        if self.position is not None:
            facts.append(f"position {self.position}")
        if self.rank is not None:
            facts.append(f"rank {self.rank} in its leaf")
        if self.part is not None:
            facts.append(f"taken of {self.part}")
        return ", ".join(facts)


@dataclass(frozen=True)
class Explanation:
    """Everything about one id; ``path`` from leaf to top."""

    id: str | int
    pool: str
    version: str
    model: str
    gate: Gate = Gate("accepted")
    path: list[Node] = field(default_factory=list)
    samples: list[Place] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # from stages beside the run

    def __str__(self) -> str:
        """Return it for people, one fact per line."""
        stage = f" by {self.gate.stage}" if self.gate.stage else ""
        facts = [
            f"id {self.id!r} of {self.pool}, version {self.version}",
            f"embedding: {self.model}",
            f"gate{stage}: {self.gate}",
        ]
        return "\n".join([*facts, *map(str, self.path), *map(str, self.samples), *self.notes])

    @property
    def is_over(self) -> bool:
        """Whether a gate rejected the id, or there is no such id."""
        return self.gate.status != "accepted"

    def as_dict(self) -> dict[str, Any]:
        """Return the same facts as plain data."""
        return {"explanation": asdict(self)}

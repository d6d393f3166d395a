"""The keys of ``cluster``: the tree, and how it is grown."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_serializer, field_validator, model_validator
from pydantic_core import PydanticCustomError

from jobs.sections.kinds import HOW, Fraction, Positive, Section

FLAT_CLUSTERS = 5000  # split: auto splits level 1 above this
FLAT_CLUSTERS_ABOVE = 20_000  # the same for other levels: splitting costs them their resampling
RESAMPLING_ROUNDS = 10  # default for given levels, as in the paper


class MinibatchConfig(Section):
    """Mini-batch iterations."""

    batch_fraction: Fraction = 0.25
    max_no_improvement: Positive = 10
    reassignment_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.01


Rounds = Annotated[int, Field(ge=0)]
Points = Annotated[int, Field(ge=1)] | Literal["auto"]


class ResamplingConfig(Section):
    """Resampling rounds of every level; lists are leaves first, like ``levels``."""

    rounds: Rounds | list[Rounds] | Literal["auto"] = "auto"
    points: Points | list[Points] = "auto"


class ClusterConfig(Section):
    """The tree."""

    levels: list[Positive] = []  # empty means "auto"
    algorithm: Literal["auto", "minibatch", "lloyd"] = "auto"
    solver: Annotated[Literal["auto", "spark", "local"], HOW] = "auto"
    minibatch: MinibatchConfig = MinibatchConfig()
    max_iter: Positive = 50
    tol: Annotated[float, Field(ge=0, lt=1)] = 1e-4
    resampling: ResamplingConfig = ResamplingConfig()
    split: Annotated[int, Field(ge=2)] | Literal["auto", "off"] = "auto"
    max_cell_rows: Positive = 2_000_000
    checkpoint_interval: Annotated[Positive, HOW] = 300

    @field_validator("levels", mode="before")
    @classmethod
    def _levels_are_given(cls, levels: Any) -> Any:
        if levels == "auto":
            return []
        if not isinstance(levels, list) or not levels:
            raise PydanticCustomError(
                "no_levels", "'auto', or nodes per level, leaves first: [1000, 100]"
            )
        return levels

    @field_serializer("levels")
    def _levels_as_given(self, levels: list[int]) -> list[int] | str:
        return levels or "auto"

    @model_validator(mode="after")
    def _levels_shrink(self) -> Self:
        for i, k in enumerate(self.levels):
            if i and k >= self.levels[i - 1]:
                raise ValueError(
                    f"levels[{i}]={k} is not below levels[{i - 1}]={self.levels[i - 1]}; "
                    "want nodes per level, leaves first, each level smaller"
                )
        for key in ("rounds", "points"):
            per_level = getattr(self.resampling, key)
            if isinstance(per_level, list) and not self.levels:
                raise ValueError(
                    f"resampling.{key}={per_level} needs levels; give both, or leave it to auto"
                )
            if isinstance(per_level, list) and len(per_level) != len(self.levels):
                raise ValueError(
                    f"resampling.{key} has {len(per_level)} entries for {len(self.levels)} "
                    "levels; want one number or one per level"
                )
        return self

    def cells_at(self, level: int) -> int:
        """Return the number of coarse cells that a level is split into; 0 if it is not split."""
        k = self.levels[level - 1]
        if isinstance(self.split, int):
            return min(self.split, k) if level == 1 else 0
        flat = FLAT_CLUSTERS if level == 1 else FLAT_CLUSTERS_ABOVE
        return round(k**0.5) if self.split == "auto" and k > flat else 0

    def rounds_at(self, level: int) -> int:
        """Return the resampling rounds of a level (1 = the leaves)."""
        rounds = self.resampling.rounds
        if rounds == "auto":
            return RESAMPLING_ROUNDS
        return rounds if isinstance(rounds, int) else rounds[level - 1]

    def points_at(self, level: int) -> int | None:
        """Return the number of points kept per cluster at a level; None for automatic."""
        points = self.resampling.points
        chosen = points[level - 1] if isinstance(points, list) else points
        return None if chosen == "auto" else chosen

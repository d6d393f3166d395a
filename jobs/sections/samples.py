"""Config of the samples: how large they are, and what they must, may and must not hold."""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from jobs.sections.kinds import (
    HOW,
    Count,
    CountsFrom,
    Fraction,
    LedBy,
    Name,
    Place,
    Positive,
    Section,
    TableConfig,
)
from jobs.sections.likeness import Like, LikeConfig
from jobs.sections.node_rules import NodeRules, NodeRulesTable
from jobs.sections.share import ShareConfig

_ROUNDING = 1e-6  # tolerance for shares written as decimals
PartOfSample = Annotated[float, Field(ge=0, le=1)]


class TotalConfig(Section):
    """A size given as the total of a column, such as tokens: as many rows as sum to it."""

    total: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    of: str


class CoverageConfig(Section):
    """A size given by the tree: the fewest rows that reach this share of the leaves."""

    coverage: Fraction


def _size(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    if isinstance(value, dict):
        kind = CoverageConfig if "coverage" in value else TotalConfig
        return kind.model_validate(value)
    try:
        return validate(value)
    except ValidationError as error:
        raise PydanticCustomError(
            "no_size",
            "a number of rows, a part of the pool between 0 and 1, a total of a metadata column "
            "such as {total: 1000000, of: tokens}, or a share of the leaves: {coverage: 0.9}",
        ) from error


PartOfPool = Annotated[float, Field(gt=0, lt=1)]
Size = Annotated[Positive | PartOfPool | TotalConfig | CoverageConfig, WrapValidator(_size)]


class WeightConfig(Section):
    """A column by which rows of a leaf are preferred: drawn in proportion to value^strength."""

    by: str
    strength: Annotated[float, Field(gt=0, le=100)] = 1.0


class ValueQuota(Section):
    """How many rows of a sample have a value: a share of its size, or counts."""

    share: PartOfSample | None = None
    count: Count | None = None
    min: Count | None = None
    max: Count | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = [
            name for name in ("share", "count", "min", "max") if getattr(self, name) is not None
        ]
        if given not in (["share"], ["count"], ["min"], ["max"], ["min", "max"]):
            found = " beside ".join(given) or "share is missing"
            raise ValueError(f"{found}; want one of share and count, or min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min={self.min} is more than max={self.max}")
        return self


class QuotasConfig(Section):
    """Quotas of a metadata column's values; rows of all others are free."""

    by: str
    values: Annotated[dict[str, ValueQuota], Field(min_length=1)]


class PerNodeConfig(Section):
    """The fewest and the most rows below every node of a level; smaller nodes give all rows."""

    level: Positive | Literal["top"] = "top"
    min: Count = 0
    max: Positive | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.max is not None and self.min > self.max:
            raise ValueError(f"min={self.min} is more than max={self.max}")
        return self


class IdsConfig(TableConfig):
    """A table whose ids a sample must, or must not, hold."""

    table: Place
    id: str = "id"
    # of the table as found; enters the stage's key separately
    fingerprint: Annotated[str | None, HOW] = None


def _picked(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    if isinstance(value, dict):
        return IdsConfig.model_validate(value)
    if value is None or isinstance(value, str | IdsConfig):
        return validate(value)
    raise PydanticCustomError(
        "no_pick", "a SQL filter, or a table of ids such as {table: /lake/gold, id: id}"
    )


# a filter, or a table of ids
Picked = Annotated[str | IdsConfig | None, WrapValidator(_picked)]


# sample name -> its share of the rows
Blend = Annotated[dict[str, Fraction], Field(min_length=1)] | None
_OF_A_BLEND = {"name", "target_size", "blend", "on_worse_than_uniform"}  # keys of a blend


class SampleConfig(Section):
    """One sample drawn from the tree."""

    name: Name
    target_size: Size
    strategy: Literal["random", "closest", "diverse"] = "random"
    replicas: Positive = 1
    share: ShareConfig = ShareConfig()
    must_include: Annotated[Picked, CountsFrom(None)] = None
    must_exclude: Annotated[Picked, CountsFrom(None)] = None
    weight: Annotated[WeightConfig | None, CountsFrom(None)] = None
    quotas: Annotated[QuotasConfig | None, CountsFrom(None)] = None
    per_node: Annotated[PerNodeConfig | None, CountsFrom(None)] = None
    node_rules: Annotated[NodeRules, CountsFrom([])] = []
    like: Annotated[Like, CountsFrom(None)] = None
    unlike: Annotated[Like, CountsFrom(None)] = None
    blend: Annotated[Blend, CountsFrom(None)] = None
    on_worse_than_uniform: Annotated[Literal["warn", "fail"], HOW] = "warn"

    @property
    def columns(self) -> dict[str, str]:
        """The metadata columns that it names, by the config key below the sample."""
        named: dict[str, Any] = {
            "target_size.of": getattr(self.target_size, "of", None),
            "weight.by": getattr(self.weight, "by", None),
            "quotas.by": getattr(self.quotas, "by", None),
        }
        return {key: name for key, name in named.items() if name is not None}

    @property
    def reads_metadata(self) -> bool:
        """Whether metadata decide which points it holds."""
        filters = (self.must_include, self.must_exclude)
        return bool(self.columns) or any(text is not None for text in filters)

    @property
    def is_constrained(self) -> bool:
        """Whether anything but the tree decides how many rows a node gives."""
        return bool(self.constraints or self.seeds)

    @property
    def constraints(self) -> list[str]:
        """The config keys that bound what it may hold."""
        keys = ("must_include", "must_exclude", "quotas", "per_node", "node_rules")
        return [key for key in keys if getattr(self, key)]

    @property
    def led_by(self) -> LedBy | None:
        """What decides what it holds, if that is not the tree alone."""
        return "seeds" if self.seeds else "constraints" if self.constraints else None

    @property
    def seeds(self) -> dict[str, LikeConfig]:
        """The rows that it is to be like or unlike, by the config key below the sample."""
        named = {"like": self.like, "unlike": self.unlike}
        return {key: given for key, given in named.items() if given is not None}

    @property
    def retrieved(self) -> dict[str, int]:
        """How many points nearest to each seed it is of, or not of, by the same keys."""
        return {key: of.nearest for key, of in self.seeds.items() if of.nearest is not None}

    @property
    def beside_tree(self) -> list[str]:
        """The config keys by which more than the tree decides which rows it holds."""
        others = [key for key in ("weight", "blend") if getattr(self, key) is not None]
        order = [] if self.strategy == "random" else ["strategy"]
        return [*order, *self.constraints, *self.seeds, *others]

    @property
    def is_picky(self) -> bool:
        """Whether it may hold some of the points only, or draws them in an order of its own."""
        return self.reads_metadata or bool(self.retrieved)

    @property
    def tables(self) -> dict[str, IdsConfig | NodeRulesTable | LikeConfig]:
        """The tables beside the pool that it names, by the config key below the sample."""
        keys = ("must_include", "must_exclude", "node_rules")
        named = {key: getattr(self, key) for key in keys}
        are_tables = {k: t for k, t in named.items() if isinstance(t, IdsConfig | NodeRulesTable)}
        return are_tables | self.seeds

    @property
    def is_told_in_rows(self) -> bool:
        """Whether its size is known before the tree is."""
        return not isinstance(self.target_size, TotalConfig | CoverageConfig)

    @property
    def n_strata(self) -> int:
        """The values with a quota, and one more for all others."""
        return 1 if self.quotas is None else len(self.quotas.values) + 1

    def rows_of(self, n_points: int) -> int:
        """Return the rows wanted of a pool; an upper bound if the size is not given in rows."""
        if isinstance(self.target_size, TotalConfig | CoverageConfig):
            return n_points * self.replicas
        if isinstance(self.target_size, float):
            return max(1, round(self.target_size * n_points))
        return self.target_size

    @model_validator(mode="before")
    @classmethod
    def _has_no_share(cls, given: Any) -> Any:
        """Leave nothing of a blend to ``auto``: it takes no share of the tree."""
        is_blend = isinstance(given, dict) and given.get("blend") is not None
        return {"share": {"leaves": 0.0}} | given if is_blend else given

    @model_validator(mode="after")
    def _can_be_blended(self) -> Self:
        if self.blend is None:
            return self
        plain = SampleConfig(name="x", target_size=1, share=ShareConfig(leaves=0.0))
        for key in type(self).model_fields:
            if key not in _OF_A_BLEND and getattr(self, key) != getattr(plain, key):
                raise ValueError(f"{key} beside blend; want it in the samples that are blended")
        if not self.is_told_in_rows:
            raise ValueError(
                "blend beside such a target_size; want a number of rows, or a part of the pool"
            )
        if abs((total := math.fsum(self.blend.values())) - 1) > _ROUNDING:
            raise ValueError(f"blend: its shares sum to {total:g}; want 1")
        return self

    @model_validator(mode="after")
    def _can_be_drawn(self) -> Self:
        if self.weight is not None and self.strategy != "random":
            raise ValueError(
                f"weight beside strategy={self.strategy!r}, which leaves nothing to chance; want "
                "strategy: random"
            )
        if self.quotas is not None and isinstance(self.target_size, CoverageConfig):
            raise ValueError(
                "quotas beside target_size.coverage; want a number of rows with quotas"
            )
        return self

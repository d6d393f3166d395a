"""The config: every key, its type and its bounds. ``conf/base.yaml`` explains each one.

A new key states with ``CountsFrom`` at which value it changes no stage key:
``jobs.config.identity``.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from jobs.config.embed_options import CODE, require_model
from jobs.config.secrets import blanked, without_secrets
from udfs.embedders.built_in import BUILT_IN

FLAT_CLUSTERS = 5000  # split: auto splits level 1 above this
FLAT_CLUSTERS_ABOVE = 20_000  # and other levels above this, as it costs them their resampling
RESAMPLING_ROUNDS = 10  # of given levels, where the config leaves it open: the paper's

HOW = "how, not what: the answer does not depend on it"


@dataclass(frozen=True)
class CountsFrom:
    """Marks a key that was added later: it is in no stage key while it has this value."""

    neutral: object


def _is_literal(place: str) -> str:
    if not place or "\0" in place or "${" in place:
        raise PydanticCustomError(
            "no_place", "a path or a name: some text, without ${, which Spark's SQL would replace"
        )
    return place


Place = Annotated[str, AfterValidator(_is_literal)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]+$", max_length=100)]
Positive = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(gt=0, le=1)]


class Section(BaseModel):
    """Frozen, strict about types and unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class InputConfig(Section):
    """Where the pool is and which of its columns are meant."""

    table: Place
    format: Literal["delta", "parquet", "json", "csv", "text", "binaryFile", "table"] | None = None
    options: dict[str, str] = {}
    where: str | None = None
    version: Annotated[int, Field(ge=0)] | None = None
    id: str = "id"
    content: str | None = None
    embedding: str | None = None
    metadata: list[str] = []

    @model_validator(mode="after")
    def _metadata_once(self) -> Self:
        for i, column in enumerate(self.metadata):
            if column in self.metadata[:i]:
                raise ValueError(
                    f"metadata[{i}]={column!r} is there already as "
                    f"metadata[{self.metadata.index(column)}]; name every column once"
                )
        return self


class OutputConfig(Section):
    """Where the tables go: a root folder, or a schema of a catalog."""

    root: Place | None = None
    catalog: Place | None = None
    schema_: Annotated[Place | None, Field(alias="schema")] = None
    table_prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]*$")] | None = None
    lease_seconds: Annotated[float, Field(ge=5)] = 300  # of silence, until another may take over

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.catalog is not None and self.schema_ is None:
            raise ValueError(f"catalog={self.catalog!r} needs a schema; name it in output.schema")
        if (self.root is None) == (self.schema_ is None):
            found = "missing, and so is" if self.root is None else f"{self.root!r} beside"
            raise ValueError(
                f"root is {found} output.schema; want one of them: root (a path), or schema "
                "(with or without catalog)"
            )
        return self


class EmbedConfig(Section):
    """How a row becomes a vector."""

    model: str = "precomputed"
    options: Annotated[dict[str, Any], CountsFrom({})] = {}
    # of a user's code; it enters the stage's key by itself, filled in where it is left open
    version: Annotated[str | None, HOW] = None
    normalize: bool = True
    batch_size: Positive = 256
    n_components: Annotated[int, Field(ge=2)] = 64
    fit_rows: Annotated[int, Field(ge=10)] = 20_000
    image_size: Annotated[int, Field(ge=2, le=64)] = 32
    image_mode: Literal["L", "RGB"] = "RGB"

    @property
    def is_code(self) -> bool:
        """Whether the embedder is the user's own code."""
        return self.model.startswith(CODE)

    @property
    def shared(self) -> dict[str, Any]:
        """The keys that embedders' options may name."""
        own = ("model", "options", "version")
        return {name: getattr(self, name) for name in type(self).model_fields if name not in own}

    @model_validator(mode="after")
    def _known_model(self) -> Self:
        require_model(self.model, self.version, self.shared, self.options)
        return self


class HygieneConfig(Section):
    """What may be wrong with how much of the pool."""

    max_reject_fraction: Annotated[float, Field(ge=0, le=1)] = 0.1
    max_norm_ratio: Annotated[float, Field(gt=1)] = 1000.0


class DedupConfig(Section):
    """Duplicate removal; not built yet."""

    exact: Literal[False] = False
    threshold: None = None
    against: Annotated[list[str], Field(max_length=0)] = []


class OutliersConfig(Section):
    """The outlier gate; not built yet."""

    method: None = None


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

    levels: list[Positive] = []  # as "auto" is kept
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
        """Return the coarse cells that a level is split into; 0 where it is not split."""
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
        """Return the points kept per cluster at a level; None for automatic."""
        points = self.resampling.points
        chosen = points[level - 1] if isinstance(points, list) else points
        return None if chosen == "auto" else chosen


class ShareConfig(Section):
    """How quotas follow leaves and points below; 0/0 is the paper's equal shares."""

    leaves: Annotated[float, Field(ge=0, le=1)] | Literal["auto"] = "auto"
    points: Annotated[float, Field(ge=0, le=1)] = 0.0

    @property
    def power_of_leaves(self) -> float:
        """The share of leaves, once it is settled."""
        if self.leaves == "auto":
            raise ValueError("share.leaves is not settled yet")
        return self.leaves


class SampleConfig(Section):
    """One sample drawn from the tree."""

    name: Name
    target_size: Positive
    strategy: Literal["random", "closest"] = "random"
    replicas: Positive = 1
    share: ShareConfig = ShareConfig()
    on_worse_than_uniform: Annotated[Literal["warn", "fail"], HOW] = "warn"


class ReportConfig(Section):
    """The report."""

    label: str | None = None


class UpdateConfig(Section):
    """Incremental upkeep; not built yet."""

    grow: Literal[False] = False


class RetentionConfig(Section):
    """How long superseded rows and files stay."""

    days: Positive = 30


class SparkConfig(Section):
    """The session that Evenlake starts itself; ignored where one is running."""

    master: str = "local[*]"
    driver_memory: Annotated[str, StringConstraints(pattern=r"^[1-9]\d*[kmg]$")] = "8g"
    shuffle_partitions: Positive = 8


class RunConfig(Section):
    """The whole config of one run."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    input: InputConfig
    output: OutputConfig
    embed: EmbedConfig = EmbedConfig()
    hygiene: HygieneConfig = HygieneConfig()
    dedup: DedupConfig = DedupConfig()
    outliers: OutliersConfig = OutliersConfig()
    cluster: ClusterConfig = ClusterConfig()
    samples: Annotated[list[SampleConfig], Field(min_length=1)]
    report: ReportConfig = ReportConfig()
    update: UpdateConfig = UpdateConfig()
    retention: RetentionConfig = RetentionConfig()
    spark: SparkConfig = SparkConfig()

    def missing(self, key: str) -> str:
        """Say that the embedder reads a column that the config does not name."""
        return (
            f"input.{key} is missing; embed.model={self.embed.model!r} reads the column that it "
            "names"
        )

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        names = [sample.name.lower() for sample in self.samples]  # as catalogs compare them
        for i, name in enumerate(names):
            if name in names[:i]:
                raise ValueError(
                    f"samples.{i}.name={self.samples[i].name!r} is taken by "
                    f"samples.{names.index(name)}; want unique names, whatever their case"
                )
        spec = BUILT_IN.get(self.embed.model)  # code says itself which of them it reads
        read = ("content", "embedding") if spec is None else (spec.reads,)
        if all(getattr(self.input, key) is None for key in read):
            raise ValueError(self.missing(read[0]))
        if self.report.label is not None and self.report.label not in self.input.metadata:
            raise ValueError(
                f"report.label={self.report.label!r} is not among input.metadata="
                f"{self.input.metadata}; add it there"
            )
        return self


def as_dict(config: RunConfig) -> dict[str, Any]:
    """Return the config as plain data, with the names that the YAML uses."""
    return config.model_dump(mode="json", by_alias=True)


def as_public_dict(config: RunConfig) -> dict[str, Any]:
    """Return the config as plain data without credentials: what may be kept and shown."""
    public: dict[str, Any] = blanked(as_dict(config), without_secrets)
    return public

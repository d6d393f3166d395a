"""The config: every key, its type and its bounds. ``conf/base.yaml`` explains each one.

A new key declares with ``CountsFrom`` the value at which it changes no stage key; see
``jobs.config.identity``.
"""

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    StringConstraints,
    model_validator,
)

from jobs.config.embed_options import pretrained_kind, require_model
from jobs.config.secrets import blanked, without_secrets
from jobs.sections.batches import BatchesConfig
from jobs.sections.cluster import ClusterConfig
from jobs.sections.contrast import ContrastConfig
from jobs.sections.dedup import DedupConfig, KeepConfig
from jobs.sections.kinds import HOW, POOL, CountsFrom, Format, LedBy, Place, Positive, Section
from jobs.sections.learnability import LearnabilityConfig
from jobs.sections.plug_ins import CODE
from jobs.sections.samples import SampleConfig
from jobs.sections.synthesis import SynthesisConfig
from udfs.embedders.built_in import BUILT_IN

EmbeddingType = Literal[
    "float32", "float64", "float16", "bfloat16", "int8", "uint8",
    "float32_be", "float64_be", "float16_be",
]  # fmt: skip


class InputConfig(Section):
    """Where the pool is and which of its columns to use."""

    table: Place
    format: Format | None = None
    options: dict[str, str] = {}
    where: str | None = None
    version: Annotated[int, Field(ge=0)] | None = None
    id: str = "id"
    content: str | None = None
    base: Annotated[Place | None, CountsFrom(None)] = None
    embedding: str | None = None
    embedding_type: Annotated[EmbeddingType | None, CountsFrom(None)] = None
    metadata: list[str] = []

    @property
    def metadata_names(self) -> list[str]:
        """What each column of the metadata is called: an expression's name stands after AS."""
        named = (re.search(r"(?i)\sAS\s+`?([^`()]+?)`?\s*$", text) for text in self.metadata)
        return [
            found[1] if found else text for found, text in zip(named, self.metadata, strict=True)
        ]

    @model_validator(mode="after")
    def _metadata_once(self) -> Self:
        names = self.metadata_names
        for i, name in enumerate(names):
            if name in names[:i]:
                raise ValueError(
                    f"metadata[{i}]={name!r} is there already as metadata[{names.index(name)}]; "
                    "name every column once"
                )
        return self


class OutputConfig(Section):
    """Where the tables go: a root folder, or a schema of a catalog."""

    root: Place | None = None
    catalog: Place | None = None
    schema_: Annotated[Place | None, Field(alias="schema")] = None
    table_prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]*$")] | None = None
    lease_seconds: Annotated[float, Field(ge=5)] = 300  # of silence before another may take over

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
    # of a model or the user's code, in the stage's key separately; determined if omitted
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
    def is_versioned(self) -> bool:
        """Whether the embedder is not Evenlake's own, so that it has a version to be found."""
        return self.is_code or pretrained_kind(self.model) is not None

    @property
    def shared(self) -> dict[str, Any]:
        """The keys that embedders' options may use."""
        own = ("model", "options", "version")
        return {name: getattr(self, name) for name in type(self).model_fields if name not in own}

    @model_validator(mode="after")
    def _known_model(self) -> Self:
        require_model(self.model, self.version, self.shared, self.options)
        return self


class HygieneConfig(Section):
    """How much of the pool may be bad, and how bad a row may be."""

    max_reject_fraction: Annotated[float, Field(ge=0, le=1)] = 0.1
    max_norm_ratio: Annotated[float, Field(gt=1)] = 1000.0


class OutliersConfig(Section):
    """The outlier gate."""

    method: Annotated[Literal["knn"] | None, CountsFrom(None)] = None
    max_score: Annotated[float, Field(gt=0), CountsFrom(6.0)] = 6.0


class ReportConfig(Section):
    """The report."""

    label: str | None = None
    judge: Annotated[str | None, CountsFrom(None)] = None
    examples: Annotated[int, Field(ge=0, le=12), CountsFrom(4)] = 4


class UpdateConfig(Section):
    """Incremental upkeep; not built yet."""

    grow: Literal[False] = False


class RetentionConfig(Section):
    """How long superseded rows and files stay."""

    days: Positive = 30


class SparkConfig(Section):
    """The session that Evenlake starts itself; ignored if one is running."""

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
    learnability: Annotated[LearnabilityConfig, CountsFrom(LearnabilityConfig())] = (
        LearnabilityConfig()
    )
    batches: Annotated[BatchesConfig, CountsFrom(BatchesConfig())] = BatchesConfig()
    contrast: Annotated[ContrastConfig, CountsFrom(ContrastConfig())] = ContrastConfig()
    synthesis: Annotated[SynthesisConfig, CountsFrom(SynthesisConfig())] = SynthesisConfig()
    update: UpdateConfig = UpdateConfig()
    retention: RetentionConfig = RetentionConfig()
    spark: SparkConfig = SparkConfig()

    @property
    def is_code(self) -> bool:
        """Whether it names Python code of the user's own."""
        scorers = [side.model for side in self.learnability.sides.values()]
        views, trainer = self.contrast.views, self.contrast.trainer
        others = [*scorers, trainer, views.model if views is not None else None]
        is_other = any(model is not None for model in others)
        return self.embed.is_code or is_other or self.synthesis.is_code

    def missing(self, key: str) -> str:
        """Return the message that the embedder reads a column that the config does not name."""
        return (
            f"input.{key} is missing; embed.model={self.embed.model!r} reads the column that it "
            "names"
        )

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        names = [sample.name.lower() for sample in self.samples]  # catalogs ignore case
        for i, name in enumerate(names):
            if name in names[:i]:
                raise ValueError(
                    f"samples.{i}.name={self.samples[i].name!r} is taken by "
                    f"samples.{names.index(name)}; want unique names, whatever their case"
                )
        spec = BUILT_IN.get(self.embed.model)  # user code declares which of them it reads
        read = (
            ("content", "embedding") if self.embed.is_code else (spec.reads if spec else "content",)
        )
        if all(getattr(self.input, key) is None for key in read):
            raise ValueError(self.missing(read[0]))
        for i, sample in enumerate(self.samples):
            for key, name in sample.columns.items():
                if name not in self.input.metadata_names:
                    raise ValueError(
                        f"samples.{i}.{key}={name!r} is not among input.metadata="
                        f"{self.input.metadata_names}; add it there"
                    )
            self._require_parts(i, sample.blend or {})
        if self.report.label is not None and self.report.label not in self.input.metadata_names:
            raise ValueError(
                f"report.label={self.report.label!r} is not among input.metadata="
                f"{self.input.metadata_names}; add it there"
            )
        keep = self.dedup.keep
        if isinstance(keep, KeepConfig) and keep.by not in self.input.metadata_names:
            raise ValueError(
                f"dedup.keep.by={keep.by!r} is not among input.metadata="
                f"{self.input.metadata_names}; add it there"
            )
        return self

    def _require_parts(self, i: int, blend: Iterable[str]) -> None:
        """Refuse a blend of what is no sample, or is a blend itself."""
        drawn = [s.name for s in self.samples if s.blend is None]
        for name in blend:
            if name == POOL and POOL in (s.name for s in self.samples):
                raise ValueError(
                    f"samples.{i}.blend.{POOL} means the pool itself, and a sample is named so "
                    "too; want another name for that sample"
                )
            if name not in (POOL, *drawn):
                is_blend = name in (s.name for s in self.samples)
                found = "is a blend itself" if is_blend else "is no sample"
                raise ValueError(
                    f"samples.{i}.blend.{name} {found}; want {POOL}, or the name of a sample that "
                    f"is no blend: {', '.join(drawn) or 'there is none'}"
                )

    @property
    def led(self) -> dict[str, LedBy]:
        """What decides what samples hold, and blends of them, where that is not the tree alone."""
        led = {s.name: s.led_by for s in self.samples if s.led_by is not None}
        for sample in self.samples:
            of_parts = {led[part] for part in sample.blend or {} if part in led}
            if of_parts:
                led[sample.name] = "seeds" if "seeds" in of_parts else "constraints"
        return led

    def is_to_cover(self, sample: SampleConfig) -> bool:
        """Whether to say so if a sample covers the pool worse than a uniform one."""
        return self.led.get(sample.name) != "seeds" or sample.on_worse_than_uniform == "fail"


def as_dict(config: RunConfig) -> dict[str, Any]:
    """Return the config as plain data, with the names that the YAML uses."""
    return config.model_dump(mode="json", by_alias=True)


def as_public_dict(config: RunConfig) -> dict[str, Any]:
    """Return the config as plain data without credentials, safe to keep and show."""
    public: dict[str, Any] = blanked(as_dict(config), without_secrets)
    return public

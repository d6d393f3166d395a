"""Config of synthetic data: for which concepts, how many captions, and what writes them."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from jobs.sections.images import ImagesConfig
from jobs.sections.kinds import HOW, Place, Positive, Section, TableConfig
from jobs.sections.plug_ins import CODE, own_options
from udfs.captioners.built_in import CAPTIONERS

TREE, LABEL = "tree", "label"
_CODE = re.compile(rf"{CODE}[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


class ConceptsConfig(TableConfig):
    """A table of concepts: columns, or SQL expressions over them."""

    table: Place
    concept: str = "concept"
    aliases: str | None = None
    weight: str | None = None
    backgrounds: str | None = None


class ChecksConfig(Section):
    """What a caption has to be."""

    min_words: Positive = 4
    max_words: Positive = 60
    max_similarity: Annotated[float, Field(gt=0, le=1)] = 0.9

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_words > self.max_words:
            raise ValueError(
                f"min_words={self.min_words} is more than max_words={self.max_words}; want at most "
                "that"
            )
        return self


class CallsConfig(Section):
    """How a captioner is called; no key of it changes a caption that is stored."""

    at_once: Annotated[Positive, HOW] = 4
    per_minute: Annotated[float | None, Field(gt=0), HOW] = None
    retries: Annotated[int, Field(ge=0), HOW] = 5
    timeout: Annotated[float, Field(gt=0), HOW] = 60.0
    save_every: Annotated[float, Field(ge=0), HOW] = 30.0
    seconds: Annotated[float | None, Field(gt=0), HOW] = None


class SynthesisConfig(ImagesConfig):
    """Synthetic data for concepts that the lake has little of; off while none are named."""

    concepts: Literal["tree", "label"] | ConceptsConfig | None = None
    level: Positive | None = None
    occupancy: Annotated[float, Field(ge=0, le=4)] = 1.0
    n_captions: Positive | None = None
    backgrounds: list[str] | None = None
    captioner: str = "grammar"
    captioner_options: dict[str, Any] = {}
    captioner_version: str | None = None  # of a model or the user's code; determined if omitted
    checks: ChecksConfig = ChecksConfig()
    max_rounds: Positive = 20
    calls: CallsConfig = CallsConfig()
    on_shortfall: Annotated[Literal["warn", "fail"], HOW] = "warn"

    @property
    def captioner_is_code(self) -> bool:
        """Whether the captioner is the user's own code."""
        return self.captioner.startswith(CODE)

    @property
    def is_code(self) -> bool:
        """Whether any of it is the user's own code."""
        return self.captioner_is_code or self.generator.startswith(CODE)

    @model_validator(mode="after")
    def _has_size(self) -> Self:
        if self.concepts is not None and self.n_captions is None:
            raise ValueError(
                "n_captions is missing; want how many captions to write over all concepts, such as "
                "n_captions: 1000"
            )
        if self.level is not None and self.concepts != TREE:
            raise ValueError(
                f"level={self.level} beside concepts={_shown(self.concepts)}; want it with "
                "concepts: tree, whose nodes at that level are the concepts"
            )
        return self

    @model_validator(mode="after")
    def _known_captioner(self) -> Self:
        if self.captioner_is_code:
            if not _CODE.fullmatch(self.captioner):
                raise ValueError(
                    f"captioner={self.captioner!r}: want python:package.module:factory, such as "
                    "python:my_captioner:make"
                )
            return self
        kind, colon, name = self.captioner.partition(":")
        spec = CAPTIONERS.get(kind)
        if spec is None or bool(colon and name) != spec.takes_name:
            *names, last = [f"{s.name}:..." if s.takes_name else repr(s.name) for s in _specs()]
            raise ValueError(
                f"captioner={self.captioner!r}: want {', '.join([*names, last])} or {CODE}..."
            )
        own = own_options(
            spec.options, self.captioner_options, "synthesis", ("captioner", spec.name), _OPTIONS
        )
        spec.options(**own)
        return self


_OPTIONS = "captioner_options"


def _specs() -> list[Any]:
    return [*CAPTIONERS.values()]


def _shown(concepts: ConceptsConfig | str | None) -> str:
    return concepts.table if isinstance(concepts, ConceptsConfig) else str(concepts)

"""Config of synthetic images: how many, what makes them, and which sample they may join."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from jobs.sections.kinds import Name, Positive, Section
from udfs.generators.built_in import require_generator


class JoinConfig(Section):
    """A sample that synthetic images join, in a table of its own."""

    sample: Name
    max_per_node: Positive


class ImagesConfig(Section):
    """Images of captions."""

    images_per_caption: Positive = 4
    generator: str = "procedural"
    image_size: Annotated[int | None, Field(ge=8, le=4096)] = None
    guidance: Annotated[float, Field(ge=0)] = 2.5
    steps: Positive = 50
    tries: Annotated[int, Field(ge=1, le=100)] = 3
    images: Literal["delta", "files"] = "delta"
    captions_per_batch: Positive = 64
    join: JoinConfig | None = None

    @model_validator(mode="after")
    def _known_generator(self) -> Self:
        require_generator(self.generator)
        return self

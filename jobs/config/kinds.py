"""Building blocks of the config: sections, kinds of values, and marks for stage keys."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

HOW = "how, not what: the answer does not depend on it"


@dataclass(frozen=True)
class CountsFrom:
    """Marks a config key that was added later: it enters no stage key while it has this value."""

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
    """A section of the config: frozen, strict about types and unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

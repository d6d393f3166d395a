"""Config of batches of hard negatives."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from jobs.sections.kinds import Section

_MOST = 8192  # rows of a batch if all its pairs are compared


class NegativesConfig(Section):
    """Batches whose points lie close together, so that telling them apart teaches much."""

    size: Annotated[int, Field(ge=2, lt=2**31)] = 256
    temperature: Annotated[float, Field(ge=0)] = 0.0
    max_cosine: Annotated[float | None, Field(gt=0, le=1)] = None
    drop_last: bool = False
    epoch: Annotated[int, Field(ge=0, lt=2**31)] = 0

    @model_validator(mode="after")
    def _can_be_guarded(self) -> Self:
        if self.max_cosine is not None and self.size > _MOST:
            raise ValueError(
                f"size={self.size} with max_cosine={self.max_cosine:g}: all pairs of a batch are "
                f"compared in one task; want at most {_MOST}, or max_cosine: null"
            )
        return self

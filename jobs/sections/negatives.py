"""Config of batches of hard negatives."""

from typing import Annotated

from pydantic import Field

from jobs.sections.kinds import Positive, Section


class NegativesConfig(Section):
    """Batches whose points lie close together, so that telling them apart teaches much."""

    size: Positive = 256
    temperature: Annotated[float, Field(ge=0)] = 0.0
    max_cosine: Annotated[float | None, Field(gt=0, le=1)] = None
    drop_last: bool = False
    epoch: Annotated[int, Field(ge=0, lt=2**31)] = 0

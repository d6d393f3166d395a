"""Config of learnability scores: where losses are, and how rows are drawn by them."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from jobs.config.kinds import Format, Fraction, Place, Positive, Section

POOL = "pool"  # the source that is no sample
Criterion = Literal["learnability", "hard", "easy_reference", "uniform"]


class LossesConfig(Section):
    """A table of losses, one a row; read as the pool is."""

    table: Place
    format: Format | None = None
    options: dict[str, str] = {}
    where: str | None = None
    version: Annotated[int | None, Field(ge=0)] = None
    id: str = "id"
    loss: str = "loss"
    fingerprint: str | None = None  # of what was found there; any other is refused


class LearnabilityConfig(Section):
    """What to train on next; off while there is no source."""

    source: str | None = None
    online: LossesConfig | None = None
    reference: LossesConfig | None = None
    criterion: Criterion = "learnability"
    temperature: Annotated[float, Field(gt=0)] = 1.0
    rounds: Positive = 1
    super_batch: Fraction = 1.0
    keep: Fraction = 0.5
    within_nodes: Annotated[int | None, Field(ge=1)] = None

    @model_validator(mode="after")
    def _has_losses(self) -> Self:
        missing = [name for name in ("online", "reference") if getattr(self, name) is None]
        if self.source is not None and missing:
            raise ValueError(
                f"{missing[0]} is missing; want the table of the {missing[0]} model's losses, such "
                "as {table: /lake/losses, id: id, loss: loss}"
            )
        return self

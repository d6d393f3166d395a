"""Config of rows that a sample is to be like, or unlike."""

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from jobs.sections.kinds import AlikeConfig, Positive


class LikeConfig(AlikeConfig):
    """Seeds: rows that a sample is to be like, or unlike, in a table beside the pool.

    Attributes
    ----------
    strength : exponent of a node's lift, its share of the seeds over its share of the pool's points
    strict : take nothing from leaves without a seed, or, if the sample is to be unlike, with one
    nearest : instead of weighting nodes, only this many points nearest to each seed, or all but
        these, may be in the sample
    """

    strength: Annotated[float, Field(gt=0, le=10)] = 1.0
    strict: bool = False
    nearest: Positive | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.nearest is not None and (self.strict or self.strength != 1):
            other = "strict" if self.strict else "strength"
            raise ValueError(f"{other} beside nearest, which weights no nodes; want one of them")
        return self


def _named(value: Any) -> Any:
    """Read a bare name as a table."""
    return {"table": value} if isinstance(value, str) else value


Like = Annotated[LikeConfig | None, BeforeValidator(_named)]

"""How the quotas of a tree's nodes follow what lies below them."""

from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from jobs.sections.kinds import Section

Power = Annotated[float, Field(ge=0, le=1)]


class Powers(NamedTuple):
    """A resolved share: a node's quota follows its leaves and points to these powers."""

    leaves: float = 0.0
    points: float = 0.0

    def __str__(self) -> str:
        """Return it in a few words."""
        of_points = f", {self.points:g} of points" if self.points else ""
        return f"{self.leaves:g} of leaves{of_points}"


class ShareConfig(Section):
    """How quotas follow leaves and points below; 0/0 is the paper's equal shares.

    Beside a number of leaves, points are 0 by default.
    """

    leaves: Power | Literal["auto"] = "auto"
    points: Power | Literal["auto"] = "auto"

    @property
    def is_open(self) -> bool:
        """Whether anything is left to ``auto``."""
        return "auto" in (self.leaves, self.points)

    @property
    def powers(self) -> Powers:
        """The powers, once they are resolved."""
        if self.leaves == "auto" or self.points == "auto":
            raise ValueError(f"{self} is not resolved yet")
        return Powers(self.leaves, self.points)

    @model_validator(mode="before")
    @classmethod
    def _of_leaves_alone(cls, given: Any) -> Any:
        is_alone = isinstance(given, dict) and given.get("leaves", "auto") != "auto"
        return {"points": 0.0} | given if is_alone else given

    def resolved(self, leaves: float, points: float) -> Self:
        """Return it with ``auto`` replaced by what was chosen."""
        chosen = {"leaves": leaves, "points": points}
        opens = {key: value for key, value in chosen.items() if getattr(self, key) == "auto"}
        return self.model_copy(update=opens)

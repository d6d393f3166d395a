"""Config of a sample's rules of single nodes: a list, or a table of them."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    TypeAdapter,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from jobs.sections.kinds import HOW, Count, Place, Positive, Section, TableConfig

_LEAST_FACTOR = 1e-6  # least factor of a node's weight


class NodeRule(Section):
    """What a person decided about a node of the tree.

    Attributes
    ----------
    rule : drop: it gives nothing; weight: its weight among its siblings is multiplied; cap: the
        most rows that it gives
    value : the factor, or the number of rows
    note : why; for people
    """

    level: Positive
    node_id: Count
    rule: Literal["drop", "weight", "cap"]
    value: Annotated[float | None, Field(ge=0, le=1e9)] = None
    note: str | None = None

    @model_validator(mode="after")
    def _has_its_value(self) -> Self:
        if self.rule == "drop":
            if self.value is not None:
                raise ValueError(f"drop with value={self.value:g}; want none")
        elif self.value is None:
            raise ValueError(f"{self.rule} without a value; want a number")
        elif self.rule == "weight" and self.value < _LEAST_FACTOR:
            raise ValueError(
                f"weight with value={self.value:g}; want {_LEAST_FACTOR} or more, or drop"
            )
        elif self.rule == "cap" and self.value % 1:
            raise ValueError(f"cap with value={self.value:g}; want a whole number of rows")
        return self


class NodeRulesTable(TableConfig):
    """A table of such rules : level, node_id, rule, value, note; tree_key if it is named."""

    table: Place
    # of the table as found; enters the stage's key separately
    fingerprint: Annotated[str | None, HOW] = None


def _rules(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    if isinstance(value, dict):
        return NodeRulesTable.model_validate(value)
    if isinstance(value, list):
        return TypeAdapter(list[NodeRule]).validate_python(value)
    if isinstance(value, NodeRulesTable):
        return validate(value)
    raise PydanticCustomError(
        "no_rules",
        "a list of rules such as {level: 1, node_id: 7, rule: drop}, or a table of them: {table: "
        "/lake/rules}",
    )


NodeRules = Annotated[list[NodeRule] | NodeRulesTable, WrapValidator(_rules)]

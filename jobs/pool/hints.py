"""What a config may have meant by a column that a pool does not have."""

from collections.abc import Sequence

_SEPARATORS = ";\t|"


def meant(columns: Sequence[str], name: str) -> str:
    """Return a hint to end a message with; empty if there is none.

    Parameters
    ----------
    columns : columns that the pool has
    name : the column that it lacks
    """
    twin = next((column for column in columns if column.lower() == name.lower()), None)
    if twin is not None and twin != name:
        return f"; write {twin}, which differs in case"
    if len(columns) == 1 and (sign := next((s for s in _SEPARATORS if s in columns[0]), None)):
        return (
            f"; if this is a header whose fields end in {sign!r}, set input.options.sep: {sign!r}"
        )
    return ""

"""Options of plug-ins: keys that a plug-in's dataclass declares, with their types checked."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import MISSING, fields
from typing import Any, get_type_hints

from pydantic import ConfigDict, ValidationError, create_model
from pydantic_core import ErrorDetails

CODE = "python:"  # the prefix of the user's own code, python:package.module:factory


def own_options(
    options: type[Any],
    given: Mapping[str, Any],
    section: str,
    plug_in: tuple[str, str],
    key: str,
    *,
    but: AbstractSet[str] = frozenset(),
) -> dict[str, Any]:
    """Return a plug-in's options, those left out at their defaults.

    Parameters
    ----------
    options : a dataclass
    section, key : config keys, such as ``embed`` and ``options``
    plug_in : the key of the section that names the plug-in, and its name
    but : fields that are keys of the section itself

    Raises
    ------
    ValueError
        As validators of the section raise it: its message begins with the key.
    """
    kinds = get_type_hints(options, include_extras=True)
    known: dict[str, Any] = {
        field.name: (kinds[field.name], ... if field.default is MISSING else field.default)
        for field in fields(options)
        if field.name not in but
    }
    if not known and not given:
        return {}
    strict = ConfigDict(strict=True, extra="forbid")
    try:
        checked = create_model(key, __config__=strict, **known).model_validate(dict(given))
    except ValidationError as error:
        named = f"{section}.{plug_in[0]}={plug_in[1]!r}"
        whole = f"{section}.{key} of {named}"
        raise ValueError(_explain(key, named, whole, known, error.errors()[0])) from None
    return {name: getattr(checked, name) for name in known}


def _explain(key: str, named: str, whole: str, known: Mapping[str, Any], d: ErrorDetails) -> str:
    at = ".".join([key, *map(str, d["loc"])])
    if d["type"] == "extra_forbidden":
        return f"{at}: unknown key; {whole} are: {', '.join(known) or 'none'}"
    if d["type"] == "missing":
        return f"{at}: missing; {named} needs it"
    return f"{at}={d['input']!r:.100}: want {d['msg'].removeprefix('Input should be ')}"

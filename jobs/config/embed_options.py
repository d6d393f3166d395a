"""The embedders and their options: keys of ``embed``, and of ``embed.options``."""

import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, get_type_hints

from pydantic import ConfigDict, ValidationError, create_model
from pydantic_core import ErrorDetails

from udfs.embedders.built_in import BUILT_IN, PRETRAINED
from udfs.embedders.pretrained import Kind
from udfs.embedders.specs import EmbedderSpec

CODE = "python:"  # the prefix of embed.model for the user's own code
_NAME = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"
_CODE = re.compile(f"{CODE}{_NAME}:{_NAME}")


def require_model(
    model: str, version: str | None, shared: Mapping[str, Any], own: Mapping[str, Any]
) -> None:
    """Make sure that the embedder exists, and that it accepts its options.

    Parameters
    ----------
    shared, own : as in ``options_of``; shared keys are checked even if this embedder ignores them

    Raises
    ------
    ValueError
        As validators of the section ``embed`` raise it: its message begins with the key.
    """
    for spec in BUILT_IN.values():
        if spec.name == model or all(field.name in shared for field in fields(spec.options)):
            options_of(spec, shared, own if spec.name == model else {})
    kind = pretrained_kind(model)
    if kind is not None and model != f"{kind.name}:":
        options_of(kind, {}, own)
        return
    if version is not None and not model.startswith(CODE):
        raise ValueError(
            f"version={version!r} is for models and code of your own (embed.model: "
            "sentence-transformers:..., onnx:... or python:...); leave it out"
        )
    if model in BUILT_IN or _CODE.fullmatch(model):
        return
    if model.startswith(CODE):
        raise ValueError(
            f"model={model!r}: want python:package.module:factory, such as python:my_embedder:make"
        )
    if kind is not None:
        raise ValueError(f"model={model!r}: want a path, or a model's name, after the colon")
    names = ", ".join(map(repr, BUILT_IN))
    *kinds, last = [f"{name}:..." for name in (*PRETRAINED, "python")]
    raise ValueError(f"model={model!r}: want {names}, {', '.join(kinds)} or {last}")


def pretrained_kind(model: str) -> Kind | None:
    """Return the kind of a pretrained model; None if it is another embedder."""
    kind, colon, _ = model.partition(":")
    return PRETRAINED.get(kind) if colon else None


def options_of(spec: EmbedderSpec | Kind, shared: Mapping[str, Any], own: Mapping[str, Any]) -> Any:
    """Return the options to pass to an embedder.

    Parameters
    ----------
    shared : the keys of ``embed``
    own : the keys of ``embed.options``

    Raises
    ------
    ValueError
        As validators of the section ``embed`` raise it: its message begins with the key.
    """
    given = {
        field.name: shared[field.name] for field in fields(spec.options) if field.name in shared
    }
    return spec.options(**given, **_own_options(spec, set(given), own))


def _own_options(
    spec: EmbedderSpec | Kind, given: set[str], own: Mapping[str, Any]
) -> dict[str, Any]:
    kinds = get_type_hints(spec.options, include_extras=True)
    known: dict[str, Any] = {
        field.name: (kinds[field.name], ... if field.default is MISSING else field.default)
        for field in fields(spec.options)
        if field.name not in given
    }
    if not known and not own:
        return {}
    strict = ConfigDict(strict=True, extra="forbid")
    try:
        checked = create_model(spec.name, __config__=strict, **known).model_validate(dict(own))
    except ValidationError as error:
        raise ValueError(_explain(spec, known, error.errors()[0])) from None
    return {name: getattr(checked, name) for name in known}


def _explain(spec: EmbedderSpec | Kind, known: Mapping[str, Any], detail: ErrorDetails) -> str:
    key = ".".join(["options", *map(str, detail["loc"])])
    if detail["type"] == "extra_forbidden":
        takes = ", ".join(known) or "none"
        return f"{key}: unknown key; embed.options of embed.model={spec.name!r} are: {takes}"
    if detail["type"] == "missing":
        return f"{key}: missing; embed.model={spec.name!r} needs it"
    wanted = detail["msg"].removeprefix("Input should be ")
    return f"{key}={detail['input']!r:.100}: want {wanted}"

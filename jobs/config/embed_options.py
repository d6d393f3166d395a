"""The embedders and their options: keys of ``embed``, and of ``embed.options``."""

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from jobs.sections.plug_ins import CODE, own_options
from udfs.embedders.built_in import BUILT_IN, PRETRAINED
from udfs.embedders.pretrained import Kind
from udfs.embedders.specs import EmbedderSpec

_NAME = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"
_CODE = re.compile(f"{CODE}{_NAME}:{_NAME}")


def require_model(
    model: str, version: str | None, shared: Mapping[str, Any], own: Mapping[str, Any]
) -> None:
    """Make sure that the embedder exists, and that it accepts its options.

    Parameters
    ----------
    shared, own : see ``options_of``; shared keys are checked even if this embedder ignores them

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
    taken = own_options(spec.options, own, "embed", ("model", spec.name), "options", but=set(given))
    return spec.options(**given, **taken)

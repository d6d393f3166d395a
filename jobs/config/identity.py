"""A config's identity: the parts that may shape rows, as plain data to hash into stage keys.

Stage keys outlive versions of the code, so a new config key must change no stage key while it has
the value that the code used before: it is marked ``CountsFrom(value)``. A key that affects how, not
what, is marked ``HOW`` and never counts.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from jobs.config.model import RunConfig, as_dict
from jobs.config.secrets import blanked, without_authority
from jobs.sections.kinds import HOW, CountsFrom

Plain = Mapping[str, Any]

# Removed keys count with their old default, so that lineages and stage keys stay the same.
_GONE = {"cluster": {"breathing": "auto"}}
# Defaults that have changed, with what they were: a config may have meant either.
_CHANGED = {"dedup": {"exact": False}}
# Sections other than the input whose options may hold credentials.
_WITH_OPTIONS = ("embed", "dedup", "learnability", "batches", "contrast", "synthesis")


def identity(config: RunConfig) -> dict[str, Any]:
    """Return the config as plain data, without what changes no row.

    Credentials for the input, an embedder and other tables rotate, so they are blanked out; the
    input's version is in its fingerprint.
    """
    plain = _counted(config, as_dict(config))
    for section, keys in _GONE.items():
        plain[section] = keys | plain[section]
    way = {k: plain["input"][k] for k in ("table", "options")}
    same = blanked(way, without_authority) | {"version": None}
    others = {k: blanked(plain[k], without_authority) for k in _WITH_OPTIONS if k in plain}
    samples = [
        of | {k: blanked(of[k], without_authority) for k in sample.tables if k in of}
        for sample, of in zip(config.samples, plain["samples"], strict=True)
    ]
    return plain | {"input": plain["input"] | same, "samples": samples} | others


def as_before(config: RunConfig) -> RunConfig:
    """Return the config as an earlier version read it, for keys whose defaults have changed."""
    sections = {
        section: getattr(config, section).model_copy(update=keys)
        for section, keys in _CHANGED.items()
    }
    return config.model_copy(update=sections)


def _counted(model: BaseModel, plain: Plain) -> dict[str, Any]:
    """Drop the keys of a section, given as plain data too, that do not count at their value."""
    counted: dict[str, Any] = {}
    for name, field in type(model).model_fields.items():
        key, value = field.alias or name, getattr(model, name)
        if any(mark is HOW or _is_neutral(mark, value) for mark in field.metadata):
            continue
        if isinstance(value, BaseModel):
            counted[key] = _counted(value, plain[key])
        elif isinstance(value, list):
            pairs = zip(value, plain[key], strict=True) if value else ()
            counted[key] = [
                _counted(item, data) if isinstance(item, BaseModel) else data
                for item, data in pairs
            ] or plain[key]
        else:
            counted[key] = plain[key]
    return counted


def _is_neutral(mark: object, value: object) -> bool:
    return isinstance(mark, CountsFrom) and mark.neutral == value


def picked(plain: Plain, paths: Iterable[str]) -> dict[str, Any]:
    """Return the parts of a config that dotted paths name; a path applies to each item of a list.

    Parts that are not in the identity are skipped.
    """
    found: dict[str, Any] = {}
    for path in paths:
        _merge(found, _pick(plain, path.split(".")))
    return found


def _pick(plain: Plain, path: list[str]) -> dict[str, Any]:
    key, rest = path[0], path[1:]
    if key not in plain:
        return {}
    value = plain[key]
    if not rest:
        return {key: value}
    if isinstance(value, list):
        return {key: [_pick(item, rest) for item in value]}
    return {key: _pick(value, rest)}


def _merge(into: dict[str, Any], more: Plain) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        elif isinstance(value, list) and isinstance(into.get(key), list) and into[key] != value:
            for mine, other in zip(into[key], value, strict=True):
                _merge(mine, other)
        else:
            into[key] = value


def label_rule(config: RunConfig) -> Mapping[str, str]:
    """Return how rows without a label count, if labels are named: it was otherwise once."""
    return {"unlabelled": "left out"} if config.report.label else {}

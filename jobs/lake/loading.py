"""Load a config: YAML, overrides, validation, and errors that name the key and the fix."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from jobs.lake.config import RunConfig
from jobs.lake.errors import ConfigError

# Keys whose one accepted value is their default: the feature is in the design, not yet in the code.
_NOT_BUILT = ("dedup.", "outliers.", "update.grow", "on_worse_than_uniform")


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a YAML file and apply ``key.sub=value`` overrides.

    Raises
    ------
    ConfigError
        Naming every wrong key, what was found, what is wanted and how to fix it.
    """
    return parse_config(read_yaml(path), overrides)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file by safe_load; its top must be a mapping."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read the config {path}: {error.strerror or error}") from error
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path} holds {type(data).__name__}; want a mapping of sections")
    return data


def parse_config(data: Mapping[str, Any], overrides: Sequence[str] = ()) -> RunConfig:
    """Validate plain data with overrides applied."""
    merged = _copy(data)
    for override in overrides:
        _apply(merged, override)
    try:
        return RunConfig.model_validate(merged)
    except ValidationError as error:
        lines = [_explain(detail) for detail in error.errors()]
        raise ConfigError("\n".join(dict.fromkeys(lines))) from error


def _copy(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {key: _copy(value) for key, value in data.items()}
    return [_copy(value) for value in data] if isinstance(data, list) else data


def _apply(data: dict[str, Any], override: str) -> None:
    """Set one ``key.sub=value`` (or ``samples.0.target_size=10``) in place."""
    key, equals, text = override.removeprefix("--").partition("=")
    if not equals or not key:
        raise ConfigError(f"override {override!r}: want key.sub=value, such as cluster.max_iter=20")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"override {override!r}: the value is not valid YAML") from error
    *path, last = key.split(".")
    target: Any = data
    for part in path:
        target = _step(target, part, override)
    if isinstance(target, list):
        target[_index(target, last, override)] = value
    elif isinstance(target, dict):
        target[last] = value
    else:
        raise ConfigError(f"override {override!r}: {'.'.join(path)} is not a section")


def _step(target: Any, part: str, override: str) -> Any:
    if isinstance(target, list):
        return target[_index(target, part, override)]
    if not isinstance(target, dict):
        raise ConfigError(f"override {override!r}: nothing below {part!r}")
    if target.get(part) is None:
        target[part] = {}
    return target[part]


def _index(target: list[Any], part: str, override: str) -> int:
    if not part.isdigit() or int(part) >= len(target):
        raise ConfigError(
            f"override {override!r}: {part!r} is no index of a list of {len(target)} entries"
        )
    return int(part)


def _explain(detail: ErrorDetails) -> str:
    """Say one validation error as: key, got, want, fix."""
    # a union's branches add their own names to the path; they start with a capital or hold a '['
    parts = [str(part) for part in detail["loc"]]
    parts = [p for p in parts if p.isdigit() or (p.islower() and p.replace("_", "").isalnum())]
    key = ".".join(p for p in parts if p not in ("int", "float", "str", "bool"))
    found = detail["input"]
    if detail["type"] == "extra_forbidden":
        return f"{key}: unknown key" + _suggest(key)
    if detail["type"] == "missing":
        return f"{key}: missing; every config needs it"
    if any(mark in key for mark in _NOT_BUILT):
        return f"{key}={found!r}: not built yet; leave it at its default"
    if detail["type"] == "value_error":
        message = detail["msg"].removeprefix("Value error, ")
        return f"{key}: {message}" if key else message
    if found == "auto":
        return f"{key}='auto': not built yet; give the value itself"
    message = detail["msg"].removeprefix("Input should be ")
    return f"{key}={found!r}: want {message[0].lower()}{message[1:]}"


def _suggest(key: str) -> str:
    known = list(_known_keys(RunConfig))
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if not close:  # the last word alone, wherever it belongs
        word = key.split(".")[-1]
        close = [k for k in known if k.split(".")[-1] == word][:1]
    return f"; did you mean {close[0]}?" if close else "; conf/base.yaml lists every key"


def _known_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Give every key of the config, dotted."""
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        yield key
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _known_keys(kind, key + ".")

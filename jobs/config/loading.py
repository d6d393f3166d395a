"""Load a config: YAML, overrides, validation, and errors that name the key and the fix."""

import difflib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from jobs.config.errors import ConfigError
from jobs.config.model import RunConfig
from jobs.sections.learnability import SIDES
from jobs.sections.plug_ins import CODE

# Keys that accept only their default: the feature is designed but not built yet.
_NOT_BUILT = ("update.grow",)
# Removed keys that configs may still have, and what to say about them.
_REMOVED = {"cluster.breathing": "levels above the first are no longer fitted by breathing k-means"}
_YAML_NAMES: dict[type, str] = {list: "a list", str: "text alone"}
# Our wording of pydantic's errors, by its name for the error.
_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping of its keys",
    "string_pattern_mismatch": "text that matches {pattern}",
    "string_too_long": "at most {max_length} characters",
    "too_short": "at least {min_length} entry",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
}


# Section -> the keys that name code or its options. The first may also name a plug-in that is not
# code.
_CODE_AT = [
    ("embed", ("model", "options")),
    *((f"learnability.{side}", ("model", "model_options")) for side in SIDES),
    ("contrast.views", ("model", "model_options")),
    ("contrast.trainer", ("model", "model_options")),
    ("synthesis", ("captioner", "captioner_options")),
    ("synthesis", ("generator",)),
]
_COMMANDS = [("learnability", ("trainer",))]  # always code


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a YAML file and apply ``key.sub=value`` overrides.

    If the file names the user's own code, modules next to the file become importable.

    Raises
    ------
    ConfigError
        Naming every wrong key, what was found, what is wanted and how to fix it.
    """
    config = parse_config(read_yaml(path), overrides)
    beside = str(Path(path).expanduser().resolve().parent)
    if config.is_code and beside not in sys.path:
        sys.path.append(beside)  # last, so that it shadows nothing
    return config


def parse_recorded(plain: Mapping[str, Any]) -> RunConfig:
    """Parse a config that an older version recorded; keys removed since are ignored.

    Raises
    ------
    ConfigError
    """
    config = _copy(plain)
    for key in _REMOVED:
        *sections, name = key.split(".")
        section = config
        for step in sections:
            section = section.get(step) if isinstance(section.get(step), dict) else {}
        section.pop(name, None)
    return parse_config(config)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file with safe_load; its top level must be a mapping."""
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read the config {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text at byte {error.start}; want YAML") from error
    try:
        _refuse_twins(yaml.compose(text, Loader=yaml.SafeLoader))
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML{_place(error)}") from error
    if data is None:
        raise ConfigError(f"{path} is empty; want a mapping of sections: input, output, samples")
    if not isinstance(data, dict):
        raise ConfigError(
            f"{path} holds {_YAML_NAMES.get(type(data), repr(data))}; want a mapping of sections: "
            "input, output, samples"
        )
    try:
        return dict(_copy(data))
    except RecursionError as error:
        raise ConfigError(f"{path} holds itself by an alias (& and *); write it out") from error


def _refuse_twins(top: yaml.Node | None) -> None:
    """Refuse a key that occurs twice in one mapping: YAML would keep only the last."""
    nodes, visited = [top], set[int]()
    while nodes:
        node = nodes.pop()
        if id(node) in visited or not isinstance(node, yaml.CollectionNode):
            continue
        visited.add(id(node))  # aliases turn the tree into a graph
        if isinstance(node, yaml.SequenceNode):
            nodes += node.value
            continue
        lines: dict[str, int] = {}
        for key, value in node.value:
            nodes.append(value)
            if isinstance(key, yaml.ScalarNode) and key.value in lines:
                raise yaml.MarkedYAMLError(
                    problem=f"{key.value!r} stands at line {lines[key.value]} already; keep one",
                    problem_mark=key.start_mark,
                )
            if isinstance(key, yaml.ScalarNode):
                lines[key.value] = key.start_mark.line + 1


def _place(error: yaml.YAMLError) -> str:
    """Return in one line where and how the YAML is wrong."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f" at line {error.problem_mark.line + 1}: {error.problem}"
    return f": {str(error).splitlines()[0]}"


def parse_config(data: Mapping[str, Any], overrides: Sequence[str] = ()) -> RunConfig:
    """Validate plain data with overrides applied."""
    merged = _copy(data)
    for override in overrides:
        _apply(merged, override)
    _refuse_code(data, merged)
    try:
        return RunConfig.model_validate(merged)
    except ValidationError as error:
        wrong: dict[str, list[ErrorDetails]] = {}
        for detail in error.errors():
            wrong.setdefault(_dotted(detail), []).append(detail)
        lines = [_explain(key, details) for key, details in wrong.items()]
        raise ConfigError("\n".join(lines)) from error


def _refuse_code(written: Mapping[str, Any], merged: Mapping[str, Any]) -> None:
    """Refuse overrides that choose the code to run, or its options."""
    for path, keys in [*_CODE_AT, *_COMMANDS]:
        given, asked = (_at(data, path) for data in (written, merged))
        is_code = str(asked.get(keys[0])).startswith(CODE) or (path, keys) in _COMMANDS
        if not is_code:
            continue
        for key in keys:
            if asked.get(key) != given.get(key):
                raise ConfigError(
                    f"{path}.{key}={asked.get(key)!r:.100}: not from the command line, as it says "
                    "which code runs with this job's rights; write it into the config file"
                )


def _at(data: Any, path: str) -> Mapping[str, Any]:
    """Return the section at a dotted path; empty if there is none."""
    for part in path.split("."):
        data = data.get(part) if isinstance(data, Mapping) else None
    return data if isinstance(data, Mapping) else {}


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
        raise ConfigError(
            f"override {override!r}: the value is not valid YAML; put it in quotes"
        ) from error
    target: Any = data
    *path, last = key.split(".")
    for i, part in enumerate(path):
        place = _place_of(target, part, override, ".".join(path[:i]))
        if isinstance(target, dict) and target.get(part) is None:
            target[part] = {}
        target = target[place]
    target[_place_of(target, last, override, ".".join(path))] = value


def _place_of(target: Any, part: str, override: str, above: str) -> str | int:
    """Return the key or index that a part of an override's key refers to."""
    if isinstance(target, dict):
        return part
    if not isinstance(target, list):
        raise ConfigError(f"override {override!r}: {above} is {target!r}, which has no keys")
    if not part.isdigit() or int(part) >= len(target):
        raise ConfigError(
            f"override {override!r}: {part!r} is no index of {above}, a list of {len(target)}; "
            "the first entry is 0"
        )
    return int(part)


def _dotted(detail: ErrorDetails) -> str:
    """Return the key that an error is about."""
    # a union's branches add their own names to the path: int, constrained-int, list[int]
    parts = [str(part) for part in detail["loc"]]
    branches = (
        "int", "float", "str", "bool", "constrained-int", "constrained-float", "KeepConfig",
        "ConceptsConfig",
    )  # fmt: skip
    return ".".join(p for p in parts if p not in branches and "[" not in p)


def _explain(key: str, details: list[ErrorDetails]) -> str:
    """Return what is wrong with a key: got, want, fix. A union has one detail per branch."""
    kind, found = details[0]["type"], details[0]["input"]
    if kind == "extra_forbidden":
        if key in _REMOVED:
            return f"{key}: no key any more; take it out, {_REMOVED[key]}"
        return f"{key}: unknown key" + _suggest(key)
    if kind == "missing":
        return f"{key}: missing; every config needs it"
    if kind == "invalid_key":
        return f"{found!r}: a key that is not text; quote it, as YAML reads yes and on as true"
    if any(mark in key for mark in _NOT_BUILT):
        return f"{key}={found!r}: not built yet; leave it at its default"
    if kind == "value_error":  # raised by a whole section; the message starts with the key in it
        message = details[0]["msg"].removeprefix("Value error, ")
        return f"{key}.{message}" if key else message
    wanted = " or ".join(dict.fromkeys(map(_wanted, details)))
    return f"{key}={found!r:.100}: want {wanted}{_mistyped(details[0])}"


def _wanted(detail: ErrorDetails) -> str:
    template = _WANTED.get(detail["type"])
    if template is None:
        return detail["msg"].removeprefix("Input should be ")
    bounds = detail.get("ctx", {}).items()
    return template.format(**{k: int(v) if v in (0.0, 1.0) else v for k, v in bounds})


def _mistyped(detail: ErrorDetails) -> str:
    """Return a hint for 1e-4, which YAML 1.1 takes for text."""
    if detail["type"] != "float_type" or not isinstance(detail["input"], str):
        return ""
    try:
        plain = f"{float(detail['input']):.12f}".rstrip("0")
    except ValueError:
        return ""
    return f"; YAML takes this for text, write {plain}"


def _suggest(key: str) -> str:
    known = list(_known_keys(RunConfig))
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if not close:  # match only the last word, in any section
        word = key.split(".")[-1]
        close = [k for k in known if k.split(".")[-1] == word][:1]
    return f"; did you mean {close[0]}?" if close else "; conf/base.yaml lists every key"


def _known_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Return every key of the config, dotted."""
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        yield key
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _known_keys(kind, key + ".")

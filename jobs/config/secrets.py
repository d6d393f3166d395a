"""Credentials: how they are recognised, and blanked out of anything that is kept or shown."""

import re
from collections.abc import Callable
from typing import Any

# Names that secrets go by.
_SENSITIVE = (
    r"(?i:secret|passw|passphrase|pwd|token(?!iz)|credential|authorization|(?<![a-z])sig(?![a-z])"
    r"|signature|(?:access|account|api|private|shared|encryption)[._-]?key)"
)
# Under such a name a number is no secret, but a count or a limit of tokens.
_COUNTED = re.compile(r"token", re.IGNORECASE)
# After such a name: a whole quoted string, or an unquoted word with any scheme before it.
_SENSITIVE_PAIR = re.compile(
    rf"({_SENSITIVE}[\w.-]*[\"']?\s*[=:]\s*)"
    r"""(?:(?P<mark>["'])(?:\\.|(?!(?P=mark)).)+(?P=mark)|["']?(?i:(?:Bearer|Basic)\s+)?[^\s"'&,}]+)"""
)
_BEARER = re.compile(r"(?i:\bBearer\s+)[\w.~+/-]{8,}=*")
_AUTHORITIES = (
    re.compile(r"://[^/\s:@]+:[^/\s\"']+@"),
    re.compile(r"://[^/\s:@*]+:(?!\d+/)[^\s\"'@]+@"),  # a / in the password, and no port
)


def without_secrets(text: str) -> str:
    """Blank out credentials in URIs and key=value pairs before text is kept or shown."""

    def blank(found: re.Match[str]) -> str:
        mark = found["mark"] or ""
        return f"{found[1]}{mark}***{mark}"

    return _BEARER.sub("Bearer ***", _SENSITIVE_PAIR.sub(blank, without_authority(text)))


def without_authority(text: str) -> str:
    """Blank out the user and password of URIs."""
    for authority in _AUTHORITIES:
        text = authority.sub("://***@", text)
    return text


def blanked(value: Any, clean: Callable[[str], str]) -> Any:
    """Blank out the values of keys that name a secret, and clean every other string."""
    if isinstance(value, dict):
        return {k: "***" if _is_secret(k, v) else blanked(v, clean) for k, v in value.items()}
    if isinstance(value, list):
        return [
            "***" if i and _is_secret_flag(value[i - 1]) else blanked(v, clean)
            for i, v in enumerate(value)
        ]
    return clean(value) if isinstance(value, str) else value


def _is_secret(key: str, value: Any) -> bool:
    """Return whether a key names a secret; ``max_new_tokens: 32`` is none."""
    if isinstance(value, int | float):
        key = _COUNTED.sub("", key)
    return re.search(_SENSITIVE, key) is not None


def _is_secret_flag(word: Any) -> bool:
    """Return whether a command's word is an option whose value, the next word, is a secret."""
    is_flag = isinstance(word, str) and word.startswith("-") and "=" not in word
    return is_flag and re.search(_SENSITIVE, word) is not None

"""Captions by a server that speaks OpenAI's protocol: ``openai:MODEL``.

Requests: POST BASE_URL/chat/completions, one for each prompt. The key is read from the environment
and sent, and is neither kept nor shown.
"""

import http.client
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from udfs.captioners.contract import (
    NO_ANSWER,
    UNREACHABLE,
    Answer,
    Calls,
    Captioner,
    CaptionerError,
    Failure,
    Pace,
    Prompt,
    first_line,
    said,
)
from udfs.captioners.specs import CaptionerSpec

INSTRUCTION = (
    "Write what comes after the last arrow: one caption of a picture, on one line, in the manner "
    "of the lines before it. It names what stands before the arrow. Write nothing else."
)
LONGEST_WAIT = 60.0  # seconds between two attempts, at most
_PASSING = (408, 409, 425, 429)  # status codes worth another attempt, besides 500 and above
_HOPELESS = (401, 403, 404)  # fail in the same way for every prompt


@dataclass(frozen=True)
class Options:
    """Keys of ``synthesis.captioner_options``.

    Attributes
    ----------
    base_url : URL of the server
    key_variable : environment variable that holds the key; None: the server wants none
    max_length : tokens of a caption
    temperature : sampling temperature
    """

    base_url: str = "https://api.openai.com/v1"
    key_variable: str | None = "OPENAI_API_KEY"
    max_length: int = 64
    temperature: float = 0.8

    def __post_init__(self) -> None:
        """Check the address and the numbers."""
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ValueError(
                f"captioner_options.base_url={self.base_url!r}: want http://HOST/PATH or https, "
                "without a user; the key comes from key_variable"
            )
        if self.max_length < 1:
            raise ValueError(f"captioner_options.max_length={self.max_length}: want at least 1")
        if self.temperature < 0:
            raise ValueError(f"captioner_options.temperature={self.temperature}: want at least 0")


def make(model: str, options: Options, calls: Calls) -> Captioner:
    """Return the captioner.

    Raises
    ------
    CaptionerError
        If the environment has no key; when called, if the server refuses the key or the model.
    """
    key = None if options.key_variable is None else os.environ.get(options.key_variable)
    if options.key_variable is not None and not key:
        raise CaptionerError(
            f"the environment has no {options.key_variable}; export it where this command runs, or "
            "set synthesis.captioner_options.key_variable: null for a server that wants no key"
        )
    server = _Server(options, calls, key)

    def write(prompts: Sequence[Prompt]) -> list[Answer]:
        return [server.ask(_body(model, options, prompt)) for prompt in prompts]

    return write


def _body(model: str, options: Options, prompt: Prompt) -> bytes:
    content = f"{INSTRUCTION}\n\n{prompt.text}"
    asked = {
        "model": model,
        "messages": [{"role": "user", "content": content}],
        "max_tokens": options.max_length,
        "temperature": options.temperature,
        "seed": prompt.seed % 2**31,
        "n": 1,
    }
    return json.dumps(asked).encode()


class _Server:
    """A server, called at a limited pace; failed calls are repeated, but not forever."""

    def __init__(self, options: Options, calls: Calls, key: str | None) -> None:
        self._parts = urlsplit(options.base_url.rstrip("/"))
        self._shown = options.base_url
        self._calls, self._key, self._pace = calls, key, Pace(calls.per_minute)

    def ask(self, body: bytes) -> Answer:
        """Return the caption, or why there is none.

        Raises
        ------
        CaptionerError
            If no prompt would get any.
        """
        why, wait = "", 1.0
        for attempt in range(self._calls.retries + 1):
            if attempt:
                time.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT)
            self._pace.wait()
            try:
                status, after, content = self._post(body)
            except (OSError, http.client.HTTPException) as error:
                why = said(error)
                continue
            if status == http.HTTPStatus.OK:
                return _caption(content)
            why = f"{status} {self._without_key(content)}"
            if status in _HOPELESS:
                raise CaptionerError(
                    f"{self._shown} answers {why}; check the model's name, base_url and the key"
                )
            if status not in _PASSING and status < http.HTTPStatus.INTERNAL_SERVER_ERROR:
                return Failure(NO_ANSWER, why)
            wait = wait if after is None else min(max(wait, after), LONGEST_WAIT)
        return Failure(UNREACHABLE, f"{self._calls.retries + 1} attempts, the last: {why}")

    def _post(self, body: bytes) -> tuple[int, float | None, bytes]:
        """Return an answer's status, the seconds to wait that it names, and its content."""
        kind = (
            http.client.HTTPSConnection
            if self._parts.scheme == "https"
            else http.client.HTTPConnection
        )
        to = kind(str(self._parts.hostname), self._parts.port, timeout=self._calls.timeout)
        headers = {"Content-Type": "application/json"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            to.request("POST", f"{self._parts.path}/chat/completions", body, headers)
            got = to.getresponse()
            return got.status, _seconds(got.getheader("Retry-After")), got.read()
        finally:
            to.close()

    def _without_key(self, content: bytes) -> str:
        """Return the beginning of an answer for a message: servers may quote the key."""
        text = " ".join(content.decode("utf-8", "replace").split())
        return (text.replace(self._key, "***") if self._key else text)[:200]


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isdigit() else None


def _caption(content: bytes) -> Answer:
    try:
        got: Any = json.loads(content)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError):
        return Failure(NO_ANSWER, "an answer without choices[0].message.content")
    text = first_line(got) if isinstance(got, str) else ""
    return text or Failure(NO_ANSWER, "an empty answer")


SPEC = CaptionerSpec(name="openai", make=make, options=Options, is_remote=True)

"""What a captioner is: a function from prompts to captions, or to reasons why there is none."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

MAX_DETAIL = 200  # characters kept of an exception's message
ARROW = " => "  # between a prompt's request and the caption
FAILED, UNREACHABLE, NO_ANSWER = "failed", "unreachable", "no_answer"


class CaptionerError(ValueError):
    """The captioner cannot be loaded, or cannot be asked at all: got, want, fix."""


class Failure(NamedTuple):
    """Why a prompt has no caption.

    Attributes
    ----------
    reason : FAILED: the captioner raised an exception; UNREACHABLE: its server did not answer;
        NO_ANSWER: it gave none
    """

    reason: str
    detail: str = ""


class Prompt(NamedTuple):
    """What is asked of a captioner.

    Attributes
    ----------
    n : number of its slot, which one caption fills
    template : ``concept``, ``background`` or ``relation``
    extra : the background or relation; None for the first template
    demonstrations : lines such as ``tiger, jungle => A tiger walks through the jungle``
    text : the demonstrations, and the beginning of one more line: ``heron, river =>``
    seed : seed of the captioner's draws, 0 <= seed < 2^63
    """

    n: int
    concept_id: int
    concept: str
    template: str
    extra: str | None
    demonstrations: tuple[str, ...]
    text: str
    seed: int


Answer: TypeAlias = str | Failure
Captioner: TypeAlias = Callable[[Sequence[Prompt]], Sequence[Answer]]


@dataclass(frozen=True)
class Calls:
    """How a captioner is called.

    Attributes
    ----------
    per_minute : requests, at most; None: no limit
    retries : retries of a request that fails for a reason that may pass
    timeout : seconds
    """

    per_minute: float | None = None
    retries: int = 5
    timeout: float = 60.0


class Pace:
    """Delays its callers, so that there are at most so many calls per minute."""

    def __init__(self, per_minute: float | None) -> None:
        self._gap = 0.0 if per_minute is None else 60.0 / per_minute
        self._next, self._lock = 0.0, threading.Lock()

    def wait(self) -> None:
        """Wait for the next turn."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._gap
        time.sleep(turn - now)


def said(error: BaseException) -> str:
    """Return an exception's class and the beginning of its message, on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:MAX_DETAIL]


def first_line(text: str) -> str:
    """Return the first line of what a model wrote that holds anything; empty if none does."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")

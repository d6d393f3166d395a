"""Captions without a model: parts of the demonstrations, about another concept.

A caption is the opening of the first demonstration, with the concept and its background or
relation in place of the demonstration's own, and a detail of each of the others.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from udfs.captioners.contract import ARROW, NO_ANSWER, Answer, Calls, Captioner, Failure, Prompt
from udfs.captioners.specs import CaptionerSpec, NoOptions

_VOWELS = "aeiou"


def make(_: str, options: NoOptions, calls: Calls) -> Captioner:
    """Return the captioner."""
    return _write


def _write(prompts: Sequence[Prompt]) -> list[Answer]:
    return [_caption(prompt) for prompt in prompts]


def _caption(prompt: Prompt) -> Answer:
    if not prompt.demonstrations:
        return Failure(NO_ANSWER, "the prompt has no demonstrations to take parts from")
    has_extra = prompt.extra is not None
    first, *others = [_parts(line, has_extra) for line in prompt.demonstrations]
    # the i-th of the others gives its i-th detail
    details = [parts.caption[min(i, len(parts.caption) - 1)] for i, parts in enumerate(others, 1)]
    return ", ".join([_opening(first, prompt), *details])


class _Parts(NamedTuple):
    """A demonstration's line, taken apart."""

    concept: str
    extra: str
    caption: list[str]


def _parts(line: str, has_extra: bool) -> _Parts:
    asked, _, caption = line.partition(ARROW)
    concept, _, extra = asked.rpartition(", ") if has_extra else (asked, "", "")
    return _Parts(concept, extra, caption.split(", "))


def _opening(of: _Parts, prompt: Prompt) -> str:
    """Return a caption's opening, with the prompt's concept and extra in the place of its own."""
    opening = of.caption[0]
    article = "an" if prompt.concept[:1].lower() in _VOWELS else "a"

    def swapped(found: re.Match[str]) -> str:
        if found[1] is None:
            return prompt.concept
        return f"{article.capitalize() if found[1][0] == 'A' else article} {prompt.concept}"

    if prompt.extra is not None:  # first: the concept may hold the same word
        opening = re.sub(
            rf"\b{re.escape(of.extra)}\b", lambda _: str(prompt.extra), opening, count=1
        )
    return re.sub(rf"(?:\b([Aa]n?) )?\b{re.escape(of.concept)}\b", swapped, opening, count=1)


SPEC = CaptionerSpec(
    name="grammar",
    make=make,
    takes_name=False,
    is_costly=False,
    n_at_once=1000,
    prompt_seconds=2e-5,
)

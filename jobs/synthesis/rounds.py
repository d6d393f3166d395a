"""Rounds of captions: slots whose caption was turned away are asked for again, by other prompts."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.synthesis.checks import Checks
from jobs.synthesis.prompts import Prompter
from udfs.captioners.contract import Answer, Prompt

Ask = Callable[[int, Sequence[Prompt]], Sequence[Answer]]  # a round's prompts -> answers


class Caption(NamedTuple):
    """A slot's caption of a round, None if there is none; why it was turned away, or None."""

    n: int
    concept_id: int
    template: str
    text: str | None
    reason: str | None
    round: int
    detail: str | None = None


def written(
    concept_ids: NDArray[np.int64],
    prompter: Prompter,
    checks: Checks,
    ask: Ask,
    *,
    max_rounds: int,
) -> Iterator[list[Caption]]:
    """Yield each round's captions, until every slot has one or the rounds are over.

    Parameters
    ----------
    concept_ids : (n_slots,) int64, the concept of each slot
    """
    is_open = np.ones(len(concept_ids), dtype=bool)
    for round_ in range(max_rounds):
        n = np.flatnonzero(is_open)
        if len(n) == 0:
            return
        prompts = list(prompter.prompts(n, concept_ids[n], round_))
        answers = ask(round_, prompts)
        captions = [
            _caption(prompt, answer, checks.reason(prompt, answer), round_)
            for prompt, answer in zip(prompts, answers, strict=True)
        ]
        is_open[[each.n for each in captions if each.reason is None]] = False
        yield captions


def _caption(prompt: Prompt, answer: Answer, reason: str | None, round_: int) -> Caption:
    text, detail = (answer.strip(), None) if isinstance(answer, str) else (None, answer.detail)
    return Caption(prompt.n, prompt.concept_id, prompt.template, text, reason, round_, detail)


def as_table(captions: Sequence[Caption]) -> pa.Table:
    """Return rows of ``captions``, with ids: accepted ones by their slots, then the others.

    Parameters
    ----------
    captions : round after round, by slots
    """
    accepted = sorted((each for each in captions if each.reason is None), key=lambda each: each.n)
    rows = [*accepted, *(each for each in captions if each.reason is not None)]
    return pa.table(
        {
            "caption_id": pa.array(range(len(rows)), pa.int64()),
            "n": pa.array([each.n for each in rows], pa.int64()),
            "concept_id": pa.array([each.concept_id for each in rows], pa.int64()),
            "template": pa.array([each.template for each in rows], pa.string()),
            "text": pa.array([each.text for each in rows], pa.string()),
            "is_ok": [each.reason is None for each in rows],
            "reject_reason": pa.array([each.reason for each in rows], pa.string()),
            "round": pa.array([each.round for each in rows], pa.int32()),
            "detail": pa.array([each.detail for each in rows], pa.string()),
        }
    )

"""Captioners that behave badly, and runs of rounds without Spark."""

from collections.abc import Callable, Sequence

import numpy as np

from jobs.sections.synthesis import ChecksConfig
from jobs.synthesis.checks import Checks
from jobs.synthesis.concepts import Concept, slots, with_quotas
from jobs.synthesis.prompts import Prompter
from jobs.synthesis.rounds import Caption, written
from udfs.captioners import grammar
from udfs.captioners.contract import FAILED, Answer, Calls, Failure, Prompt
from udfs.captioners.specs import NoOptions
from udfs.kernels.exact.hashing import uniform

OKAY = grammar.make("", NoOptions(), Calls())
Ask = Callable[[int, Sequence[Prompt]], Sequence[Answer]]


def concepts_of(n: int, total: int) -> list[Concept]:
    """Return concepts of equal weights."""
    return with_quotas([Concept(f"concept{i}") for i in range(n)], total, 0.0)


def rounds_of(
    concepts: Sequence[Concept],
    ask: Ask = lambda _, prompts: OKAY(prompts),
    *,
    seed: int = 0,
    max_rounds: int = 10,
    checks: ChecksConfig | None = None,
) -> list[list[Caption]]:
    """Ask until every quota is met or the rounds are over."""
    prompter = Prompter(concepts, seed)
    order = prompter.order(sum(each.quota for each in concepts))
    judge = Checks(concepts, checks or ChecksConfig())
    return list(written(slots(concepts, order), prompter, judge, ask, max_rounds=max_rounds))


def counts_of(concepts: Sequence[Concept], rounds: Sequence[Sequence[Caption]]) -> list[int]:
    accepted = [each.concept_id for captions in rounds for each in captions if not each.reason]
    return np.bincount(accepted, minlength=len(concepts)).tolist()


def unreliable(share: float) -> Ask:
    """Return a captioner that fails, repeats itself or writes rubbish for a share of prompts."""

    def ask(round_: int, prompts: Sequence[Prompt]) -> list[Answer]:
        answers = list(OKAY(prompts))
        draws = uniform(7, np.array([p.seed for p in prompts])) / share
        for i, (prompt, draw) in enumerate(zip(prompts, draws, strict=True)):
            bad: list[Answer] = [
                Failure(FAILED, "it broke"),
                f"A {prompt.concept} as it was written once before",
                "lorem ipsum dolor sit amet",
                f"A {prompt.concept} on one line\nand another one below it",
                prompt.demonstrations[0].partition(" => ")[2],
                "",
            ]
            if draw < 1:
                answers[i] = bad[int(draw * len(bad))]
        return answers

    return ask

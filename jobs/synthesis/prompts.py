"""Prompts: a template, what stands beside the concept, and demonstrations, all by hash."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.synthesis.concepts import Concept
from udfs.captioners.contract import ARROW, Prompt
from udfs.captioners.demonstrations import (
    BACKGROUNDS,
    DEMONSTRATIONS,
    RELATIONS,
    TEMPLATES,
    asked,
)
from udfs.kernels.exact.hashing import derive_seed, hash_keys

# streams of hashes; each round of refills has its own
_ORDER, _TEMPLATE, _EXTRA, _SEED, _DEMONSTRATION = range(101, 106)
PROMPT_COLUMNS = ("n", "concept_id", "template", "extra", "demonstrations", "prompt", "seed")


@dataclass(frozen=True)
class Prompter:
    """Makes the prompts of slots, in any round.

    Attributes
    ----------
    backgrounds : for concepts without their own; None: those that come with Evenlake
    """

    concepts: Sequence[Concept]
    seed: int
    backgrounds: Sequence[str] | None = None

    def order(self, n_slots: int) -> NDArray[np.uint64]:
        """Return the hashes that slots are shuffled by : (n_slots,) uint64."""
        return hash_keys(derive_seed(self.seed, _ORDER), np.arange(n_slots, dtype=np.int64))

    def prompts(
        self, n: NDArray[np.int64], concept_ids: NDArray[np.int64], round_: int = 0
    ) -> Iterator[Prompt]:
        """Yield the prompts of slots.

        Parameters
        ----------
        n : (n_slots,) int64, their numbers
        concept_ids : (n_slots,) int64
        round_ : another round has other templates and demonstrations
        """
        streams = (_TEMPLATE, _EXTRA, _SEED, *range(_DEMONSTRATION, _DEMONSTRATION + 3))
        hashes = [hash_keys(derive_seed(self.seed, each, round_), n).tolist() for each in streams]
        for slot, concept_id, *drawn in zip(n.tolist(), concept_ids.tolist(), *hashes, strict=True):
            yield self._prompt(slot, concept_id, drawn)

    def _prompt(self, n: int, concept_id: int, drawn: Sequence[int]) -> Prompt:
        of_template, of_extra, of_seed, *of_demonstrations = drawn
        concept = self.concepts[concept_id]
        extras = {"background": self._backgrounds(concept), "relation": RELATIONS}
        fit = [each for each in TEMPLATES if extras.get(each, True)]
        template = fit[of_template % len(fit)]
        among = extras.get(template)
        extra = among[of_extra % len(among)] if among else None
        left = [each.line for each in DEMONSTRATIONS[template]]
        lines = tuple(left.pop(draw % len(left)) for draw in of_demonstrations)
        text = "\n".join([*lines, asked(concept.name, extra) + ARROW.rstrip()])
        return Prompt(n, concept_id, concept.name, template, extra, lines, text, of_seed >> 1)

    def _backgrounds(self, concept: Concept) -> Sequence[str]:
        if concept.backgrounds is not None:
            return concept.backgrounds
        return BACKGROUNDS if self.backgrounds is None else self.backgrounds


def as_table(prompts: Iterator[Prompt]) -> pa.Table:
    """Return rows of ``caption_prompts``."""
    rows = [(p.n, p.concept_id, p.template, p.extra, [*p.demonstrations], p.text, p.seed)
            for p in prompts]  # fmt: skip
    kinds = (pa.int64(), pa.int64(), pa.string(), pa.string(), pa.list_(pa.string()), pa.string(),
             pa.int64())  # fmt: skip
    columns = [pa.array(c, kind) for c, kind in zip(zip(*rows, strict=True), kinds, strict=True)]
    return pa.table(columns, names=[*PROMPT_COLUMNS])

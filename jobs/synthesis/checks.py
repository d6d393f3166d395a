"""What makes a caption good enough, and why others are turned away."""

from collections.abc import Sequence

from jobs.sections.synthesis import ChecksConfig
from jobs.synthesis.concepts import Concept
from jobs.synthesis.words import Similar, names_any, words_of
from udfs.captioners.contract import ARROW, Answer, Failure, Prompt
from udfs.captioners.demonstrations import DEMONSTRATIONS

REASONS = (
    "failed", "unreachable", "no_answer", "several_lines", "too_short", "too_long",
    "concept_missing", "copied", "duplicate", "under_two_concepts", "near_duplicate",
)  # fmt: skip


class Checks:
    """Judges captions one after the other, each beside those that were accepted before."""

    def __init__(self, concepts: Sequence[Concept], given: ChecksConfig) -> None:
        self._given = given
        self._called = [each.called for each in concepts]
        self._alike = [Similar(given.max_similarity) for _ in concepts]
        self._concept_of: dict[str, int] = {}  # concept of each accepted caption, by its words
        shown = [one.caption for several in DEMONSTRATIONS.values() for one in several]
        self._demonstrated = {" ".join(words_of(caption)) for caption in shown}

    def reason(self, prompt: Prompt, answer: Answer) -> str | None:
        """Return why an answer is rejected, one of REASONS; None if it is accepted and kept."""
        if isinstance(answer, Failure):
            return answer.reason
        text = answer.strip()
        words = words_of(text)
        if not words:
            return "no_answer"
        if len(text.splitlines()) > 1:
            return "several_lines"
        if len(words) < self._given.min_words:
            return "too_short"
        if len(words) > self._given.max_words:
            return "too_long"
        if not names_any(words, self._called[prompt.concept_id]):
            return "concept_missing"
        return self._seen_before(prompt, words)

    def _seen_before(self, prompt: Prompt, words: list[str]) -> str | None:
        """Return whether a caption is a demonstration or one that is accepted, or like one."""
        text, kinds = " ".join(words), frozenset(words)
        given = {" ".join(words_of(line.partition(ARROW)[2])) for line in prompt.demonstrations}
        if text in self._demonstrated | given:
            return "copied"
        if text in self._concept_of:
            is_own = self._concept_of[text] == prompt.concept_id
            return "duplicate" if is_own else "under_two_concepts"
        alike = self._alike[prompt.concept_id]
        if alike.has(kinds):
            return "near_duplicate"
        self._concept_of[text] = prompt.concept_id
        alike.add(kinds)
        return None

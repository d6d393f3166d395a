"""Captions as words: what they name, and how alike they are."""

import re
from collections.abc import Iterable, Sequence
from itertools import product

# Scripts that do not divide words: each character counts as one.
_UNDIVIDED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"[{_UNDIVIDED}]|(?:(?![{_UNDIVIDED}])\w)+")
_PLURALS = ("", "s", "es")


def words_of(text: str) -> list[str]:
    """Return a text's words, whatever their case."""
    return _WORD.findall(text.casefold())


def names_any(words: Sequence[str], names: Iterable[Sequence[str]]) -> bool:
    """Return whether words hold a name as whole words in a row; its last may be in the plural."""
    spoken = f" {' '.join(words)} "
    return any(
        f" {' '.join(name)}{end} " in spoken for name, end in product(names, _PLURALS) if name
    )


class Similar:
    """Sets of words that have been accepted, searched for one that is similar to another.

    Two sets of Jaccard similarity t or more share one of the first n - ceil(t n) + 1 words of each,
    in any one order of all words (Chaudhuri, Ganti and Kaushik, ICDE 2006): only these are indexed.
    Long words come first, as they are rare.

    Parameters
    ----------
    similarity : from which on two sets are alike; 0 < similarity <= 1
    """

    def __init__(self, similarity: float) -> None:
        self._similarity = similarity
        self._sets: list[frozenset[str]] = []
        self._by_word: dict[str, list[int]] = {}

    def has(self, words: frozenset[str]) -> bool:
        """Return whether one of the sets is similar."""
        met = {i for word in self._first(words) for i in self._by_word.get(word, ())}
        return any(_jaccard(words, self._sets[i]) >= self._similarity for i in met)

    def add(self, words: frozenset[str]) -> None:
        """Accept a set."""
        for word in self._first(words):
            self._by_word.setdefault(word, []).append(len(self._sets))
        self._sets.append(words)

    def _first(self, words: frozenset[str]) -> list[str]:
        n_shared = int(self._similarity * len(words))  # rounded down: at worst a word too many
        return sorted(words, key=lambda word: (-len(word), word))[: len(words) - n_shared + 1]


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    n_shared = len(a & b)
    return n_shared / max(1, len(a) + len(b) - n_shared)

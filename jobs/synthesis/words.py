"""Captions as words: what they name, and how alike they are."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, product

# Scripts that do not divide words: each character counts as one.
_UNDIVIDED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"[{_UNDIVIDED}]|(?:(?![{_UNDIVIDED}])\w)+")
_PLURALS = ("", "s", "es")
_GROUPED = (0.5, 0.75)  # above each of these similarities, one more word is indexed together
_ROUNDING = 1e-9


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

    Of two sets that share m words or more, the first n - m + k words of each, in any one order of
    all words, have k in common (Chaudhuri, Ganti and Kaushik, "A primitive operator for similarity
    joins", ICDE 2006, with k = 1). Sets of Jaccard similarity t share t n words: the groups of k
    among these first words are indexed. Long words come first, as they are rare.

    Parameters
    ----------
    similarity : least Jaccard similarity of similar sets; 0 < similarity <= 1
    """

    def __init__(self, similarity: float) -> None:
        self._similarity = similarity
        self._k = 1 + sum(similarity >= bound for bound in _GROUPED)
        self._sets: list[frozenset[str]] = []
        self._by_group: dict[tuple[str, ...], list[int]] = {}

    def has(self, words: frozenset[str]) -> bool:
        """Return whether one of the sets is similar."""
        met = {i for group in self._groups(words) for i in self._by_group.get(group, ())}
        return any(_jaccard(words, self._sets[i]) >= self._similarity for i in met)

    def add(self, words: frozenset[str]) -> None:
        """Accept a set."""
        for group in self._groups(words):
            self._by_group.setdefault(group, []).append(len(self._sets))
        self._sets.append(words)

    def _groups(self, words: frozenset[str]) -> Iterator[tuple[str, ...]]:
        n_shared = math.ceil(self._similarity * len(words) - _ROUNDING)
        order = sorted(words, key=lambda word: (-len(word), word))
        yield from combinations(order[: len(words) - n_shared + self._k], self._k)
        if n_shared < self._k:  # two sets this small may share fewer
            yield from ((word,) for word in words)


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    n_shared = len(a & b)
    return n_shared / max(1, len(a) + len(b) - n_shared)

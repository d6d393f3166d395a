"""Words: what a caption names, and which captions are alike, against all pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.synthesis.words import Similar, names_any, words_of


@pytest.mark.parametrize(
    ("text", "name", "is_named"),
    [
        ("A Tiger, asleep.", "tiger", True),
        ("Two tigers asleep", "tiger", True),
        ("A box of foxes", "fox", True),
        ("A tigerish cat", "tiger", False),
        ("A fire engine", "fire engine", True),
        ("A fire in the engine", "fire engine", False),
        ("An engine of the fire", "fire engine", False),
        ("Two fire engines", "fire engine", True),
        ("Eine große ÜBUNG", "übung", True),
        ("草の上の虎です", "虎", True),
        ("草の上の猫です", "虎", False),
        ("Digit 3 on a wall", "3", True),
        ("Digit 33 on a wall", "3", False),
    ],
)
def test_a_caption_names_a_concept_by_whole_words(text: str, name: str, is_named: bool) -> None:
    assert names_any(words_of(text), [words_of("no such thing"), words_of(name)]) is is_named


def test_similarity_by_hand() -> None:
    found = Similar(0.75)
    found.add(frozenset("abcd"))
    assert found.has(frozenset("abc"))  # 3 of 4
    assert found.has(frozenset("abcd"))
    assert not found.has(frozenset("abce"))  # 3 of 5
    assert not found.has(frozenset("ab"))
    assert not found.has(frozenset())


@settings(max_examples=100)
@given(rng=st.integers(0, 2**31).map(np.random.default_rng), similarity=st.floats(0.1, 1))
def test_similar_sets_are_those_of_all_pairs(rng: np.random.Generator, similarity: float) -> None:
    found, sets = Similar(similarity), list[frozenset[str]]()
    for _ in range(30):
        words = frozenset(str(2 ** int(w)) for w in rng.integers(0, 12, rng.integers(1, 10)))
        alike = [len(words & other) / len(words | other) >= similarity for other in sets]
        assert found.has(words) is any(alike)
        found.add(words)
        sets.append(words)

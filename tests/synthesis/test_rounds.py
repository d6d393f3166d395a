"""Rounds: exact quotas whatever the captioner does, and the shortfall if it never succeeds."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.sections.synthesis import ChecksConfig
from jobs.synthesis.checks import REASONS, Checks
from jobs.synthesis.concepts import Concept
from jobs.synthesis.prompts import Prompter
from jobs.synthesis.rounds import as_table
from jobs.synthesis.shown import evenness, shortfall_said
from jobs.synthesis.words import words_of
from tests.synthesis.worlds import OKAY, concepts_of, counts_of, rounds_of, unreliable
from udfs.captioners.contract import FAILED, Answer, Failure, Prompt
from udfs.captioners.demonstrations import DEMONSTRATIONS, RELATIONS, TEMPLATES

ZIPF = 1.2  # of the naive draw


def prompt_of(concept_id: int = 0, n: int = 0) -> Prompt:
    line = "tiger => A tiger of its own, asleep"
    name = ("owl", "fox")[concept_id]
    return Prompt(n, concept_id, name, "concept", None, (line,), f"{line}\n{name} =>", 5)


# --- checks ---------------------------------------------------------------------------------------


def test_every_reason_by_hand() -> None:
    given = ChecksConfig(min_words=4, max_words=8, max_similarity=0.7)
    checks = Checks([Concept("owl", ("night bird",)), Concept("fox")], given)
    answers: list[tuple[int, Answer, str | None]] = [
        (0, Failure(FAILED, "it broke"), "failed"),
        (0, "  ", "no_answer"),
        (0, "...", "no_answer"),
        (0, "An owl sits here\nand an owl there", "several_lines"),
        (0, "An owl sits", "too_short"),
        (0, "An owl sits here for one two three four more", "too_long"),
        (0, "A bird sits on a branch", "concept_missing"),
        (0, "A tiger of its own, asleep", "concept_missing"),
        (0, "An owl sits on a branch", None),
        (0, "a night bird flies by", None),
        (0, "An OWL sits, on a branch!", "duplicate"),
        (0, "An owl sits on this branch", "near_duplicate"),  # 5 of 7 words
        (0, "An owl and a fox at dusk", None),
        (1, "An owl and a fox at dusk", "under_two_concepts"),
        (1, "An owl and a fox at dawn", None),  # like one of another concept
    ]
    found = [checks.reason(prompt_of(concept_id), answer) for concept_id, answer, _ in answers]
    assert found == [want for *_, want in answers]


def test_a_demonstration_is_no_caption_of_its_own_concept() -> None:
    shown = DEMONSTRATIONS["concept"][0]
    checks = Checks([Concept(shown.concept)], ChecksConfig())
    assert checks.reason(prompt_of(), shown.caption) == "copied"
    own = prompt_of()._replace(demonstrations=("tiger => A tiger of its own, asleep",))
    assert checks.reason(own, "a tiger of its own asleep") == "copied"


# --- quotas ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_concepts", [20, 100])
def test_refilled_captions_are_even_where_a_naive_draw_is_not(n_concepts: int, seed: int) -> None:
    n = 30 * n_concepts
    concepts = concepts_of(n_concepts, n)
    rounds = rounds_of(concepts, unreliable(0.3), seed=seed, max_rounds=20)
    counts = counts_of(concepts, rounds)
    assert evenness(counts) >= 0.99
    assert max(counts) - min(counts) <= 1
    zipf = np.arange(1, n_concepts + 1) ** -ZIPF
    naive = np.random.default_rng(seed).multinomial(n, zipf / zipf.sum())
    want = {20: 0.77, 100: 0.70}[n_concepts]
    assert evenness(naive.tolist()) == pytest.approx(want, abs=0.03)


@settings(max_examples=15)
@given(
    n_concepts=st.integers(1, 8),
    total=st.integers(1, 120),
    share=st.sampled_from([0.01, 0.3, 0.6]),
    seed=st.integers(0, 2**40),
)
def test_quotas_are_exact_whatever_is_turned_away(
    n_concepts: int, total: int, share: float, seed: int
) -> None:
    concepts = concepts_of(n_concepts, total)
    rounds = rounds_of(concepts, unreliable(share), seed=seed, max_rounds=40)
    assert counts_of(concepts, rounds) == [each.quota for each in concepts]
    captions = [each for one in rounds for each in one]
    assert {each.reason for each in captions} <= {None, *REASONS}
    texts = [" ".join(words_of(each.text or "")) for each in captions if not each.reason]
    assert len({*texts}) == len(texts) == total
    accepted = [each.n for each in captions if not each.reason]
    assert sorted(accepted) == list(range(total))  # a slot has one caption
    asked = Counter((each.round, each.n) for each in captions)
    assert max(asked.values()) == 1


def test_a_concept_that_never_works_ends_with_the_shortfall_told() -> None:
    concepts = concepts_of(4, 40)

    def ask(round_: int, prompts: Sequence[Prompt]) -> list[Answer]:
        bad = Failure(FAILED, "not this one")
        got = zip(prompts, OKAY(prompts), strict=True)
        return [bad if prompt.concept == "concept2" else text for prompt, text in got]

    rounds = rounds_of(concepts, ask, max_rounds=3)
    counts = counts_of(concepts, rounds)
    assert counts == [10, 10, 0, 10]
    assert [len(one) for one in rounds] == [40, 10, 10]  # nobody else is asked again
    assert shortfall_said(concepts, counts, 3) == (
        "10 captions are missing after 3 rounds, of 1 concepts: concept2 0 of 10; raise "
        "synthesis.max_rounds, add aliases, or look at why captions were turned away"
    )


def test_ids_are_dense_over_accepted_captions_in_the_order_of_their_slots() -> None:
    concepts = concepts_of(3, 30)
    rounds = rounds_of(concepts, unreliable(0.4), seed=1)
    table = as_table([each for one in rounds for each in one])
    assert table["caption_id"].to_pylist() == list(range(len(table)))
    good = table.filter(pa.compute.field("is_ok"))
    assert good["caption_id"].to_pylist() == good["n"].to_pylist() == list(range(30))
    assert good["reject_reason"].null_count == 30
    assert not {*table.slice(30)["reject_reason"].to_pylist()} & {None}


# --- prompts --------------------------------------------------------------------------------------


def test_prompts_depend_on_their_slot_the_round_and_the_seed_alone() -> None:
    concepts = concepts_of(3, 30)
    prompter = Prompter(concepts, 4)
    n, ids = np.arange(30), slots_of(prompter)
    whole = list(prompter.prompts(n, ids))
    some = np.array([17, 3])
    assert list(prompter.prompts(some, ids[some])) == [whole[17], whole[3]]
    again, other = prompter.prompts(n, ids, 1), Prompter(concepts, 5).prompts(n, ids)
    for more in (again, other):
        same = [a.text == b.text for a, b in zip(whole, more, strict=True)]
        assert sum(same) < 3
    assert [each.concept_id for each in whole] == ids.tolist()


def slots_of(prompter: Prompter) -> np.ndarray:
    ids = np.repeat(np.arange(3), 10)
    return ids[np.argsort(prompter.order(30), kind="stable")]


def test_a_prompt_asks_for_one_more_line_of_its_template() -> None:
    concepts = [Concept("heron", backgrounds=("marsh",), quota=90), Concept("tin", backgrounds=())]
    prompts = list(Prompter(concepts, 0).prompts(np.arange(300), np.arange(300) % 2))
    seen = Counter((p.concept, p.template) for p in prompts)
    assert all(30 < seen["heron", template] < 70 for template in TEMPLATES)
    assert seen["tin", "background"] == 0  # none fits it
    for p in prompts:
        *shown, last = p.text.splitlines()
        assert tuple(shown) == p.demonstrations
        assert len({*shown}) == 3
        assert {*shown} <= {each.line for each in DEMONSTRATIONS[p.template]}
        assert last == f"{p.concept}{'' if p.extra is None else ', ' + p.extra} =>"
        fits = {"concept": (None,), "background": ("marsh",), "relation": RELATIONS}
        assert p.extra in fits[p.template]
        assert 0 <= p.seed < 2**63

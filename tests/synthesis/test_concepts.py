"""Concepts: tidy names, points by label, quotas by scarcity, names of nodes."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from jobs.config.errors import InputError
from jobs.synthesis.concepts import (
    Concept,
    as_table,
    checked,
    counted,
    from_table,
    slots,
    with_quotas,
)
from jobs.synthesis.nodes import told_apart


def test_quotas_fall_with_the_points_of_the_pool() -> None:
    concepts = [Concept("a", n_points=0), Concept("b", n_points=1), Concept("c", n_points=3)]
    found = with_quotas(concepts, 70, 1.0)  # weights 1, 1/2, 1/4
    assert [each.quota for each in found] == [40, 20, 10]
    equal = with_quotas(concepts, 70, 0.0)
    assert sorted(each.quota for each in equal) == [23, 23, 24]
    twice = with_quotas([replace(concepts[0], weight=2.0), *concepts[1:]], 110, 1.0)
    assert [each.quota for each in twice] == [80, 20, 10]


def test_points_are_those_whose_label_is_the_name_or_an_alias() -> None:
    concepts = [Concept("Tiger", ("big cat", "TIGER")), Concept("cat"), Concept("owl")]
    found = counted(concepts, {"tiger": 3, "Big  Cat": 2, "cat": 7, "fox": 9})
    assert [each.n_points for each in found] == [5, 7, 0]


@pytest.mark.parametrize(
    ("concepts", "said"),
    [
        ([], "0 concepts; want at least 1"),
        ([Concept("a"), Concept(" ?! ")], "1 concepts without a proper name, such as '?!'"),
        ([Concept("x" * 101)], "1 concepts without a proper name"),
        ([Concept("a b"), Concept("A  B")], "'A B' and 'a b' are one name; want each concept once"),
        ([Concept("a", weight=-1.0)], "'a' has weight -1.0; want finite weights"),
        ([Concept("a", weight=float("nan"))], "'a' has weight nan"),
        ([Concept("a", weight=0.0)], "all weights are 0; want"),
    ],
)
def test_concepts_that_cannot_be_are_refused(concepts: list[Concept], said: str) -> None:
    with pytest.raises(InputError) as error:
        checked(concepts, "here")
    assert f"here: {said}" in str(error.value)


def test_names_are_on_one_line_and_hide_nothing() -> None:
    (found,) = checked([Concept(" fire\n\x1b[31m\u202eengine ")], "here")
    assert found.name == "fire [31m engine"


def test_two_nodes_may_have_one_name() -> None:
    assert len(checked([Concept("a", node_id=0), Concept("a", node_id=1)], "here")) == 2


def test_each_slot_has_a_concept_and_prefixes_hold_all_of_them() -> None:
    concepts = [Concept("a", quota=500), Concept("b", quota=300), Concept("c", quota=0)]
    order = np.random.default_rng(0).permutation(800).astype(np.uint64)
    found = slots(concepts, order)
    assert np.bincount(found, minlength=3).tolist() == [500, 300, 0]
    assert 90 < (found[:200] == 0).sum() < 160


def test_nodes_are_told_apart_by_terms_of_their_own() -> None:
    described = ["cat dog purr", "dog cat bark", "cat dog", "", "cat dog", "dog cat"]
    found = told_apart([terms.split() for terms in described])
    assert [name for name, _ in found] == ["purr", "bark", "cat", "", "dog", "dog cat"]
    assert told_apart([["tree", "leaf", "bark"]]) == [("tree", ("leaf", "bark"))]


def test_concepts_come_back_from_their_table() -> None:
    concepts = [
        Concept("a", ("b",), 2, 7, 9, 0.5, ("beach",), 4),
        Concept("c", backgrounds=()),
        Concept("d"),
    ]
    table = as_table(concepts)
    assert from_table(table.take(pa.array([2, 0, 1]))) == concepts

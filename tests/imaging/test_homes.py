"""Whose home a place is, and how many images may join: by hand."""

import pandas as pd

from jobs.imaging.homes import Homes, homes_of, owners
from jobs.imaging.joining import rooms
from jobs.imaging.rows import balance_figures, by_group


def concepts(*names: str, nodes: list[int] | None = None) -> pd.DataFrame:
    n = len(names)
    return pd.DataFrame(
        {
            "concept_id": range(n),
            "concept": names,
            "aliases": [[f"{name}s"] for name in names],
            "level": [2 if nodes else None] * n,
            "node_id": nodes or [None] * n,
        }
    )


def real(*rows: tuple[int, str | None, int]) -> pd.DataFrame:
    counts = pd.DataFrame(rows, columns=["place", "group", "n_pool"])
    return counts.assign(n_sample=counts["n_pool"] // 2)


def images(*rows: tuple[int, str, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["place", "group", "n_images"]).assign(n_rejected=0)


def owned(homes: Homes, a: pd.DataFrame, b: pd.DataFrame) -> dict[int, str]:
    found = owners(homes, a, b)
    return dict(zip(found["place"], found["owner"], strict=True))


def test_a_leaf_is_home_to_what_it_holds_most_of_real_or_not() -> None:
    homes = homes_of(concepts("Red Circle", "star"))
    there = real((0, "red circle", 5), (0, "dog", 4), (1, "dog", 9), (2, None, 50))
    made = images((0, "star", 4), (1, "star", 10), (2, "star", 1), (3, "red circle", 2))
    assert owned(homes, there, made) == {0: "red circle", 1: "star", 2: "star", 3: "red circle"}


def test_equal_counts_go_to_the_first_name() -> None:
    homes = homes_of(concepts("b", "a"))
    assert owned(homes, real((7, "b", 3), (7, "a", 3)), images((7, "c", 3))) == {7: "a"}


def test_a_concept_of_the_tree_is_at_home_in_its_node_alone() -> None:
    homes = homes_of(concepts("x", "y", nodes=[4, 1]))
    assert (homes.by_node, homes.level, [*homes.groups["group"]]) == (True, 2, ["node 4", "node 1"])
    there = real((4, "node 4", 1), (1, "node 1", 1), (0, "node 0", 9))
    assert owned(homes, there, images((0, "node 4", 99))) == {0: "node 0", 1: "node 1", 4: "node 4"}


def test_a_label_may_call_a_concept_by_an_alias_in_any_case() -> None:
    homes = homes_of(concepts("Red Circle"))
    called = ("red circle", "RED-Circles", " red  circle ", "Dog!", "", " - ")
    groups = ["red circle", "red circle", "red circle", "dog", None, None]
    assert [homes.group_of(label) for label in called] == groups


def test_concepts_are_filled_up_to_the_median_group_of_the_sample() -> None:
    homes = homes_of(concepts("thin", "missing", "rich"))
    counts = pd.Series({"thin": 2, "rich": 9, "other": 5, "dog": 5, "none": 0})
    assert [*rooms(homes, counts)["room"]] == [3, 5, 0]
    assert [*rooms(homes, pd.Series(dtype=int))["room"]] == [0, 0, 0]


def test_counts_of_every_group_by_hand() -> None:
    homes = homes_of(concepts("a", "b"))
    there, made = real((0, "a", 6), (1, "dog", 4)), images((0, "a", 2), (1, "b", 5), (0, "b", 1))
    joined = pd.DataFrame({"concept_id": [1], "n_joined": [3]})
    found = by_group(homes, there, made, owners(homes, there, made), joined).set_index("group")
    assert found.loc["a", ["n_pool", "n_images", "n_landed", "n_home"]].tolist() == [6, 2, 2, 6]
    assert found.loc["b", ["n_pool", "n_images", "n_landed", "n_joined"]].tolist() == [0, 6, 5, 3]
    assert found.loc["dog", ["n_pool", "n_images", "n_home"]].tolist() == [4, 0, 0]


def test_even_groups_have_entropy_one_and_an_empty_one_counts() -> None:
    assert balance_figures([5, 5, 5, 5])["normalised_entropy"] == 1
    figures = balance_figures([5, 5, 0, 0])
    assert (figures["normalised_entropy"], figures["smallest_share"]) == (0.5, 0)

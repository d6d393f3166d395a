"""Two runs side by side, without tables: what is told of their configs and figures."""

from jobs.past.comparing import Comparison, Figure, Overlap, _changes, _flat, _summed_up


def test_a_sample_that_only_one_run_has_is_told_in_a_line() -> None:
    a = {"name": "a", "target_size": 5, "weight": None}
    b = {"name": "b", "target_size": 7, "weight": None}
    recipes = [{"seed": 0, "samples": [a, b]}, {"seed": 1, "samples": [a | {"weight": "x"}]}]
    found = _changes(*(dict(_flat(_summed_up(recipe, {"b"}))) for recipe in recipes))
    assert [str(change) for change in found if not change.is_same] == [
        "seed: 0 → 1",
        "samples.a.weight: null → x",
        "samples.b.name: b → –",
        "samples.b.target_size: 7 → –",
    ]


def test_figures_of_samples_that_only_one_run_has_are_not_told() -> None:
    figures = [
        Figure("a", "coverage", None, "coverage_gap", -0.2, -0.3),
        Figure("b", "coverage", None, "coverage_gap", None, -0.3),
        Figure(None, "size", None, "n_pool", 10, 20),
    ]
    found = Comparison(("x", "y"), [], [], [], [Overlap("a", 1, 1, 1)], figures)
    told = dict(found.sections)["figures that differ"]
    assert [line.partition(":")[0] for line in told] == ["a", "pool"]

"""How much of a node a sample kept, beside a uniform one, in the steps of the page's colours."""

_EDGES = (0.25, 0.5, 0.8, 1.25, 2.0, 4.0)  # relative to what a uniform sample would keep
LEGEND = (
    "nothing", "less than ¼ of uniform", "¼ to ½", "½ to 0.8 times", "as uniform",
    "1¼ to 2 times", "2 to 4 times", "4 times and more",
)  # fmt: skip


def step_of(n_kept: float, n_uniform: float) -> int:
    """Return the step of the legend: 0 for nothing kept, 1 to 7 for less to more."""
    if n_kept <= 0:
        return 0
    return 1 + sum(n_kept >= edge * n_uniform for edge in _EDGES)

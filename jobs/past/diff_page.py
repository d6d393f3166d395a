"""Two runs side by side, as one HTML page."""

from jobs.past.comparing import Comparison
from jobs.reporting.numbers import human
from jobs.reporting.page import rendered

_NONE = "–"


def render_diff(diff: Comparison) -> str:
    """Return the page as HTML text, to be written as UTF-8."""
    plain = {
        name: [(c.name, c.before or _NONE, c.after or _NONE) for c in changes]
        for name, changes in (("inputs", diff.inputs), ("config", diff.config))
    }
    stages = [
        (c.name, c.before or _NONE, c.after or _NONE, "the same rows" if c.is_same else "")
        for c in diff.stages
    ]
    return rendered(
        "past/diff.html.j2",
        diff=diff,
        stages=stages,
        samples=[
            (s.sample, human(s.n_before), human(s.n_after), human(s.n_both)) for s in diff.samples
        ],
        figures=[(f.name, human(f.before), human(f.after)) for f in diff.figures],
        **plain,
    )

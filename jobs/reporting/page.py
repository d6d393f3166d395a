"""Render the report of a run as one HTML page that needs no network.

The page holds plotly.js, its own style and script, and the figures as JSON data. Every value is
escaped: by jinja2's autoescape in the page, by `figures.label_text` in text that plotly draws. A
content security policy in the page allows the two scripts by their hash and nothing else, so even a
value that slipped through could neither run nor load anything.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from typing import Any

import jinja2
import pandas as pd
import plotly.graph_objects as go
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from jobs.gallery.nodes import Gallery
from jobs.gallery.turned_away import Gone
from jobs.judging.recommendation import Recommendation
from jobs.pictures.kept import LEGEND
from jobs.pictures.map_view import map_view
from jobs.pictures.size_curve import SECTION as SIZES
from jobs.pictures.size_curve import size_figure, size_said
from jobs.pictures.tree_view import tree_views
from jobs.reporting import figures
from jobs.reporting.cells import CellOf, index_of
from jobs.reporting.numbers import human, percent
from jobs.reporting.plain_tables import plain_tables
from jobs.telling.verdicts import side_said, verdict_said

_DRAWN = {  # sections that the page lays out itself; any others become plain tables
    "size", "rejects", "tune", "balance", "node_sizes", "lorenz", "coverage", "communities",
    "labels", "tree", "nodes", "map", "recommendation", SIZES,
}  # fmt: skip
_STYLES = ("reporting/page.css", "pictures/pictures.css")
_COMPARED = [  # shown side by side for every sample: section, level, metrics with title and kind
    ("coverage", None, [("coverage_distance", "Coverage distance", "human"),
                        ("coverage_gap", "Beside uniform", "percent"),
                        ("effective_nodes", "Effective independent nodes", "human")]),
    ("communities", None, [("effective_communities", "Effective communities", "human")]),
    ("balance", 1, [("effective_nodes", "Effective leaves", "human"),
                    ("nodes_reached", "Leaves reached", "human")]),
    ("labels", None, [("effective_labels", "Effective labels", "human"),
                      ("probe_accuracy", "Linear probe", "percent")]),
]  # fmt: skip


@dataclass(frozen=True)
class PageContext:
    """What the page shows.

    Attributes
    ----------
    run_id, created, code_version : identity of the run, as text
    title : name of the pool
    rows : the `report` table: sample (None = the pool), section, level, key, x, metric, value, and
        control, the same measure on a uniform random sample of the same size
    samples : one mapping per sample: name, table, n_rows, target_size, drawn (how), expected (how
        even), prefixes (what they are), beside_tree (what else decides, see ``verdict_said``),
        reason (why its size differs from the target, or None)
    config_yaml : the run's config
    inputs : input name -> version
    tables : output table -> path
    notes : warnings, most important first
    advice : what to do about each sample
    gallery : nodes to look at
    turned_away : points that gates turned away, by reason, to look at
    """

    run_id: str
    title: str
    created: str
    rows: pd.DataFrame
    samples: list[dict[str, Any]]
    config_yaml: str
    inputs: dict[str, str]
    tables: dict[str, str]
    notes: list[str]
    code_version: str
    advice: Sequence[Recommendation] = ()
    gallery: Gallery | None = None
    turned_away: list[tuple[str, list[Gone]]] = field(default_factory=list)

    @cached_property
    def cell(self) -> "CellOf":
        """The rows that are one number each, by section, sample, level and metric."""
        return index_of(self.rows)


def render_page(context: PageContext) -> str:
    """Return the page as HTML text, to be written as UTF-8."""
    return rendered("reporting/page.html.j2", context=context, **_view(context))


def rendered(template: str, **values: Any) -> str:
    """Fill in a room's template, which can use plotly.js and the style."""
    place = resources.files("jobs")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: place.joinpath(name).read_text("utf-8")),
        autoescape=True,
        finalize=_finalize,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"human": human, "percent": percent, "csp_hash": _csp_hash}
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "sort_keys": True}
    environment.globals |= {"kept_legend": LEGEND}
    styles = (place.joinpath(name).read_text("utf-8") for name in _STYLES)
    return environment.get_template(template).render(
        plotly_js=get_plotlyjs(), style="".join(styles), **values
    )


def pool_line(context: PageContext) -> str:
    """Return a line for a terminal on what became of the pool's rows."""
    cell = context.cell
    n_rows = cell("size", None, None, "n_pool").value
    fates = [f"{human(n_rows)} rows read"]
    if rejects := _rejects(context.rows):
        reasons = ", ".join(f"{reason} {human(n)}" for reason, n in rejects)
        fates.append(f"{human(sum(n for _, n in rejects))} rejects ({reasons})")
    if copies := cell("duplicates", None, None, "n_copies").value:
        fates.append(f"{human(copies)} copies")
    return f"pool: {', '.join([*fates, f'{human(_n_points(cell))} points in the tree'])}"


def headlines(context: PageContext) -> list[str]:
    """Return a line per sample for a terminal: its size, how even it is, how well it covers."""
    cell = context.cell
    lines = []
    for sample in context.samples:
        lines.append(
            f"{sample['name']}: {_headline(cell, sample)}{side_said(cell, sample['name'])}"
        )
    return lines


def sentences(context: PageContext) -> list[str]:
    """Return all that a terminal shows: the pool, advice, a line per sample, the warnings."""
    advice = [f"advice for {found}" for found in context.advice]
    warnings = [f"warning: {note}" for note in context.notes]
    return [pool_line(context), *advice, *headlines(context), *warnings]


def _n_points(cell: CellOf) -> float | None:
    """Return the number of points in the tree: no copies, and none that a gate rejected."""
    n = cell("size", None, None, "n_points").value
    n_copies = cell("duplicates", None, None, "n_copies").value or 0
    return None if n is None else n - n_copies - _n_rejected_later(cell)


def _n_rejected(cell: CellOf) -> float | None:
    """Return the number of rejects of all gates."""
    n = cell("size", None, None, "n_rejected").value
    return None if n is None else n + _n_rejected_later(cell)


def _n_rejected_later(cell: CellOf) -> float:
    """Return the number of embedded points that were rejected: in evaluation sets, or outliers."""
    figures = {"duplicates": "n_contaminated", "outliers": "n_turned_away"}
    return sum(cell(section, None, None, name).value or 0 for section, name in figures.items())


def _finalize(value: Any) -> Any:
    """Return what the template prints for a value, before autoescaping."""
    is_data = isinstance(value, str) and not isinstance(value, Markup)
    return figures.visible_text(value) if is_data else value


def _view(context: PageContext) -> dict[str, Any]:
    """Return what the template shows besides the context: numbers, text and figures."""
    rows, cell = context.rows, context.cell
    levels = sorted({int(level) for level in rows["level"].dropna()})
    names = [sample["name"] for sample in context.samples] or [None]  # None: the pool alone
    drawn = {
        f"{kind}-{i}": figure
        for i, name in enumerate(names)
        for kind, figure in _figures(rows, name, levels)
        if figure.data
    }
    details = {} if context.gallery is None else context.gallery.details
    views = tree_views(rows, cell, details)
    listed = [] if context.gallery is None else context.gallery.nodes
    places = [f"{node.level}-{node.node_id}" for node in listed]
    return {
        "cell": cell,
        "views": views,
        "kept_below": {f"node-{place}": f"kept-{place}" for place in places},
        "compared": list(_compared(cell, names)),
        "leaf_map": map_view(rows, details, frozenset(view.key for view in views)),
        "levels": [(level, _level_title(cell, levels, level)) for level in levels],
        "names": names,
        "headlines": [_headline(cell, sample) for sample in context.samples],
        "sizes_said": [size_said(rows, name) for name in names],
        "verdicts": [verdict_said(cell, s["name"], s["beside_tree"]) for s in context.samples],
        "tuned": _tuned(rows),
        "n_points": _n_points(cell),
        "n_rejected": _n_rejected(cell),
        "rejects": _rejects(rows),
        "others": list(plain_tables(rows, _DRAWN)),
        "label_shares": figures.label_shares(rows, sample=None)["pool"].tolist(),
        "max_labels": figures.MAX_LABELS,
        "figures": {key: figure.to_plotly_json() for key, figure in drawn.items()},
    }


def _compared(
    cell: CellOf, names: Sequence[str | None]
) -> Iterator[tuple[str, int | None, list[tuple[str, str, str]]]]:
    """Yield the measures that any sample has: section, level, and metrics with title and kind."""
    for section, level, measures in _COMPARED:
        known = [
            m
            for m in measures
            if any(cell(section, n, level, m[0]).value is not None for n in names)
        ]
        if known:
            yield section, level, known


def _figures(
    rows: pd.DataFrame, sample: str | None, levels: Sequence[int]
) -> Iterator[tuple[str, go.Figure]]:
    for level in levels:
        yield f"sizes-{level}", figures.node_size_figure(rows, sample=sample, level=level)
        yield f"lorenz-{level}", figures.lorenz_figure(rows, sample=sample, level=level)
    yield "by-size", size_figure(rows, sample)
    yield "labels", figures.label_figure(rows, sample=sample)


def _level_title(cell: CellOf, levels: Sequence[int], level: int) -> str:
    n_nodes = cell("tree", None, level, "n_nodes").value
    kind = " (leaves)" if level == 1 else " (top)" if level == levels[-1] else ""
    return f"Level {level}{kind}" + ("" if n_nodes is None else f": {human(n_nodes)} nodes")


def _headline(cell: CellOf, sample: Mapping[str, Any]) -> str:
    """Describe a sample in one sentence: its size and how even it is over independent nodes."""
    n_points = _n_points(cell)
    n_nodes = cell("coverage", None, None, "n_nodes").value
    before = cell("coverage", None, None, "effective_nodes").value
    after, control = cell("coverage", sample["name"], None, "effective_nodes")
    of = "rows of" if n_points is not None and sample["n_rows"] > n_points else "of"  # replicas
    facts = [f"{human(sample['n_rows'])} {of} {human(n_points)} points"]
    if after is not None:
        shift = f"effective nodes {human(before)} → {human(after)} of {human(n_nodes)}"
        facts.append(f"{shift} (uniform control {human(control)})")
    before = cell("labels", None, None, "effective_labels").value
    after, control = cell("labels", sample["name"], None, "effective_labels")
    if after is not None:
        n_labels = cell("labels", None, None, "n_labels").value
        shift = f"effective labels {human(before)} → {human(after)} of {human(n_labels)}"
        verdict = "" if after > (control or 0) else ": no more even than uniform over the labels"
        facts.append(f"{shift} (uniform control {human(control)}){verdict}")
    return "; ".join(facts) + "."


def _tuned(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the trees of tuning's last round, best first."""
    mine = rows[rows["section"] == "tune"]
    table = mine.pivot_table(index="key", columns="metric", values="value", sort=False)
    columns = ["relative_coverage", "standard_error", "is_chosen", "over_nodes", "over_communities"]
    if table.empty:
        return []
    by_score = table.sort_values(["relative_coverage"], kind="stable").reindex(columns=columns)
    return [
        {str(k): v for k, v in row.items()} for row in by_score.reset_index().to_dict("records")
    ]


def _rejects(rows: pd.DataFrame) -> list[tuple[str, float]]:
    chosen = rows[(rows["section"] == "rejects") & (rows["metric"] == "n_rows")]
    chosen = chosen.sort_values(["value", "key"], ascending=[False, True])
    return [(str(row["key"]), float(row["value"])) for row in chosen.to_dict("records")]


def _csp_hash(script: str) -> str:
    """Return the source expression that allows exactly this script (CSP level 2, hash-source)."""
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"

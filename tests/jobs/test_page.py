"""The report page: what it says, that it loads nothing, and that data stays data."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from jobs.reporting import figures
from jobs.reporting.numbers import human, percent
from jobs.reporting.page import headlines, pool_line, render_page
from jobs.reporting.plain_tables import plain_tables
from tests.jobs.page_example import REASONS, SECTIONS, example, row, with_rows

HOSTILE = (
    "</script><script>alert(1)</script><b onclick=a()>\"' {{7*7}} %{x} $a$ "
    "<a href='https://example.com'>link</a><!-- \n\u202e\ud800"
)
SMALL = (40, 8)


class Elements(HTMLParser):
    """The elements of a page in order, its text, and the content of its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts[-1] += data
        elif self.cdata_elem is None:
            self.text += data

    def said(self) -> str:
        return " ".join(self.text.split())


def drawn_figures(page: str) -> dict[str, Any]:
    return json.loads(Elements(page).scripts[0])


def strings(value: Any) -> Iterator[str]:
    """Yield every string inside a JSON value, except keys."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (float("inf"), "∞"),
        (0, "0"),
        (1e-17, "0"),
        (-2.2e-16, "0"),
        (100, "100"),
        (1_234_567, "1,234,567"),
        (12345.6, "12,346"),
        (999.7, "1,000"),
        (19.84, "19.8"),
        (0.95349, "0.953"),
        (0.00012345, "0.000123"),
        (4.21e-7, "4.21 × 10⁻⁷"),
    ],
)
def test_numbers_show_three_digits_and_thousands(value: float | None, text: str) -> None:
    assert human(value) == text


def test_shares_show_as_percentages() -> None:
    assert [percent(v) for v in (0.5, 0.12345, 1, None)] == ["50%", "12.3%", "100%", "–"]


def test_label_shares_are_counts_over_their_totals_largest_of_the_pool_first() -> None:
    rows = with_rows(
        row("labels", "count", 10, key="cat"),
        row("labels", "count", 30, key="dog"),
        row("labels", "count", 2, 1, key="cat", sample="s"),
        row("labels", "count", 2, 3, key="dog", sample="s"),
    )
    shares = figures.label_shares(rows, sample="s")
    assert shares.to_dict("list") == {
        "label": ["dog", "cat"],
        "pool": [0.75, 0.25],
        "control": [0.75, 0.25],
        "sample": [0.5, 0.5],
    }


def test_the_headline_names_sizes_balance_and_control() -> None:
    context = example({"balanced": 20}, [], n_nodes=(20,))
    rows = with_rows(
        row("size", "n_points", 1004),
        row("coverage", "n_nodes", 20),
        row("coverage", "effective_nodes", 9.4),
        row("coverage", "effective_nodes", 19.8, 9.1, sample="balanced"),
        row("coverage", "coverage_gap", -0.25, sample="balanced"),
        row("coverage", "coverage_gap_error", 0.01, sample="balanced"),
    )
    said = Elements(render_page(replace(context, rows=rows))).said()
    assert ("20 of 1,004 points; effective nodes 9.4 → 19.8 of 20 (uniform control 9.1).") in said
    assert "25% closer to this sample than to a uniform one (± 1%" in said
    assert headlines(replace(context, rows=rows)) == [
        "balanced: 20 of 1,004 points; effective nodes 9.4 → 19.8 of 20 (uniform control 9.1). "
        "Averaged over regions, points lie 25% (± 1%) closer to it than to a uniform "
        "sample."
    ]


def test_what_became_of_the_pools_rows_is_told_in_a_line() -> None:
    context = example({"balanced": 20}, [], n_nodes=(20,))
    sizes = [row("size", "n_pool", 1010), row("size", "n_points", 1004)]
    rejects = [row("rejects", "n_rows", n, key=k) for k, n in {"zero_norm": 2, "nan": 4}.items()]
    copies = [row("duplicates", "n_copies", 3), row("duplicates", "n_contaminated", 2)]
    copies.append(row("rejects", "n_rows", 2, key="contaminated"))
    said = [
        pool_line(replace(context, rows=with_rows(*rows)))
        for rows in (
            sizes,
            [*sizes, *rejects],
            [*sizes, *copies],
        )
    ]
    assert said == [
        "pool: 1,010 rows read, 1,004 points in the tree",
        "pool: 1,010 rows read, 6 rejects (nan 4, zero_norm 2), 1,004 points in the tree",
        "pool: 1,010 rows read, 2 rejects (contaminated 2), 3 copies, 999 points in the tree",
    ]


def test_a_sample_farther_from_the_points_than_uniform_is_called_worse() -> None:
    context = example({"balanced": 20}, [], n_nodes=SMALL)
    gap = row("coverage", "coverage_gap", 0.25, sample="balanced")
    error = row("coverage", "coverage_gap_error", 0.01, sample="balanced")
    said = Elements(render_page(replace(context, rows=with_rows(gap, error)))).said()
    assert "worse than uniform" in said
    assert "25% farther" in said


def test_a_sample_farther_by_no_more_than_chance_is_not_called_worse() -> None:
    context = example({"balanced": 20}, [], n_nodes=SMALL)
    gap = row("coverage", "coverage_gap", 0.03, sample="balanced")
    error = row("coverage", "coverage_gap_error", 0.02, sample="balanced")
    said = Elements(render_page(replace(context, rows=with_rows(gap, error)))).said()
    assert "as close to this sample as to a uniform one" in said
    assert "worse" not in said


@pytest.mark.parametrize(
    ("nodes", "communities", "badge", "advice"),
    [
        (-0.2, -0.1, "better than uniform", None),
        (-0.2, 0.005, "like uniform", None),
        (-0.2, 0.1, "better in one respect, worse in the other", "broad concepts may fill"),
        (-0.01, 0.3, "worse than uniform", "broad concepts may fill"),
        (0.3, 0.1, "worse than uniform", "larger share.leaves"),
    ],
)
def test_the_page_speaks_of_nodes_and_of_communities(
    nodes: float, communities: float, badge: str, advice: str | None
) -> None:
    context = example({"balanced": 20}, [], n_nodes=SMALL)
    gaps = {"coverage": nodes, "communities": communities}
    rows = [row(s, "coverage_gap", gap, sample="balanced") for s, gap in gaps.items()]
    rows += [row(s, "coverage_gap_error", 0.01, sample="balanced") for s in gaps]
    rows += [row("communities", "n_communities", 12)]
    shown = replace(context, rows=with_rows(*rows))
    said = Elements(render_page(shown)).said()
    assert badge in said
    assert "Averaged over 12 communities" in said
    assert ("broad concepts may fill" in said) == (advice == "broad concepts may fill")
    assert ("larger share.leaves" in said) == (advice == "larger share.leaves")
    assert "(± 1%)" in headlines(shown)[0].partition("; averaged over communities, ")[2]
    assert "; averaged over communities, " in headlines(shown)[0]


def judged(*names: str) -> list[dict[str, Any]]:
    """Return rows of a second embedding: of each sample, a mean and those it is the mean of."""
    keys = [None, "clustering 1", "clustering 2"]
    return [
        row("judge_coverage", "coverage_distance", 0.2, 0.3, sample=name, key=key)
        for name in names
        for key in keys
    ]


def test_rows_of_a_plain_table_name_their_sample_means_first() -> None:
    (found,) = plain_tables(with_rows(*judged("a", "b"), row("size", "n_pool", 9)), {"size"})
    assert (found.title, found.n_left) == ("Judge coverage", 0)
    assert [whose for whose, *_ in found.rows] == [
        "a", "b", "a · clustering 1", "a · clustering 2", "b · clustering 1", "b · clustering 2",
    ]  # fmt: skip
    (of_level,) = plain_tables(with_rows(row("images", "kl", 1, level=2.0, sample="a")), ())
    assert of_level.rows[0][0] == "a · level 2"


def test_a_plain_table_says_how_many_rows_it_leaves_out() -> None:
    names = [f"s{i}" for i in range(40)]
    context = example({"s": 20}, [], n_nodes=SMALL)
    page = render_page(replace(context, rows=with_rows(*judged(*names))))
    said = "20 more rows are left out here; the table report has them, section judge_coverage."
    assert said in Elements(page).said()
    assert page.count("<td>coverage distance</td>") == 100
    assert '<th scope="row">s39</th>' in page
    page = render_page(replace(context, rows=with_rows(*judged("s"))))
    assert "left out here" not in page


def test_prefixes_are_said_to_be_what_they_are() -> None:
    context = example({"mix": 20}, [], n_nodes=SMALL)
    by_size = [
        row("coverage_by_size", "coverage_distance", 0.2, 0.3, x=x, sample="mix") for x in (10, 20)
    ]
    distance = row("coverage", "coverage_distance", 0.2, 0.3, sample="mix")
    (facts,) = context.samples
    samples = [facts | {"prefixes": "each prefix of a blend holds its parts"}]
    rows = with_rows(distance, *by_size)
    said = Elements(render_page(replace(context, rows=rows, samples=samples))).said()
    assert "on one of the clusterings: each prefix of a blend holds its parts." in said
    assert "every prefix is a balanced sample" not in said


def test_a_worse_sample_that_more_than_the_tree_decides_is_not_told_of_levels() -> None:
    context = example({"mix": 20}, [], n_nodes=SMALL)
    gaps = [row("coverage", f"coverage_gap{end}", 0.2, sample="mix") for end in ("", "_error")]
    gaps[1]["value"] = 0.01
    (facts,) = context.samples
    samples = [facts | {"beside_tree": "It holds what its parts give it."}]
    said = Elements(render_page(replace(context, rows=with_rows(*gaps), samples=samples))).said()
    assert "It holds what its parts give it." in said
    assert "share.leaves" not in said
    assert "levels may not fit" not in said


def test_the_page_shows_what_the_tree_was_chosen_from() -> None:
    page = render_page(example({"balanced": 20}, [], n_nodes=SMALL))
    tried = " ".join(page[page.index("How the tree was chosen") :].split())
    chosen = tried.index("3000/1500 · 0<")
    other = tried.index("3000/1500/750 · 0.5<")
    assert chosen < tried.index("88.1%") < tried.index("● chosen") < other < tried.index("89.3%")


def test_hostile_text_adds_no_element_no_attribute_and_no_markup_in_figures() -> None:
    def page(text: str) -> str:
        labels = [f"{text}{i}" for i in range(3)]
        context = example({text: 30}, labels, (text, *REASONS[1:]), n_nodes=SMALL)
        return render_page(
            replace(
                context,
                **dict.fromkeys(("run_id", "title", "created", "config_yaml"), text),
                samples=[
                    context.samples[0]
                    | {"reason": text, "drawn": text, "expected": text, "table": text}
                ],
                inputs={text: text},
                tables={text: text},
                notes=[text],
                code_version=text,
            )
        )

    hostile, harmless = page(HOSTILE), page("harmless")
    attacked, expected = Elements(hostile), Elements(harmless)
    assert [(tag, list(attrs)) for tag, attrs in attacked.found] == [
        (tag, list(attrs)) for tag, attrs in expected.found
    ]
    assert attacked.scripts[1:] == expected.scripts[1:]
    assert "<" not in attacked.scripts[0]
    drawn = [
        text.replace("<br>", "").removesuffix("<extra></extra>")
        for text in strings(drawn_figures(hostile))
    ]
    assert any("&lt;/script&gt;" in text for text in drawn)
    assert not [text for text in drawn if "<" in text or "\u202e" in text]
    hostile.encode("utf-8")


def test_text_from_data_never_enters_a_hover_template() -> None:
    page = render_page(example({"%{x}": 30}, ["%{y}", "b"], n_nodes=SMALL))
    templates = {
        trace["hovertemplate"]
        for figure in drawn_figures(page).values()
        for trace in figure["data"]
    }
    plain = render_page(example({"plain": 30}, ["a", "b"], n_nodes=SMALL))
    assert templates == {
        trace["hovertemplate"]
        for figure in drawn_figures(plain).values()
        for trace in figure["data"]
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("<b>x</b> & 'y'", "&lt;b&gt;x&lt;/b&gt; &amp; 'y'"),
        ("two\nlines\tand  more", "two lines and more"),
        ("a\u202eb\x00c\ud800", "a\ufffdb\ufffdc\ufffd"),
        ("कक्षा 学校 🏳️‍🌈", "कक्षा 学校 🏳️‍🌈"),
        ("x" * 25, "x" * 23 + "…"),
        (7, "7"),
    ],
)
def test_names_become_one_line_of_plain_visible_text(name: object, text: str) -> None:
    assert figures.label_text(name) == text


def test_labels_that_look_alike_when_cut_keep_their_own_bars() -> None:
    labels = ["a rather long label name, number one", "a rather long label name, number two"]
    context = example({"s": 30}, labels, n_nodes=SMALL)
    bars = figures.label_figure(context.rows, sample="s").data[0]
    assert len(set(bars.y)) == 2
    assert sorted(bars.customdata) == labels


def test_the_page_loads_nothing_and_holds_plotly_once() -> None:
    page = render_page(example({"balanced": 30, "small": 5}, SECTIONS, n_nodes=SMALL))
    elements = Elements(page)
    links = [attrs[k] for _, attrs in elements.found for k in ("src", "href") if k in attrs]
    assert [link for link in links if not (link or "").startswith("#")] == ["data:,"]
    assert "@import" not in page
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style
    assert sum("plotly.js v" in script for script in elements.scripts) == 1
    assert len(elements.scripts) == 3


def test_the_policy_allows_exactly_the_two_scripts_of_the_page() -> None:
    elements = Elements(render_page(example({"s": 30}, [], n_nodes=SMALL)))
    policy = next(a["content"] for _, a in elements.found if "http-equiv" in a)
    hashes = {
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        for script in elements.scripts[1:]
    }
    assert set(re.findall(r"'sha256-([^']+)'", policy or "")) == hashes
    assert "default-src 'none'" in (policy or "")


def test_several_samples_have_a_tab_each_and_no_labels_means_no_label_section() -> None:
    context = example({"balanced": 30, "small": 5, "third": 9}, [], n_nodes=SMALL)
    page = render_page(context)
    elements = Elements(page)
    roles = [attrs.get("role") for _, attrs in elements.found]
    assert roles.count("tab") == roles.count("tabpanel") == 3
    assert "k-NN" not in elements.said()
    assert sorted(drawn_figures(page)) == sorted(
        f"{kind}-{level}-{i}" for kind in ("sizes", "lorenz") for level in (1, 2) for i in range(3)
    )


def test_one_sample_has_no_tabs() -> None:
    page = render_page(example({"balanced": 30}, ["a", "b"], n_nodes=SMALL))
    assert 'role="tab"' not in page
    assert "k-NN accuracy of 41.2%" in Elements(page).said()


def test_a_run_without_samples_still_shows_the_pool_and_the_tree() -> None:
    page = render_page(example({}, ["a", "b"], n_nodes=SMALL))
    assert "no sample was drawn" in page
    names = {t["name"] for figure in drawn_figures(page).values() for t in figure["data"]}
    assert names == {"pool"}


def test_an_empty_report_table_still_gives_a_page() -> None:
    context = replace(example({"s": 30}, [], n_nodes=SMALL), rows=with_rows())
    assert drawn_figures(render_page(context)) == {}


def test_many_labels_show_the_largest_forty_and_say_so() -> None:
    page = render_page(example({"s": 300}, SECTIONS, n_nodes=SMALL))
    assert len(drawn_figures(page)["labels-0"]["data"][0]["y"]) == 40
    assert "40 largest of 58 labels" in Elements(page).said()


def test_a_target_that_was_not_met_is_said_with_its_reason() -> None:
    said = Elements(render_page(example({"s": 10**6}, [], n_nodes=SMALL))).said()
    assert "the pool holds no more points" in said


def test_series_keep_their_order_and_colours_in_every_figure() -> None:
    page = render_page(example({"s": 30}, ["a", "b"], n_nodes=SMALL))
    for figure in drawn_figures(page).values():
        names = [trace["name"] for trace in figure["data"]]
        colours = [(trace.get("line") or trace["marker"])["color"] for trace in figure["data"]]
        assert names == ["pool", "uniform control", "s"]
        assert colours == ["#8b929c", "#c97a00", "#0e8cb8"]


def test_empty_nodes_end_a_curve_on_the_log_axis() -> None:
    rows = with_rows(
        *[row("node_sizes", "share_of_mean", v, level=1, x=i / 2) for i, v in enumerate((2, 1, 0))]
    )
    figure = figures.node_size_figure(rows, sample=None, level=1)
    assert list(figure.data[0].y) == [2, 1, None]
    assert np.isfinite(figure.layout.yaxis.range).all()


def test_the_same_context_gives_the_same_page() -> None:
    first, second = (render_page(example({"s": 30}, ["a"], n_nodes=SMALL)) for _ in range(2))
    assert first == second

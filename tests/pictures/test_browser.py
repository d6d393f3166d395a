"""The page in a browser: all its sections, no complaint, no request, and the tree by keyboard."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.reporting.page import render_page
from tests.pictures.browser import CHROMIUM, Page, browser
from tests.pictures.pictured import pictured

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium here: apt-get install chromium"
)

MAX_BYTES = 10_000_000
SECTIONS = (
    "tree-picture", "gallery", "map", "samples", "measures", "balance-0", "sizes-0", "coverage-0",
    "labels-0", "labels-1", "tuning", "rejects", "turned-away", "tree-shape", "provenance",
)  # fmt: skip
FOCUSED = "document.activeElement"
OPENED = "[...document.querySelectorAll('.view')].filter(v => v.offsetHeight).map(v => v.id)"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of a run over a million points, as large as it gets."""
    page = tmp_path_factory.mktemp("page") / "report.html"
    page.write_text(render_page(pictured((20_000, 2000, 200), examples=5)), "utf-8")
    return page


@pytest.fixture(scope="module")
def page(report: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("browser")) as opened:
        opened.open(report)
        opened.wait_for("document.querySelectorAll('.js-plotly-plot').length > 0")
        yield opened


def test_the_page_stays_below_ten_megabytes(report: Path) -> None:
    assert report.stat().st_size < MAX_BYTES


def test_what_is_read_comes_before_any_script(report: Path) -> None:
    whole = report.read_text("utf-8")
    assert whole.index("<script") > whole.index('id="provenance"')


def test_every_section_is_there_and_holds_something(page: Page) -> None:
    page.run("for (const d of document.querySelectorAll('details')) d.open = true")
    empty = "id => !document.getElementById(id)?.textContent.trim()"
    assert page.run(f"{list(SECTIONS)}.filter({empty})") == []
    assert page.run("document.querySelectorAll('#map circle').length") > 100
    assert page.run("document.querySelectorAll('#tree .tile-of').length") > 100
    assert page.run("document.querySelectorAll('#coverage-0 .js-plotly-plot').length") == 1
    links = (
        "[...document.querySelectorAll('a[href^=\"#\"]')].map(a => a.getAttribute('href').slice(1))"
    )
    assert page.run(f"{links}.filter(id => !document.getElementById(id))") == []


def test_the_tree_is_opened_and_left_by_keyboard(page: Page) -> None:
    assert page.run(OPENED) == ["tree"]
    first = page.run("document.querySelector('#tree a.tile-of').hash")
    page.run("document.querySelector('#tree a.tile-of').focus()")
    page.press("ArrowRight")
    assert page.run(f"{FOCUSED}.hash") != first
    page.press("ArrowLeft")
    assert page.run(f"{FOCUSED}.hash") == first
    page.press("Enter")
    page.wait_for(f"{OPENED}[0] === '{first[1:]}'")
    kept = f"document.querySelectorAll('{first} .exemplars img').length"
    page.wait_for(f"{kept} > 8")  # kept, left out, closest, farthest
    page.wait_for(f"{FOCUSED}.closest('.view')?.id === '{first[1:]}'")
    page.press("Escape")
    page.wait_for(f"{OPENED}[0] === 'tree'")
    assert page.run(f"{OPENED}.length") == 1


@pytest.mark.parametrize("width", [1280, 420])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_screen(
    page: Page, report: Path, width: int, scheme: str
) -> None:
    page.look(width, scheme)
    page.open(report)
    page.wait_for("document.querySelectorAll('.js-plotly-plot').length > 0")
    page.wait_for(f"document.documentElement.scrollWidth <= {width}")
    back = page.run("getComputedStyle(document.body).backgroundColor")
    assert (back == "rgb(17, 20, 24)") == (scheme == "dark")


def test_in_print_the_whole_tree_and_every_sample_are_there(page: Page) -> None:
    page.run("location.hash = '#tree'")
    page.call("Emulation.setEmulatedMedia", media="print")
    assert page.run(OPENED) == ["tree"]
    page.run("window.dispatchEvent(new Event('beforeprint'))")
    assert page.run("[...document.querySelectorAll('.panel')].every(p => p.offsetHeight)")
    page.run("window.dispatchEvent(new Event('afterprint'))")
    page.call("Emulation.setEmulatedMedia", media="")


def test_the_page_complains_of_nothing_and_asks_for_nothing(page: Page) -> None:
    assert page.complaints() == []
    assert page.requested() == set()


def test_without_a_script_tiles_still_open(report: Path, tmp_path: Path) -> None:
    with browser(tmp_path) as plain:
        plain.call("Emulation.setScriptExecutionDisabled", value=True)
        plain.open(report)
        document = plain.call("DOM.getDocument")["root"]["nodeId"]
        first = plain.call("DOM.querySelector", nodeId=document, selector="#tree a.tile-of")
        attributes = plain.call("DOM.getAttributes", nodeId=first["nodeId"])["attributes"]
        target = dict(zip(attributes[::2], attributes[1::2], strict=True))["href"]
        plain.call("DOM.focus", nodeId=first["nodeId"])
        plain.press("Enter")
        view = plain.call("DOM.querySelector", nodeId=document, selector=f"{target}:target")
        assert plain.call("DOM.getBoxModel", nodeId=view["nodeId"])["model"]["height"] > 0

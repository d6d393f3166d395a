"""Rules that import-linter cannot express: stages, rooms and their sizes."""

import ast
from pathlib import Path

import pytest

HOME = Path(__file__).parents[1]
ROOMS = sorted(
    path.parent
    for room in ("jobs/*", "udfs/kernels/*")
    for path in HOME.glob(f"{room}/__init__.py")
)
MODULES = sorted([*HOME.glob("jobs/**/*.py"), *HOME.glob("udfs/**/*.py")])
JOBS = {path.stem for path in HOME.glob("jobs/*.py")} - {"__init__", "__main__", "recipe"}
LONGEST_ROOM, LONGEST_MODULE = 1500, 300  # lines
CLASSIC = ("sparkContext", "_jvm", "_jdf", "_jsc", "_jsparkSession", "rdd")


def imported(path: Path) -> set[str]:
    """Return the modules that a file imports, ``from jobs import x`` as jobs.x."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def n_lines(path: Path) -> int:
    return len(path.read_text().splitlines())


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_a_room_imports_no_job(room: Path) -> None:
    jobs = {f"jobs.{job}" for job in JOBS}
    assert not {name for path in room.rglob("*.py") for name in imported(path)} & jobs


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_a_room_can_be_read_in_an_afternoon(room: Path) -> None:
    assert sum(map(n_lines, room.rglob("*.py"))) <= LONGEST_ROOM


def test_no_module_is_longer_than_a_reader_keeps_in_mind() -> None:
    assert {str(path): n for path in MODULES if (n := n_lines(path)) > LONGEST_MODULE} == {}


def test_only_one_module_names_what_connect_does_not_have() -> None:
    named = {
        path.relative_to(HOME).as_posix()
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in CLASSIC
    }
    assert named <= {"jobs/spark/classic.py"}

"""Write BAD_INPUT.md, the users' page on bad input, from the tables that the tests run.

python -m tests.jobs.bad_input_page
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from unittest.mock import ANY

from tests.jobs.bad_configs import (
    AFTER_EMBEDDING,
    BAD_JAVAS,
    CODE,
    DOOR,
    EXPORTS,
    FILES,
    GUARDS,
    OVERRIDES,
    SESSIONS,
    SPARK,
    TROUBLES,
)
from tests.jobs.bad_rows import CASES, TAKEN, TITLES

CODE_MODULE = "my_embedder"  # in the tables; tests give it other names
PAGE = Path(__file__).parents[2] / "BAD_INPUT.md"
INTRO = """\
# Bad input, and what Evenlake makes of it

Made by `python -m tests.jobs.bad_input_page` from the tables that `tests/jobs/test_bad_input.py`
runs: every line here is tested.

A row that cannot be used does not stop a run and is not lost: it goes into the table `rejects`
with its id, a reason and a detail. More bad rows than `hygiene.max_reject_fraction` stop the run
with exit code 3. A bad config, table or session, or SQL that fails on a row, ends it before any
work, or once the vectors show it, with exit code 2 (the session: 1), and one message that says what
was found, what is wanted, and how to fix it."""

CODE_AFTERWORD = """
What it gives that is not one vector of float32 for every content ends the run as well, and says so
(`tests/udfs/test_specs.py`). A vector of another length, None, NaN and infinity are rejects."""

AFTERWORD = """
What changes while a run goes on: a Delta pool is read at its version of the start, whatever is
written to it. Its files vacuumed under the run, or plain files that changed, end it with exit code
2 and a message (`tests/jobs/test_changing_input.py`). `evenlake doctor` looks for another Python on
the workers, a foreign `jobs` package and the like before a run
(`tests/jobs/test_check_environment.py`). Disks that are really full are in `make faults`."""


def render() -> str:
    """Return the page."""
    return "\n".join(line.rstrip() for line in _lines()) + "\n"


def _lines() -> Iterator[str]:
    yield INTRO
    yield "\n## Rows"
    for pool, title in TITLES.items():
        yield f"\n### {title}\n"
        yield from _table(
            ("the row holds", "reason", "detail"),
            [(bad.what, f"`{bad.reason}`", _detail(bad.detail)) for bad in CASES[pool] if bad.what],
        )
        if TAKEN[pool]:
            yield "\nTaken as they are: " + "; ".join(odd.what for odd in TAKEN[pool]) + "."
    yield "\n## Pools as a whole\n"
    yield from _table(
        ("the pool", "exit code", "message"),
        [(what, str(g.exit_code), _code(g.message)) for what, g in GUARDS.items()],
    )
    yield "\n## Keys of the config\n"
    yield from _messages("the config says", OVERRIDES)
    yield "\n## Config files\n"
    files = {repr(content)[2:-1]: f"my.yaml{message}" for content, message in FILES.items()}
    yield from _messages("the file holds", files)
    yield "\n## Code of your own (`embed.model: python:...`)\n"
    code = {what: bad.message for what, bad in CODE.items()}
    yield from _messages("what is wrong", code, is_code=False)
    yield CODE_AFTERWORD
    yield "\n## Tables and columns\n"
    yield from _messages("the config says", DOOR | AFTER_EMBEDDING)
    yield "\n## Exports\n"
    yield from _messages("evenlake export DIR", EXPORTS)
    yield "\n## Sessions\n"
    yield from _messages("the session has", SESSIONS, is_code=False)
    yield "\n## Machines\n"
    javas = {what: message for what, (_, message) in BAD_JAVAS.items()}
    machines = dict(TROUBLES.values()) | javas
    yield from _messages("the machine has", machines, is_code=False)
    yield AFTERWORD


def _messages(title: str, messages: Mapping[str, str], *, is_code: bool = True) -> Iterator[str]:
    rows = [(_code(k) if is_code else k, _code(message)) for k, message in messages.items()]
    return _table((title, "message"), rows)


def _table(titles: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(titles) + " |"
    yield "|" + "---|" * len(titles)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def _detail(detail: object) -> str:
    if detail is None:
        return ""
    return "(what the decoder says)" if detail is ANY else _code(str(detail))


def _code(text: str) -> str:
    """Format a text as code inside a table cell."""
    shown = text.replace("{at}", "/data").replace(SPARK, "...").replace("|", "\\|") or " "
    shown = re.sub("x{9,}", "x...x", shown).replace("\n", " ")
    fence = "``" if "`" in shown else "`"
    return f"{fence}{shown}{fence}"


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")

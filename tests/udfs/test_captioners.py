"""Captioners: parts of demonstrations, a server that fails, the user's own code."""

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.synthesis.servers import echo, server
from udfs.captioners import contract, grammar, openai
from udfs.captioners.built_in import CAPTIONERS
from udfs.captioners.contract import (
    FAILED,
    NO_ANSWER,
    UNREACHABLE,
    Answer,
    Calls,
    CaptionerError,
    Failure,
    Pace,
    Prompt,
    first_line,
)
from udfs.captioners.demonstrations import DEMONSTRATIONS, RELATIONS, TEMPLATES
from udfs.captioners.python import captioner_of
from udfs.captioners.specs import NoOptions

KEY = "sk-not-to-be-shown"


def prompt(
    concept: str = "owl", extra: str | None = None, lines: tuple[str, ...] = (), n: int = 0
) -> Prompt:
    template = "concept" if extra is None else "background"
    text = "\n".join([*lines, f"{concept} =>"])
    return Prompt(n, 0, concept, template, extra, lines, text, 2**40 + n)


# --- the grammar ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("concept", "extra", "lines", "want"),
    [
        (
            "owl",
            None,
            ("tiger => A tiger at rest, half in shadow, at dusk",
             "pear => A pear, turned away, in rain",
             "goat => A goat, on a hill, against the light"),
            "An owl at rest, turned away, against the light",
        ),
        (
            "fire engine",
            "beach",
            ("old boat, river => Close-up of an old boat by the river, small, at noon",),
            "Close-up of a fire engine by the beach",
        ),
        ("river boat", "on", ("cat, in => A cat in a box, asleep",), "A river boat on a box"),
        ("x", None, (), Failure(NO_ANSWER, "the prompt has no demonstrations to take parts from")),
    ],
)  # fmt: skip
def test_the_grammar_by_hand(
    concept: str, extra: str | None, lines: tuple[str, ...], want: Answer
) -> None:
    write = grammar.make("", NoOptions(), Calls())
    assert write([prompt(concept, extra, lines)]) == [want]


def test_demonstrations_can_be_taken_apart() -> None:
    """Each names its concept and what stands beside it, and has an opening and two details."""
    for template in TEMPLATES:
        seen = DEMONSTRATIONS[template]
        assert len({each.caption for each in seen}) == len(seen) >= 10
        for each in seen:
            opening, *details = each.caption.split(", ")
            assert f" {each.concept} " in f" {opening} "
            assert len(details) == 2
            assert each.extra is None or f" {each.extra} " in f" {opening} "
    assert {each.extra for each in DEMONSTRATIONS["relation"]} == {*RELATIONS}


# --- a server -------------------------------------------------------------------------------------


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Note the waits between attempts instead of waiting."""
    waits: list[float] = []
    monkeypatch.setattr(openai, "time", SimpleNamespace(sleep=waits.append))  # not all threads'
    yield waits


def ask(base_url: str, *prompts: Prompt, **calls: Any) -> list[Answer]:
    options = openai.Options(base_url=base_url, key_variable=None)
    return [*openai.make("m", options, Calls(**calls))(prompts or (prompt(),))]


def test_a_server_is_asked_as_the_protocol_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with server() as asked:
        options = openai.Options(base_url=asked.base_url + "/", key_variable="MY_KEY", max_length=9)
        (answer,) = openai.make("gpt", options, Calls())([prompt(lines=("a => b",))])
    (body,) = asked.bodies
    assert answer == echo(body, 0)[1]
    assert asked.keys == [f"Bearer {KEY}"]
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("gpt", 9, 0.8)
    assert asked.prompts == ["a => b\nowl =>"]
    assert body["seed"] == 2**40 % 2**31


def test_what_fails_for_now_is_asked_again_and_again_later(no_waiting: list[float]) -> None:
    with server(lambda b, n: (429, "slow down") if n < 4 else echo(b, n)) as asked:
        (answer,) = ask(asked.base_url)
    assert isinstance(answer, str)
    assert len(asked.bodies) == 4
    assert [wait for wait in no_waiting if wait] == [1, 2, 4]


def test_a_server_says_how_long_to_wait(no_waiting: list[float]) -> None:
    with server(lambda b, n: (503, "busy") if n < 2 else echo(b, n), retry_after="7") as asked:
        assert isinstance(ask(asked.base_url)[0], str)
    assert [wait for wait in no_waiting if wait] == [7]


def test_patience_ends(no_waiting: list[float]) -> None:
    with server(lambda b, n: (500, "broken")) as asked:
        found = ask(asked.base_url, retries=2)
    assert found == [Failure(UNREACHABLE, "3 attempts, the last: 500 broken")]
    (gone,) = ask(asked.base_url, retries=1)  # nobody listens there now
    assert isinstance(gone, Failure)
    assert (gone.reason, "ConnectionRefused" in gone.detail) == (UNREACHABLE, True)


def test_a_prompt_that_is_refused_is_not_asked_again(no_waiting: list[float]) -> None:
    with server(lambda b, n: (400, "not this") if n == 1 else (200, "\n\nFine\nmore")) as asked:
        found = ask(asked.base_url, prompt(), prompt(n=1))
    assert found == [Failure(NO_ANSWER, "400 not this"), "Fine"]
    assert len(asked.bodies) == 2


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refused_key_ends_it_and_is_not_shown(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with server(lambda b, n: (status, f"Incorrect API key provided: {KEY}.")) as asked:
        options = openai.Options(base_url=asked.base_url, key_variable="MY_KEY")
        with pytest.raises(CaptionerError, match=f"answers {status} Incorrect") as error:
            openai.make("m", options, Calls())([prompt()])
    assert KEY not in str(error.value)
    assert len(asked.bodies) == 1


def test_a_missing_key_is_told_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    options = openai.Options(key_variable="MY_KEY")
    with pytest.raises(CaptionerError, match="the environment has no MY_KEY; export it"):
        openai.make("m", options, Calls())


def test_a_pace_leaves_time_between_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    now, waits = 100.0, list[float]()
    clock = SimpleNamespace(monotonic=lambda: now, sleep=waits.append)
    monkeypatch.setattr(contract, "time", clock)
    pace = Pace(120)
    for _ in range(3):
        pace.wait()
    now += 10
    pace.wait()
    assert waits == [0, 0.5, 1, 0]


def test_a_slow_server_is_given_up() -> None:
    def slow(body: dict[str, Any], n: int) -> tuple[int, str]:
        time.sleep(0.5)
        return echo(body, n)

    with server(slow) as asked:
        (answer,) = ask(asked.base_url, retries=0, timeout=0.1)
    assert isinstance(answer, Failure)
    assert answer.reason == UNREACHABLE
    assert "timed out" in answer.detail


# --- the user's own code --------------------------------------------------------------------------


def test_an_exception_counts_for_the_prompts_that_raise_it() -> None:
    sizes = []

    def write(prompts: list[str]) -> list[str | None]:
        sizes.append(len(prompts))
        if any("bad" in text for text in prompts):
            raise RuntimeError("no\n such word")
        return [None if "none" in text else text.upper() for text in prompts]

    found = captioner_of(write)([prompt("a"), prompt("bad"), prompt("none"), prompt("b")])
    assert found == [
        "A =>",
        Failure(FAILED, "RuntimeError: no such word"),
        Failure(NO_ANSWER, "the captioner gave None"),
        "B =>",
    ]
    assert sizes == [4, 2, 1, 1, 2]


@pytest.mark.parametrize(
    ("got", "said"),
    [
        ("text", "it gave str for 1 prompts; want a list of 1 texts"),
        (["a", "b"], "it gave 2 captions for 1 prompts; want"),
        ([7], "it gave int as a caption; want"),
        (None, "it gave NoneType for 1 prompts"),
    ],
)
def test_what_is_no_list_of_captions_is_refused(got: Any, said: str) -> None:
    with pytest.raises(CaptionerError, match=said):
        captioner_of(lambda prompts: got)([prompt()])


def test_specs_by_their_names() -> None:
    assert {name: spec.takes_name for name, spec in CAPTIONERS.items()} == {
        "grammar": False, "transformers": True, "openai": True,
    }  # fmt: skip
    assert first_line(" \n \n one \n two") == "one"
    assert first_line("\n") == ""

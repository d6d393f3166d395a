"""A run's stages: what is reused or repeated, what a failure leaves, what is one commit."""

import contextlib
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from jobs.config.errors import BusyError, ConfigError, CurationError, InputChangedError
from jobs.config.model import RunConfig
from jobs.ledger import known_events
from jobs.publish_samples import require_kept
from jobs.runs.work import Work
from tests.runs.world import Found, World, config_of, fails, never, stage, works

SECRET = "hunter2"
A = stage("a")
B = stage("b", after=(A,))
ALONE = stage("alone")


@pytest.fixture
def world() -> World:
    return World()


def as_seed(config: RunConfig, found: Found) -> RunConfig:
    """Replace the seed by what a stage found."""
    return config.model_copy(update={"seed": found.n_points})


# --- done, and reused -----------------------------------------------------------------------------


def test_a_stage_is_done_once_and_reused_by_any_run(world: World) -> None:
    run = world.open(A)
    assert run.do(A) == Found(n_points=3)
    again = world.open(stage("a", never))
    assert again.do(again.recipe.stages[0]) == Found(n_points=3)
    assert world.told() == ["started", "finished", "reused"]
    assert (again.reused, again.metrics) == (["a"], run.metrics)
    assert {e.stage_key for e in world.events()} == {run.key(A)}
    assert world.is_quiet()


def test_the_ledger_tells_what_ran_on_what(world: World) -> None:
    run = world.open(A, B)
    run.do(A)
    started, finished = world.events()
    assert started.inputs == {"pool": "pool@0"}
    assert started.stages == ("a", "b")
    assert started.run_id == run.run_id
    assert json.loads(started.config)["cluster"]["levels"] == [2]
    assert finished.metrics["n_points"] == 3
    assert finished.metrics["seconds"] >= 0


def test_a_stage_wants_those_that_it_builds_on(world: World) -> None:
    with pytest.raises(ConfigError, match=r"^a has not finished for this config and input \(key"):
        world.open(A, B).do(B)
    assert world.told() == []


def test_of_several_stages_that_are_missing_the_first_is_named(world: World) -> None:
    last = stage("last", works, after=(B,))
    with pytest.raises(ConfigError, match="^a has not finished"):
        world.open(A, B, last).do(last)


def test_what_a_stage_chose_reaches_the_keys_after_it(world: World) -> None:
    choice = stage("choice", works, resolves=as_seed)
    later = stage("later", lambda work: Found(n_points=work.config.seed))
    run = world.open(choice, later)
    with pytest.raises(ConfigError, match="choice has not finished"):
        run.do(later)
    run.do(choice)
    assert run.do(later) == Found(n_points=3)
    given = world.open(later, config=config_of(seed=3))
    assert given.key(later) == run.key(later)  # as if it had been written
    assert given.has_finished(later)


def test_what_was_cleaned_an_hour_ago_is_done_again(world: World) -> None:
    world.open(A).do(A)
    run = world.open(A)
    world.open(A).ledger.record("a", run.key(A), "cleaned")
    world.clock.advance(3600)
    run.do(A)
    assert world.told() == ["started", "finished", "cleaned", "started", "finished"]


def test_what_is_looked_up_late_is_read_anew_where_the_ledger_has_changed(world: World) -> None:
    world.open(A).do(A)
    run = world.open(ALONE)  # it has not looked up a yet
    key = world.open(A).key(A)
    world.open(A).ledger.record("a", key, "cleaned")
    assert run.ledger.finished(key) is None
    attempt = run.ledger.begin("a", key, since=None, waits=False, say=print)
    assert attempt is not None
    attempt.end()


def test_a_large_ledger_is_read_by_its_keys(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.open(A).do(A)
    monkeypatch.setattr(known_events, "FEW_EVENTS", 1)
    world.open(A, B).do(A)
    run = world.open(A, B)
    run.do(B)
    assert world.told() == ["started", "finished", "reused", "started", "finished"]


# --- failures -------------------------------------------------------------------------------------


def test_a_failure_is_told_and_the_next_run_tries_again(world: World) -> None:
    broken = stage("a", fails)
    with pytest.raises(RuntimeError, match="the disk is full"):
        world.open(broken).do(broken)
    assert world.is_quiet()
    world.open(A).do(A)
    assert world.told() == ["started", "failed", "started", "finished"]
    assert [e.attempt for e in world.events()] == [1, 1, 2, 2]
    assert world.events()[1].notes == "RuntimeError: the disk is full"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), MemoryError()])
def test_whatever_stops_a_stage_is_its_failure(world: World, error: BaseException) -> None:
    def stops(_: Work) -> Found:
        raise error

    broken = stage("a", stops)
    with pytest.raises((type(error), CurationError)):
        world.open(broken).do(broken)
    assert world.told() == ["started", "failed"]
    assert world.is_quiet()


def test_an_outcome_that_makes_no_figures_is_a_failure(world: World) -> None:
    odd = stage("a", lambda _: Found(n_points="many"))  # type: ignore[arg-type]  # no number
    with pytest.raises(ValueError, match="many"):
        world.open(odd).do(odd)
    assert world.told() == ["started", "failed"]


def test_rows_of_an_input_that_changed_are_cleaned(world: World) -> None:
    seen = []

    def changes(work: Work) -> Found:
        seen.append(work.incarnation)
        raise InputChangedError("files of another fingerprint")

    broken = stage("a", changes)
    for _ in range(2):
        with pytest.raises(InputChangedError):
            world.open(broken).do(broken)
    assert world.told() == 2 * ["started", "failed", "cleaned"]
    assert seen == [0, 1]


def test_a_failure_that_cannot_be_told_hides_no_error(world: World) -> None:
    def fills(work: Work) -> Found:
        world.store.fails_with = OSError("no space left on device")
        return fails(work)

    broken = stage("a", fills)
    with pytest.raises(RuntimeError, match="the disk is full"):
        world.open(broken).do(broken)
    assert world.told() == ["started"]
    assert world.is_quiet()  # so that the next run need not wait


def test_an_end_that_cannot_be_told_has_not_come(world: World) -> None:
    cleared = []

    def fills(work: Work) -> Found:
        work.when_finished(lambda: cleared.append("checkpoints"))
        world.store.fails_with = OSError("no space left on device")
        return works(work)

    full = stage("a", fills)
    run = world.open(full)
    with pytest.raises(OSError, match="no space left"):
        run.do(full)
    assert not run.has_finished(full)
    assert not cleared
    assert world.is_quiet()


def test_what_is_to_be_done_at_the_end_comes_after_the_ledger_knows(world: World) -> None:
    told = []

    def tidies(work: Work) -> Found:
        work.when_finished(lambda: 1 / 0)  # the stage is done and recorded
        work.when_finished(lambda: told.append(world.told()))
        return works(work)

    tidy = stage("a", tidies)
    world.open(tidy).do(tidy)
    assert told == [["started", "finished"]]


def test_what_an_attempt_held_is_freed_however_it_ends(world: World) -> None:
    freed = []

    def holds(work: Work) -> Found:
        rows: Any = SimpleNamespace(unpersist=lambda: freed.append(work.stage.name))
        rows.persist = lambda _: rows
        assert work.persisted(rows) is rows
        assert work.stage.name not in freed
        return fails(work) if work.stage.name == "a" else works(work)

    for name in ("a", "b"):
        held = stage(name, holds)
        with contextlib.suppress(RuntimeError):
            world.open(held).do(held)
    assert freed == ["a", "b"]


def test_no_credentials_in_events(world: World) -> None:
    def refused(_: Work) -> Found:
        raise RuntimeError(f"403 from https://me:{SECRET}@host/?sig={SECRET}")

    options = {"password": SECRET, "proxy": f"http://me:{SECRET}@proxy:8080"}
    config = config_of(input={"table": "pool", "embedding": "vector", "options": options})
    broken = stage("a", refused)
    with pytest.raises(RuntimeError, match=SECRET):
        world.open(broken, config=config).do(broken)
    assert world.events()[-1].notes == "RuntimeError: 403 from https://***@host/?sig=***"
    assert SECRET not in str(world.events())


# --- refreshes ------------------------------------------------------------------------------------


def test_a_refresh_cleans_and_does_again_what_finished_before_it_began(world: World) -> None:
    incarnations = []

    def counts(work: Work) -> Found:
        incarnations.append(work.incarnation)
        return works(work)

    counted = stage("a", counts)
    world.open(counted).do(counted)
    world.clock.advance(1)
    run = world.open(counted, is_refresh=True)
    run.do(counted)
    run.do(counted)  # what it did itself is not repeated
    again = ["cleaned", "started", "finished"]
    assert world.told() == ["started", "finished", *again, "reused"]
    assert incarnations == [0, 1]


def test_a_refresh_of_what_never_ran_counts_an_incarnation(world: World) -> None:
    run = world.open(A, is_refresh=True)
    run.do(A)
    assert world.told() == ["cleaned", "started", "finished"]
    assert world.open(A).has_finished(A)
    assert world.open(A).ledger.incarnation(run.key(A)) == 1


def test_a_refresh_chooses_anew_from_the_config_as_written(world: World) -> None:
    choice = stage("choice", lambda work: Found(n_points=work.config.seed + 3), resolves=as_seed)
    world.open(choice).do(choice)
    world.clock.advance(1)
    run = world.open(choice, is_refresh=True)
    assert run.config.seed == 0
    run.do(choice)
    assert run.config.seed == 3


def test_what_was_cleaned_under_a_run_is_not_published(world: World) -> None:
    run = world.open(A, B)
    run.do(A)
    run.do(B)
    require_kept(run)
    world.open(A).ledger.record("a", run.key(A), "cleaned")
    with pytest.raises(CurationError, match=r"^a: cleaned while the run was under way"):
        require_kept(run)


# --- the end of a stage and the start of the next are one commit ----------------------------------


def test_where_one_stage_ends_and_the_next_begins_is_one_commit(world: World) -> None:
    run = world.open(A, B)
    with run.under_way():
        run.do(A)
        run.do(B)
    assert world.store.commits == ["started a", "finished a, started b", "finished b"]
    assert world.is_quiet()


def test_a_run_with_nothing_new_is_one_commit(world: World) -> None:
    run = world.open(A, B)
    run.do(A)
    run.do(B)
    again = world.open(A, B)
    with again.under_way():
        again.do(A)
        again.do(B)
    assert world.store.commits[4:] == ["reused a, reused b"]


def test_a_session_that_does_not_tell_of_its_commits_tells_nothing_twice(world: World) -> None:
    world.store.tells = False
    run = world.open(A, B)
    with run.under_way():
        run.do(A)
        run.do(B)
    assert world.store.commits == ["started a", "finished a, started b", "finished b"]
    assert world.is_quiet()


def test_an_end_that_waits_is_told_where_the_next_stage_is_anothers(world: World) -> None:
    run = world.open(A, B)
    with run.under_way():
        run.do(A)
        other = world.open(A, B)
        finish = world.begin(other, B)  # a race that this run loses
        world.clock.after(30, finish)
        run.do(B)
    assert world.store.commits == ["started a", "started b", "finished a", "finished b", "reused b"]
    assert world.is_quiet()


def test_an_end_that_waits_is_told_before_a_run_gives_up(world: World) -> None:
    run = world.open(A, B, waits=False)
    with pytest.raises(BusyError), run.under_way():
        run.do(A)
        finish = world.begin(world.open(A, B), B)
        run.do(B)
    assert world.told("a") == ["started", "finished"]
    finish()
    assert world.is_quiet()


def test_an_error_between_two_stages_loses_no_end(world: World) -> None:
    run = world.open(A, B)
    with pytest.raises(KeyboardInterrupt), run.under_way():
        run.do(A)
        raise KeyboardInterrupt
    assert world.told() == ["started", "finished"]
    assert world.is_quiet()


def test_an_end_that_could_not_be_told_with_the_next_start_is_told_later(world: World) -> None:
    run = world.open(A, B)
    with run.under_way():
        run.do(A)
        world.store.fails_with = OSError("503 Slow Down")
        with pytest.raises(OSError, match="503"):
            run.do(B)
        world.store.fails_with = None
    assert world.store.commits == ["started a", "finished a"]
    assert world.is_quiet()


def test_an_end_that_can_never_be_told_ends_its_lease(world: World) -> None:
    run = world.open(A, B)
    with pytest.raises(OSError, match="no space left"), run.under_way():
        run.do(A)
        world.store.fails_with = OSError("no space left on device")
    assert run.ledger.finished(run.key(A)) is None
    assert world.is_quiet()


def test_an_error_is_not_hidden_by_an_end_that_cannot_be_told(world: World) -> None:
    run = world.open(A, B)
    with pytest.raises(ZeroDivisionError), run.under_way():
        run.do(A)
        world.store.fails_with = OSError("no space left on device")
        raise ZeroDivisionError
    assert world.is_quiet()


def test_a_lease_holds_until_the_end_is_told(world: World) -> None:
    run = world.open(A, B)
    with run.under_way():
        run.do(A)
        world.clock.settle()
        world.clock.advance(600)
        with pytest.raises(BusyError):
            world.open(A, waits=False).do(A)
    assert world.told() == ["started", "finished"]
    assert world.is_quiet()


def test_a_late_end_changes_nothing_for_a_later_attempt(world: World) -> None:
    late = world.open(A)
    key = late.key(A)
    finish = world.begin(late, A, beats=False)
    world.clock.advance(61)
    world.open(A).do(A)
    first = world.events()[0]
    world.store.append([replace(first, event="finished", at=world.clock.now())])
    found = world.open(A).ledger.finished(key)
    assert found is not None
    assert found.attempt == 2
    with pytest.raises(CurationError, match="stood still"):
        finish()

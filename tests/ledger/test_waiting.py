"""Several processes at one stage: one does it, the others wait, dead ones are skipped."""

from collections.abc import Callable

import pytest

from jobs.config.errors import BusyError, InputChangedError, LeaseLostError
from jobs.runs.progress import Progress
from jobs.runs.work import Work
from tests.runs.world import Do, Found, World, fails, never, stage, works

A = stage("a")
NEVER = stage("a", never)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the notes that runs show to people."""
    said: list[str] = []
    monkeypatch.setattr(Progress, "note", lambda _, stage, text: said.append(text))
    return said


def test_a_second_run_waits_and_takes_the_firsts_result(world: World, notes: list[str]) -> None:
    second = world.open(NEVER)  # it does not know about the other
    finish = world.begin(world.open(A), A)
    world.clock.after(600, finish)  # ten leases later
    assert second.do(NEVER) == Found(n_points=3)
    assert world.told() == ["started", "finished", "reused"]
    assert second.reused == ["a"]
    waited, reused = notes  # only once, however long the wait
    assert waited.startswith("waiting for another process: holder=")
    assert reused == "reused"
    assert not world.store.renewals
    assert world.is_quiet()


def test_a_run_that_saw_the_other_start_does_not_take_its_end_for_a_death(world: World) -> None:
    finish = world.begin(world.open(A), A)
    second = world.open(NEVER)
    finish()
    second.do(NEVER)
    assert world.told() == ["started", "finished", "reused"]


def test_a_run_that_must_not_wait_says_who_is_at_work(world: World) -> None:
    finish = world.begin(world.open(A), A)
    with pytest.raises(BusyError, match=r"under way in another process \(holder=.*--if-running"):
        world.open(NEVER, waits=False).do(NEVER)
    finish()
    assert world.told() == ["started", "finished"]


def test_who_waited_takes_over_what_failed(world: World) -> None:
    broken = stage("a", fails)
    finish = world.begin(world.open(broken), broken)

    def break_off() -> None:
        with pytest.raises(RuntimeError):
            finish()

    world.clock.after(30, break_off)
    world.open(A).do(A)
    assert world.told() == ["started", "failed", "started", "finished"]


@pytest.mark.parametrize("tells", [True, False])
def test_of_two_that_start_at_once_one_does_the_work(world: World, tells: bool) -> None:
    world.store.tells = tells
    first, second = world.open(A), world.open(NEVER)  # neither knows about the other
    finish = world.begin(first, A)
    world.clock.after(1, finish)
    second.do(NEVER)
    assert world.told() == ["started", "finished", "reused"]
    assert world.is_quiet()


def test_a_refresh_that_waited_takes_the_others_result(world: World) -> None:
    world.open(A).do(A)
    world.clock.advance(1)
    first, second = world.open(A, is_refresh=True), world.open(NEVER, is_refresh=True)
    finish = world.begin(first, A)
    world.clock.after(30, finish)
    second.do(NEVER)
    assert world.told()[2:] == ["cleaned", "started", "finished", "reused"]


def test_a_holder_whose_process_is_gone_is_passed_over_at_once(world: World) -> None:
    world.begin(world.open(A), A, beats=False)
    world.store.present.clear()
    world.open(A, waits=False).do(A)
    assert world.told() == ["started", "started", "finished"]


def test_elsewhere_a_dead_holders_lease_has_to_expire(world: World) -> None:
    world.store.knows_processes = False
    world.begin(world.open(A), A, beats=False)
    began = world.clock.now()
    world.open(A).do(A)
    assert 60 <= (world.clock.now() - began).total_seconds() < 63
    assert world.told() == ["started", "started", "finished"]


def test_what_was_cleaned_under_a_holder_can_be_started_at_once(world: World) -> None:
    seen = []

    def counts(work: Work) -> Found:
        seen.append(work.incarnation)
        return works(work)

    counted = stage("a", counts)
    first = world.open(counted)
    finish = world.begin(first, counted)
    world.open(A).ledger.record("a", first.key(A), "cleaned")  # evenlake runs clean --force
    world.open(counted, waits=False).do(counted)
    finish()
    assert seen == [1, 0]
    assert world.told() == ["started", "cleaned", "started", "finished"]
    assert world.events()[-1].attempt == 2


def frozen(world: World, do: Do) -> Callable[[], None]:
    """Begin a stage in a process that stalls beyond its lease; return a call that finishes it."""
    stuck = stage("a", do)
    wake_up = world.begin(world.open(stuck), stuck, beats=False)
    world.clock.advance(61)
    return wake_up


@pytest.mark.parametrize("ends_by", ["writing", "ending", "failing"])
def test_one_who_stood_still_changes_nothing_any_more(world: World, ends_by: str) -> None:
    def wakes(work: Work) -> Found:
        if ends_by == "failing":  # its input may have changed: the other's result stays
            raise InputChangedError("files of another fingerprint")
        if ends_by == "writing":
            work.require_lease()
            never(work)
        return works(work)

    wake_up = frozen(world, wakes)
    world.open(A).do(A)
    with pytest.raises(LeaseLostError, match=r"another process took over.*run the same command"):
        wake_up()
    assert world.told() == ["started", "started", "finished"]
    assert world.is_quiet()


def test_one_who_stood_still_goes_on_where_nobody_took_over(world: World) -> None:
    wake_up = frozen(world, works)
    wake_up()
    assert world.told() == ["started", "finished"]

"""Who is at work: one process does a stage, others wait for it, and the dead are passed over."""

import logging
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs import balance_sample, curate
from jobs.config.errors import BusyError, InputChangedError, LeaseLostError
from jobs.runs import attempts
from jobs.runs.attempts import SECONDS, at_work
from jobs.runs.events import read_events
from jobs.runs.run import Run, open_run
from jobs.tables.locks import FOLDER, is_gone
from tests.jobs.tiny import EMBED, config_of, write_pool

TOKEN = "0123abcd"
LEASE = 12.0  # seconds; renewed every 4, which a busy machine has to manage
FIGURES = {"n_points": 3.0}


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("attempts")
    write_pool(spark, folder / "pool", 60)
    return folder


@pytest.fixture
def opened(spark: SparkSession, folder: Path, tmp_path: Path) -> Callable[..., Run]:
    """Open runs of one recipe on a root of the test's own."""
    config = config_of(folder, f"output.root={tmp_path}", f"output.lease_seconds={LEASE}")
    return lambda **how: open_run(spark, config, **how)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


class Work:
    """A stage's work that waits for a word."""

    def __init__(self) -> None:
        self.has_begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self) -> dict[str, float]:
        self.has_begun.set()
        assert self.may_end.wait(60)
        return FIGURES


def never() -> dict[str, float]:
    raise AssertionError("done twice")


def told(run: Run) -> list[str]:
    return [e.event for e in read_events(run.lake, [run.keys[EMBED]])]


def begun(threads: ThreadPoolExecutor, run: Run, work: Work) -> "Future[dict[str, float]]":
    running = threads.submit(run.stage, EMBED, work)
    assert work.has_begun.wait(60)
    return running


def test_a_second_run_waits_and_takes_the_firsts_result(
    opened: Callable[..., Run], threads: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first, second, work = opened(), opened(), Work()  # neither knows of the other
    running = begun(threads, first, work)
    waiting = threads.submit(second.stage, EMBED, never)
    time.sleep(LEASE + 1)  # it is renewed meanwhile
    assert not waiting.done()
    assert first.lake.read("leases").count() == 1
    work.may_end.set()
    assert running.result(60).items() >= FIGURES.items()
    assert waiting.result(60).items() >= FIGURES.items()
    assert told(first) == ["started", "finished", "reused"]
    assert second.reused == [EMBED]
    assert "waiting for another process: holder=" in caplog.text
    assert first.lake.read("leases").isEmpty()
    assert not [*Path(first.lake.local_folder or "", FOLDER).glob("*.holder")]


def test_a_run_that_saw_the_other_start_does_not_take_its_end_for_a_death(
    opened: Callable[..., Run], threads: ThreadPoolExecutor
) -> None:
    work = Work()
    running = begun(threads, opened(), work)
    second = opened()
    work.may_end.set()
    running.result(60)
    second.stage(EMBED, never)
    assert told(second) == ["started", "finished", "reused"]


def test_a_run_that_must_not_wait_says_who_is_at_work(
    opened: Callable[..., Run], threads: ThreadPoolExecutor
) -> None:
    work = Work()
    running = begun(threads, opened(), work)
    with pytest.raises(BusyError, match=r"under way in another process \(holder=.*--if-running"):
        opened(waits=False).stage(EMBED, never)
    work.may_end.set()
    running.result(60)
    assert told(opened()) == ["started", "finished"]


def test_who_waited_takes_over_what_failed(
    opened: Callable[..., Run], threads: ThreadPoolExecutor
) -> None:
    work = Work()

    def fails() -> dict[str, float]:
        work()
        raise RuntimeError("the disk is full")

    run, second = opened(), opened()
    running = threads.submit(run.stage, EMBED, fails)
    assert work.has_begun.wait(60)
    waiting = threads.submit(second.stage, EMBED, lambda: FIGURES)
    work.may_end.set()
    with pytest.raises(RuntimeError):
        running.result(60)
    waiting.result(60)
    assert told(run) == ["started", "failed", "started", "finished"]


def test_a_refresh_that_waited_takes_the_others_result(
    opened: Callable[..., Run], threads: ThreadPoolExecutor
) -> None:
    opened().stage(EMBED, lambda: FIGURES)
    first, second, work = opened(is_refresh=True), opened(is_refresh=True), Work()
    running = begun(threads, first, work)
    waiting = threads.submit(second.stage, EMBED, never)
    work.may_end.set()
    running.result(60)
    waiting.result(60)
    assert told(first)[2:].count("finished") == 1
    assert told(first)[-1] == "reused"


def test_a_holder_whose_process_is_gone_is_passed_over_at_once(opened: Callable[..., Run]) -> None:
    run = opened()
    folder = run.lake.local_folder
    holds = (
        "import sys, time, pathlib\n"
        "from jobs.tables.locks import Presence\n"
        f"presence = Presence(pathlib.Path({str(folder)!r}), {TOKEN!r})\n"
        "print('held', flush=True)\n"
        "time.sleep(600)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", holds], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    key = run.keys[EMBED]
    run.ledger.record(EMBED, key, "started", {SECONDS: 3600}, notes=f"host/1/{TOKEN}")
    assert at_work(run.lake, read_events(run.lake, [key])) is not None
    with pytest.raises(BusyError):
        opened(waits=False).stage(EMBED, never)

    holder.kill()
    holder.wait()
    assert at_work(run.lake, read_events(run.lake, [key])) is None
    opened(waits=False).stage(EMBED, lambda: FIGURES)
    assert told(run) == ["started", "started", "finished"]
    assert not is_gone(None, TOKEN)  # a store elsewhere knows no processes: the lease has to expire


@pytest.mark.parametrize("ends_by", ["writing", "failing"])
def test_one_who_stood_still_changes_nothing_any_more(
    spark: SparkSession,
    opened: Callable[..., Run],
    threads: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
    ends_by: str,
) -> None:
    work, frozen = Work(), opened()
    rejects = spark.createDataFrame(
        [("a", "gate", "null", None)], "id string, stage string, reason string, detail string"
    )

    def writes() -> dict[str, float]:
        figures = work()
        if ends_by == "failing":  # what it read may have changed: the other's result stays
            raise InputChangedError("files of another fingerprint")
        frozen.write("rejects", rejects, EMBED)
        return figures

    monkeypatch.setattr(attempts.Attempt, "_beat", lambda self: None)
    running = threads.submit(frozen.stage, EMBED, writes)
    assert work.has_begun.wait(60)
    other = opened()
    other.stage(EMBED, lambda: FIGURES)  # waits for the lease to expire
    work.may_end.set()
    with pytest.raises(LeaseLostError, match="another process took over.*run the same command"):
        running.result(60)
    assert told(other) == ["started", "started", "finished"]
    assert not other.lake.exists("rejects")


def test_one_who_stood_still_goes_on_where_nobody_took_over(
    opened: Callable[..., Run], threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts.Attempt, "_beat", lambda self: None)
    run, work = opened(), Work()
    running = begun(threads, run, work)
    time.sleep(LEASE + 0.5)
    work.may_end.set()
    running.result(60)
    assert told(run) == ["started", "finished"]


def test_an_earlier_runs_sample_never_replaces_a_laters(
    spark: SparkSession, curated: Path, tmp_path: Path
) -> None:
    root = f"output.root={shutil.copytree(curated / 'lake', tmp_path / 'lake')}"
    early = open_run(spark, config_of(curated, root, "samples.0.target_size=10"))
    curate.run(spark, config_of(curated, root))  # begins later, ends sooner, has nothing new
    summary = curate.run(spark, early.config, within=early)
    assert summary.passed_over == ["s"]
    assert "a run that began later published it" in str(summary)
    assert early.lake.read("sample_s").count() == 20
    assert early.lake.read("samples", early.keys[balance_sample.STAGE]).count() == 10

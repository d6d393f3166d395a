"""Which process is at work on a real root: two at once, one killed, and one stalled."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs import balance_sample, curate, embed_pool
from jobs.balance_sample import SAMPLES
from jobs.config.errors import BusyError, LeaseLostError
from jobs.ledger import attempts
from jobs.ledger.attempts import SECONDS, at_work
from jobs.ledger.clock import SystemClock
from jobs.ledger.delta_store import DeltaStore
from jobs.ledger.events import LEASES, Event
from jobs.recipe import RECIPE
from jobs.runs.opening import open_run
from jobs.runs.run import Run
from jobs.runs.stage import Stage
from jobs.runs.work import Work
from jobs.tables.locks import FOLDER, is_gone
from jobs.tables.shared import REJECTS
from tests.jobs.tiny import EMBED, config_of, write_pool
from tests.runs.world import Do, Found, never, works

pytestmark = pytest.mark.whole

TOKEN = "0123abcd"
LEASE = 12.0  # seconds; renewed every 4, which even a busy machine must manage
HOLDS = """
import sys, time, pathlib
from jobs.tables.locks import Presence
presence = Presence(pathlib.Path({folder!r}), {token!r})
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("attempts")
    write_pool(spark, folder / "pool", 60)
    return folder


@pytest.fixture
def opened(spark: SparkSession, folder: Path, tmp_path: Path) -> Callable[..., Run]:
    """Open runs of one recipe on the test's own root."""
    config = config_of(folder, f"output.root={tmp_path}", f"output.lease_seconds={LEASE}")
    return lambda **how: open_run(spark, config, **how)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def embedding(do: Do) -> Stage[Found]:
    """Declare the first stage, with other work to do."""
    return replace(embed_pool.STAGE, outcome=Found, work=do)


def do(run: Run, work: Do) -> Found:
    """Do the first stage's work, or reuse what is there."""
    stage = embedding(work)
    run.recipe = replace(RECIPE, stages=(stage,))
    return run.do(stage)


def events_of(run: Run) -> list[Event]:
    return DeltaStore(run.lake).read([run.keys[EMBED]])


def told(run: Run) -> list[str]:
    return [e.event for e in events_of(run)]


class Waiting:
    """A stage's work that waits for a signal."""

    def __init__(self, then: Do = works) -> None:
        self.has_begun, self.may_end, self._then = threading.Event(), threading.Event(), then

    def __call__(self, work: Work) -> Found:
        self.has_begun.set()
        assert self.may_end.wait(60)
        return self._then(work)


def test_a_second_run_waits_and_takes_the_firsts_result(
    opened: Callable[..., Run], threads: ThreadPoolExecutor
) -> None:
    first, second, work = opened(), opened(), Waiting()  # neither knows about the other
    running = threads.submit(do, first, work)
    assert work.has_begun.wait(60)
    waiting = threads.submit(do, second, never)
    threading.Timer(LEASE / 2, work.may_end.set).start()  # the lease is renewed meanwhile
    assert running.result(60) == waiting.result(60) == Found(n_points=3)
    assert told(first) == ["started", "finished", "reused"]
    assert second.reused == [EMBED]
    history = first.lake.spark.sql(f"DESCRIBE HISTORY {first.lake.sql_name(LEASES.name)}")
    assert history.where("operation = 'WRITE'").count() >= 1
    assert first.lake.read(LEASES).isEmpty()
    assert not [*Path(first.lake.local_folder or "", FOLDER).glob("*.holder")]


def test_a_holder_whose_process_is_gone_is_passed_over_at_once(opened: Callable[..., Run]) -> None:
    run = opened()
    script = HOLDS.format(folder=str(run.lake.local_folder), token=TOKEN)
    holder = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    store, now = DeltaStore(run.lake), SystemClock().now
    run.record(embed_pool.STAGE, "started", {SECONDS: 3600}, notes=f"host/1/{TOKEN}")
    assert at_work(store, events_of(run), now()) is not None
    with pytest.raises(BusyError):
        do(opened(waits=False), never)

    holder.kill()
    holder.wait()
    assert at_work(store, events_of(run), now()) is None
    do(opened(waits=False), works)
    assert told(run) == ["started", "started", "finished"]
    assert not is_gone(None, TOKEN)  # a remote store knows no processes: the lease has to expire


def test_one_who_stood_still_writes_nothing_any_more(
    spark: SparkSession,
    folder: Path,
    tmp_path: Path,
    threads: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def writes(work: Work) -> Found:
        row, schema = ("a", "gate", "null", None), "id string, stage string, reason string"
        rows = spark.createDataFrame([row], f"{schema}, detail string")
        return Found(n_points=work.write(REJECTS, rows))

    config = config_of(folder, f"output.root={tmp_path}", "output.lease_seconds=5")
    frozen, work = open_run(spark, config), Waiting(writes)
    monkeypatch.setattr(attempts.Attempt, "_beat", lambda self: None)
    running = threads.submit(do, frozen, work)
    assert work.has_begun.wait(60)
    other = open_run(spark, config)
    do(other, works)  # waits for the lease to expire
    work.may_end.set()
    with pytest.raises(LeaseLostError, match=r"another process took over.*run the same command"):
        running.result(60)
    assert told(other) == ["started", "started", "finished"]
    assert not other.lake.exists(REJECTS)


def test_an_earlier_runs_sample_never_replaces_a_laters(
    spark: SparkSession, curated: Path, tmp_path: Path
) -> None:
    root = f"output.root={shutil.copytree(curated / 'lake', tmp_path / 'lake')}"
    early = open_run(spark, config_of(curated, root, "samples.0.target_size=10"))
    curate.run(spark, config_of(curated, root))  # starts later, ends sooner, has nothing new
    summary = curate.curate(early)
    assert summary.passed_over == ["s"]
    assert "a run that began later published it" in str(summary)
    assert early.lake.read("sample_s").count() == 20
    assert early.lake.read(SAMPLES, early.key(balance_sample.STAGE)).count() == 10

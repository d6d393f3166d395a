"""Runs of made-up stages on a store in memory, under a clock that tests move."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from jobs.config.loading import parse_config
from jobs.config.model import RunConfig
from jobs.ledger.attempts import Attempt
from jobs.ledger.events import Event
from jobs.runs.outcomes import Outcome
from jobs.runs.progress import Progress
from jobs.runs.run import Run
from jobs.runs.stage import Recipe, Stage
from jobs.runs.work import Work
from tests.ledger.fake_clock import FakeClock
from tests.ledger.memory_store import MemoryStore

Do = Callable[[Work], Any]


@dataclass(frozen=True, kw_only=True)
class Found(Outcome):
    """What a made-up stage finds out."""

    n_points: int


def works(_: Work) -> Found:
    """Do a stage's work at once."""
    return Found(n_points=3)


def never(_: Work) -> Found:
    """Fail if it is ever called."""
    raise AssertionError("done twice")


def fails(_: Work) -> Found:
    """Fail, as work does."""
    raise RuntimeError("the disk is full")


def stage(name: str, do: Do = works, **more: Any) -> Stage[Found]:
    """Declare a stage; stages of one name have the same key, whatever they do."""
    return Stage(name=name, version=1, reads=("seed",), outcome=Found, work=do, **more)


def config_of(**sections: Any) -> RunConfig:
    """Return a config of a pool that does not exist."""
    sample = {"name": "s", "target_size": 2}
    plain = {
        "input": {"table": "pool", "embedding": "vector"},
        "output": {"root": "/nowhere"},
        "cluster": {"levels": [2]},
        "samples": [sample | {"share": {"leaves": 0.0}}],
    }
    return parse_config(plain | sections, ())


@dataclass
class World:
    """One output root and its time; every run of it is a process."""

    store: MemoryStore = field(default_factory=MemoryStore)
    clock: FakeClock = field(default_factory=FakeClock)

    def open(self, *stages: Stage[Any], config: RunConfig | None = None, **how: Any) -> Run:
        """Open a run of some stages, as ``open_run`` does."""
        written = config or config_of()
        nothing: Any = None
        pool: Any = SimpleNamespace(name="pool", fingerprint="pool@0")
        lake: Any = SimpleNamespace(look_ahead=lambda *tables: None)
        run = Run(
            nothing, Recipe(stages), written, written, lake, pool,
            Progress(is_live=False), store=self.store, clock=self.clock, **how,
        )  # fmt: skip
        run.ledger.open(set(run.keys.values()))
        if not run.is_refresh:
            run.resolve()
        return run

    def begin(self, run: Run, stage: Stage[Any], *, beats: bool = True) -> Callable[[], None]:
        """Begin a stage in another process; return a call that finishes it.

        Parameters
        ----------
        beats : whether its lease is renewed meanwhile
        """
        since = run.opened_at if run.is_refresh else None
        attempt = run.ledger.begin(
            stage.name, run.key(stage), since=since, waits=False, say=lambda _: None
        )
        assert isinstance(attempt, Attempt)
        if beats:
            attempt.begin()
            self.clock.settle()
        return lambda: run._work(Work(run, stage, attempt), stage.work)

    def told(self, stage: str | None = None) -> list[str]:
        """Return the store's events in words, of one stage or of all."""
        return [e.event for e in self.events(stage)]

    def events(self, stage: str | None = None) -> list[Event]:
        """Return the store's events, of one stage or of all."""
        return [e for e in self.store.read() if stage in (None, e.stage)]

    def is_quiet(self) -> bool:
        """Return whether there is no sign of life and no heartbeat."""
        return not self.store.present and not self.clock.is_awaited

"""A clock that tests move: nothing sleeps, and whatever falls due on the way is run."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, tzinfo=UTC)
_GLANCE = 0.001  # real seconds between looks at an event that a thread waits for
_PATIENCE = 10.0  # real seconds for a thread to do what falls due


class FakeClock:
    """Time passes when the test's own thread waits or calls ``advance``.

    Other threads, such as attempts' heartbeats, wait for their time. Whatever falls due on the way
    is run: a thread until it waits again or ends, or a call planned with ``after``.
    """

    def __init__(self) -> None:
        self._now, self._owner = START, threading.current_thread()
        self._plans: list[tuple[datetime, Callable[[], object]]] = []
        self._waiting: dict[threading.Thread, datetime] = {}
        self._changed = threading.Condition()

    def now(self) -> datetime:
        """Return the time."""
        return self._now

    def wait(self, over: threading.Event, seconds: float) -> bool:
        """Let the time pass, or wait until it has passed."""
        if threading.current_thread() is self._owner:
            self.advance(seconds)
            return over.is_set()
        me = threading.current_thread()
        with self._changed:
            self._waiting[me] = until = self._now + timedelta(seconds=seconds)
            self._changed.notify_all()
            while not over.is_set() and self._now < until:
                self._changed.wait(_GLANCE)
            self._waiting.pop(me, None)
        return over.is_set()

    def advance(self, seconds: float) -> None:
        """Move on, and run everything that falls due on the way."""
        until = self._now + timedelta(seconds=seconds)
        while (due := self._next()) is not None and due <= until:
            self._now = max(due, self._now)
            self._do_plans()
            self._wake()
        self._now = until

    def after(self, seconds: float, deed: Callable[[], object]) -> None:
        """Plan a call for that time, made by the thread that lets the time pass."""
        self._plans.append((self._now + timedelta(seconds=seconds), deed))

    def settle(self, n_waiting: int = 1) -> None:
        """Wait until that many other threads are waiting."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._waiting) >= n_waiting, _PATIENCE)

    @property
    def is_awaited(self) -> bool:
        """Whether another thread is waiting."""
        return bool(self._waiting)

    def _next(self) -> datetime | None:
        plans = [at for at, _ in self._plans]
        return min([*plans, *self._waiting.values()], default=None)

    def _do_plans(self) -> None:
        due = [plan for plan in self._plans if plan[0] <= self._now]
        self._plans = [plan for plan in self._plans if plan not in due]
        for _, deed in due:
            deed()

    def _wake(self) -> None:
        """Let the threads that are due run until they wait again or end."""
        with self._changed:
            due = [thread for thread, at in self._waiting.items() if at <= self._now]
            for thread in due:
                del self._waiting[thread]
            self._changed.notify_all()
            until = time.monotonic() + _PATIENCE
            while any(t.is_alive() and t not in self._waiting for t in due):
                assert time.monotonic() < until, "a thread that was due is stuck"
                self._changed.wait(_GLANCE)

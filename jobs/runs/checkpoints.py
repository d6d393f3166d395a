"""Checkpoints: how far a long stage has got, kept in the lake while it runs.

The pages of a journal (``udfs.kernels.passes.journal``) and the rows gathered so far are written
together, in one commit that replaces the last, whenever ``interval`` seconds of work are at risk.
A restarted stage resumes from there; once it has finished, its checkpoint is deleted.
"""

import io
import json
import logging
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.runs.work import Work
from jobs.tables.table import Table
from jobs.tables.upkeep import remove_rows
from udfs.kernels.passes.journal import Journal, State

log = logging.getLogger(__name__)

CHECKPOINTS = Table(
    "checkpoints", "incarnation INT, sequence BIGINT, depth INT, part INT, content BINARY"
)
_PART_BYTES = 32 << 20  # per row
_GATHERED = -1  # depth under which the stage's own rows are kept


class Checkpoints:
    """The journal of one stage.

    Parameters
    ----------
    gathered : returns the rows gathered so far, as plain data
    """

    def __init__(self, this: Work, *, interval: float, gathered: Callable[[], object]) -> None:
        self.this, self.interval, self._gathered = this, interval, gathered
        self._incarnation, self._sequence = this.incarnation, 0
        self._states: dict[int, State] = {}
        self.resumed: Any = None  # rows gathered before the restart
        self._load()
        self._saved_at = time.monotonic()
        this.when_finished(self.clear)

    def journal(self) -> Journal:
        """Return the first page."""
        return _Page(self, 0)

    def state_at(self, depth: int) -> State | None:
        """Return the page at a depth, or None."""
        return self._states.get(depth)

    def save(self, depth: int, state: State) -> None:
        """Keep a page, drop those below it, and write them all if it is time."""
        self._states = {d: s for d, s in self._states.items() if d < depth} | {depth: state}
        if time.monotonic() - self._saved_at >= self.interval:
            self._write()
            self._saved_at = time.monotonic()

    def clear(self) -> None:
        """Delete the checkpoint, once the stage's result is in the ledger."""
        if self._sequence:
            remove_rows(self.this.lake, CHECKPOINTS.name, [self.this.key])

    def _write(self) -> None:
        self._sequence += 1
        gathered = {"rows": np.array(json.dumps(self._gathered()))}
        rows = [
            (self._incarnation, self._sequence, depth, part, content)
            for depth, state in ({_GATHERED: gathered} | self._states).items()
            for part, content in enumerate(_parts(state))
        ]
        names = ("incarnation", "sequence", "depth", "part", "content")
        columns = [pa.array(column) for column in zip(*rows, strict=True)]
        table = self.this.spark.createDataFrame(pa.table(columns, names=list(names)))
        self.this.require_lease()
        self.this.lake.replace(
            CHECKPOINTS, table, self.this.key,
            transaction=f"checkpoint/{self._incarnation}", version=self._sequence,
        )  # fmt: skip
        log.info("stage=%s checkpoint=%d %s", self.this.stage, self._sequence, self._place())

    def _load(self) -> None:
        if not self.this.lake.exists(CHECKPOINTS):
            return
        kept = self.this.lake.read(CHECKPOINTS, self.this.key)
        rows = kept.where(kept.incarnation == self._incarnation).orderBy("depth", "part").collect()
        for depth in {row.depth for row in rows}:
            content = b"".join(bytes(row.content) for row in rows if row.depth == depth)
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                self._states[depth] = dict(arrays)
        if rows:
            self._sequence = rows[0].sequence
            self.resumed = json.loads(str(self._states.pop(_GATHERED)["rows"]))
            self.this.note_resumed(self._sequence, self._place())

    def _place(self) -> str:
        """Describe the position: every page's scalars."""
        facts = [
            f"{depth}.{name}={value}"
            for depth, state in sorted(self._states.items())
            for name, value in state.items()
            if np.ndim(value) == 0
        ]
        return " ".join(facts)


class _Page(Journal):
    """One depth of a stage's journal."""

    def __init__(self, checkpoints: Checkpoints, depth: int) -> None:
        self._checkpoints, self._depth = checkpoints, depth

    def load(self) -> State | None:
        return self._checkpoints.state_at(self._depth)

    def save(self, **state: object) -> None:
        self._checkpoints.save(self._depth, state)

    def parts(self) -> Journal:
        return _Page(self._checkpoints, self._depth + 1)


def _parts(state: State) -> list[bytes]:
    """Return a state as bytes, without pickles, in parts small enough for a row."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{n: np.asarray(v) for n, v in state.items()})
    content = buffer.getvalue()
    return [content[i : i + _PART_BYTES] for i in range(0, len(content), _PART_BYTES)]

"""Ask a captioner: several prompts at once, answers stored as they come, none asked for twice."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice

import pyarrow as pa
from pyspark.sql import functions as F

from jobs.config.errors import CurationError
from jobs.runs.work import Work
from jobs.spark.frames import as_frame
from jobs.tables.table import KEY, Table
from jobs.tables.upkeep import remove_rows
from udfs.captioners.contract import (
    NO_ANSWER,
    UNREACHABLE,
    Answer,
    Captioner,
    Failure,
    Prompt,
)

log = logging.getLogger(__name__)

# The answers of a captioner while it writes; they go once the captions are stored.
ANSWERS = Table(
    "caption_answers",
    "incarnation INT, sequence BIGINT, round INT, n BIGINT, text STRING, detail STRING",
)
IN_A_ROW = 20  # failures in a row after which the rest will fail too
_AHEAD = 2  # batches waiting for each one under way

Key = tuple[int, int]  # round, n


class Asking:
    """Answers to a stage's prompts.

    Parameters
    ----------
    n_at_once, at_once : prompts of one call, and calls at the same time
    save_every : seconds between commits; None: nothing is stored
    n_done : called with the number of prompts answered so far
    """

    def __init__(
        self,
        this: Work,
        captioner: Captioner,
        *,
        n_at_once: int,
        at_once: int,
        save_every: float | None,
        tell: Callable[[int], None] = lambda n_done: None,
    ) -> None:
        self._this, self._captioner, self._tell = this, captioner, tell
        self._n_at_once, self._at_once, self._save_every = n_at_once, at_once, save_every
        self._stored: dict[Key, Answer] = {}
        self._sequence, self._n_failed, self._n_done = 0, 0, 0
        if save_every is not None:
            self._load()
            this.when_finished(self._clear)

    def answers(self, round_: int, prompts: Sequence[Prompt]) -> list[Answer]:
        """Return the answers to a round's prompts; what is stored is not asked again.

        Raises
        ------
        CurationError
            If so many fail in a row that the rest will too.
        CaptionerError
            The captioner's own.
        """
        known = {p.n: self._stored[round_, p.n] for p in prompts if (round_, p.n) in self._stored}
        self._n_done += len(known)
        new: dict[int, Answer] = {}
        unsaved, saved_at = dict[int, Answer](), time.monotonic()
        try:
            for batch, got in self._asked([p for p in prompts if p.n not in known]):
                answered = dict(zip((p.n for p in batch), got, strict=True))
                new |= answered
                unsaved |= answered
                self._count(round_, got)
                if time.monotonic() - saved_at >= (self._save_every or 0.0):
                    self._save(round_, unsaved)
                    unsaved, saved_at = {}, time.monotonic()
        finally:
            self._save(round_, unsaved)
        found = known | new
        return [found[prompt.n] for prompt in prompts]

    def _asked(
        self, prompts: Sequence[Prompt]
    ) -> Iterator[tuple[Sequence[Prompt], Sequence[Answer]]]:
        """Yield batches with their answers, as they come."""
        size = self._n_at_once
        batches = (prompts[i : i + size] for i in range(0, len(prompts), size))
        asked: dict[Future[Sequence[Answer]], Sequence[Prompt]] = {}
        pool = ThreadPoolExecutor(self._at_once)
        try:
            while True:
                for batch in islice(batches, _AHEAD * self._at_once - len(asked)):
                    asked[pool.submit(self._captioner, batch)] = batch
                if not asked:
                    return
                for done in wait(asked, return_when=FIRST_COMPLETED).done:
                    yield asked.pop(done), done.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _count(self, round_: int, got: Sequence[Answer]) -> None:
        """Count answers, and failures in a row: after round 0, only of an unreachable captioner."""
        self._n_done += len(got)
        self._tell(self._n_done)
        for answer in got:
            is_failed = isinstance(answer, Failure) and (
                round_ == 0 or answer.reason == UNREACHABLE
            )
            self._n_failed = self._n_failed + 1 if is_failed else 0
            if self._n_failed >= IN_A_ROW and isinstance(answer, Failure):
                raise CurationError(
                    f"the captioner failed for {IN_A_ROW} prompts in a row, the last with "
                    f"{answer.reason}: {answer.detail}; fix it and run again: what it has written "
                    "is kept"
                )

    # --- stored -----------------------------------------------------------------------------------

    def _load(self) -> None:
        if not self._this.lake.exists(ANSWERS):
            return
        rows = self._this.lake.read(ANSWERS, self._this.key)
        for row in rows.where(F.col("incarnation") == self._this.incarnation).collect():
            answer = Failure(NO_ANSWER, row.detail or "") if row.text is None else row.text
            self._stored[row["round"], row.n] = answer
            self._sequence = max(self._sequence, row.sequence)
        if self._stored:
            self._this.note_resumed(self._sequence, f"{len(self._stored)} answers")

    def _save(self, round_: int, answers: dict[int, Answer]) -> None:
        """Store answers; a prompt that failed is asked again by the next attempt."""
        kept = {n: a for n, a in answers.items() if isinstance(a, str) or a.reason == NO_ANSWER}
        if self._save_every is None or not kept:
            return
        self._sequence += 1
        n_rows = len(kept)
        texts = [a if isinstance(a, str) else None for a in kept.values()]
        details = [None if isinstance(a, str) else a.detail for a in kept.values()]
        rows = pa.table(
            {
                KEY: [self._this.key] * n_rows,
                "incarnation": pa.array([self._this.incarnation] * n_rows, pa.int32()),
                "sequence": pa.array([self._sequence] * n_rows, pa.int64()),
                "round": pa.array([round_] * n_rows, pa.int32()),
                "n": pa.array([*kept], pa.int64()),
                "text": pa.array(texts, pa.string()),
                "detail": pa.array(details, pa.string()),
            }
        )
        self._this.require_lease()
        self._this.lake.append(
            ANSWERS, as_frame(self._this.spark, rows),
            transaction=f"{self._this.key}/answers/{self._this.incarnation}",
            version=self._sequence,
        )  # fmt: skip
        log.info("stage=%s answers=%d round=%d", self._this.stage, n_rows, round_)

    def _clear(self) -> None:
        """Delete the answers, once the captions are in the ledger as finished."""
        if self._sequence:
            remove_rows(self._this.lake, ANSWERS.name, [self._this.key])

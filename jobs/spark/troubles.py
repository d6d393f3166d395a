"""Failures of the machines: recognised from Spark's error, with what to do about them."""

import re

from jobs.config.errors import CurationError

_TROUBLES = (
    (
        ("No space left on device", "Disk quota exceeded"),
        "no space is left where the output is written, or in Spark's scratch folder "
        "(spark.local.dir, /tmp unless set): make room, evenlake runs clean among others, then run "
        "the same command again; it goes on where it was",
    ),
    (
        ("OutOfMemoryError", "MemoryError", "exceeding memory limits", "exit code 137", "code 52"),
        "a process ran out of memory: give it more (spark.driver_memory in local mode, "
        "spark.executor.memory and spark.executor.memoryOverhead on a cluster; evenlake plan says "
        "how much), then run the same command again; it goes on where it was",
    ),
)

_ABSENT = re.compile(r"ModuleNotFoundError: No module named '([^']+)'")


def trouble_of(error: BaseException) -> CurationError | None:
    """Return a helpful error if an error, or its cause, is the machines' fault."""
    if isinstance(error, CurationError):
        return None
    texts = [f"{type(e).__name__}: {e}" for e in _chain(error)]
    for text in texts:
        if text.startswith("PythonException") and (absent := _ABSENT.search(text)):
            return CurationError(
                f"the workers' Python has no module {absent[1]}, which embed.model needs: install "
                "it there, or choose a model that needs none"
            )
    for marks, advice in _TROUBLES:
        if any(mark in text for mark in marks for text in texts):
            return CurationError(advice)
    return None


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error and all its causes."""
    found: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in found:
        found.append(at)
        at = at.__cause__ or at.__context__
    return found

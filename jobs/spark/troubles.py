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

# the end of a worker's traceback, and its frames
_ABSENT = re.compile(r"^(?:\w+: )*ModuleNotFoundError: No module named '([^']+)'", re.MULTILINE)
_FRAME = re.compile(r'^ *File "([^"]+)", line \d+', re.MULTILINE)
_OWN = ("jobs", "udfs")


def trouble_of(error: BaseException) -> CurationError | None:
    """Return a helpful error if an error, or its cause, is the machines' fault."""
    if isinstance(error, CurationError):
        return None
    texts = [f"{type(e).__name__}: {e}" for e in _chain(error)]
    for text in texts:
        if text.startswith("PythonException") and (advice := _of_absent_module(text)) is not None:
            return CurationError(advice)
    for marks, advice in _TROUBLES:
        if any(mark in text for mark in marks for text in texts):
            return CurationError(advice)
    return None


def _of_absent_module(text: str) -> str | None:
    """Return what to do if a worker's traceback ends in a module that is not there."""
    frames = [*_FRAME.finditer(text)]
    found = _ABSENT.search(text, frames[-1].end() if frames else 0)
    if found is None:
        return None
    name, places = found[1], [frame[1] for frame in frames]
    lacks = f"the workers' Python has no module {name}"
    if name.partition(".")[0] in _OWN:
        return f"{lacks}, which is Evenlake's own: install evenlake there, or give its zip to Spark"
    # an embedder at work; the readers of images among them have other users, too
    if all(any(part in place for place in places) for part in ("udfs/embed.py", "udfs/embedders/")):
        return (
            f"{lacks}, which embed.model needs: install it there, or choose a model that needs none"
        )
    return f"{lacks}: install it there"


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error and all its causes."""
    found: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in found:
        found.append(at)
        at = at.__cause__ or at.__context__
    return found

"""What an embedder is: a function from a column of values to vectors, or to a reason why not."""

import re
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Decoded = TypeVar("Decoded")
Result = TypeVar("Result")
MAX_DETAIL = 200  # characters kept of an exception's message


class EmbedderError(ValueError):
    """The user's code or model cannot be loaded, fails, or gives no vectors: got, want, fix."""


class Embedded(NamedTuple):
    """What an embedder makes of n values.

    Attributes
    ----------
    vectors : (n, n_features) float32
        Zeros if there is a reason.
    reasons : (n,) object
        None = embedded; else ``null_content``, ``empty_content``, ``undecodable``,
        ``wrong_length``, or one from `udfs.kernels.exact.hygiene.check_vectors`.
    details : (n,) object
        What was found and what was expected, for people to read; or None.
    """

    vectors: NDArray[np.float32]
    reasons: NDArray[np.object_]
    details: NDArray[np.object_]


Embedder: TypeAlias = Callable[[pd.Series], Embedded]


class Failure(NamedTuple):
    """Why one value cannot be embedded."""

    reason: str
    detail: str | None = None


def embed_decoded(
    values: pd.Series,
    decode: Callable[[Any], Decoded | Failure],
    project: Callable[[list[Decoded]], NDArray[np.float32]],
    n_features: int,
) -> Embedded:
    """Decode each value on its own, then project all the decoded ones at once.

    Parameters
    ----------
    values : (n,) Series
    decode : one value that is not null -> what `project` takes, or a Failure
    project : m decoded values -> (m, n_features) float32
        Never called with an empty list.
    n_features : int

    Returns
    -------
    Embedded
        A null value has the reason ``null_content``.
    """
    vectors = np.zeros((len(values), n_features), dtype=np.float32)
    reasons = np.full(len(values), None, dtype=object)
    details = np.full(len(values), None, dtype=object)
    rows: list[int] = []
    decoded: list[Decoded] = []
    for i, (value, is_null) in enumerate(zip(values, values.isna(), strict=True)):
        got = Failure("null_content") if is_null else decode(value)
        if isinstance(got, Failure):
            reasons[i], details[i] = got
        else:
            rows.append(i)
            decoded.append(got)
    if rows:
        vectors[rows] = project(decoded)
    return Embedded(vectors, reasons, details)


def embed_each(
    values: pd.Series,
    decode: Callable[[Any], Decoded | Failure],
    project: Callable[[list[Decoded]], Sequence[NDArray[Any] | Failure]],
    n_features: int,
) -> Embedded:
    """Embed as `embed_decoded` does, but `project` returns a vector or a Failure for each value."""
    failures: dict[int, Failure] = {}

    def stack(decoded: list[Decoded]) -> NDArray[np.float32]:
        vectors = np.zeros((len(decoded), n_features), np.float32)
        for i, got in enumerate(project(decoded)):
            if isinstance(got, Failure):
                failures[i] = got
                continue
            with np.errstate(over="ignore", under="ignore"):
                vectors[i] = got
        return vectors

    embedded = embed_decoded(values, decode, stack, n_features)
    tried = np.flatnonzero(pd.isna(embedded.reasons))
    for i, failure in failures.items():
        embedded.reasons[tried[i]], embedded.details[tried[i]] = failure
    return embedded


def timed(embed: Callable[[list[Any]], Result], contents: list[Any]) -> tuple[Result, float]:
    """Embed contents, after one to warm up; return also a core's seconds per content."""
    embed(contents[:1])
    began = time.process_time()
    result = embed(contents)
    return result, (time.process_time() - began) / len(contents)


def described(error: BaseException) -> str:
    """Return an exception's class and message, without the addresses of Python objects."""
    message = re.sub(r" ?<[^<>]* at 0x[0-9a-f]+>", "", str(error))
    return f"{type(error).__name__}: {message}"[:MAX_DETAIL]

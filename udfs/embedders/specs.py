"""What an embedder declares of itself. The driver goes by this alone, and knows none by name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from numpy.typing import NDArray

from udfs.embedders.contract import Embedder

Arrays: TypeAlias = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class NoOptions:
    """Of an embedder that has none."""


@dataclass(frozen=True, kw_only=True)
class EmbedderSpec:
    """One embedder.

    Attributes
    ----------
    name : as ``embed.model`` says it; names its artifact, too
    reads : the key of ``input`` that names its column
    makes : what ``embeddings.column`` says of its vectors. None: ``text`` where it was given
        strings, ``image`` where binary
    options : a frozen dataclass. Its fields are keys of ``embed`` of the same name, or where there
        are none, keys of ``embed.options``, whose types the driver checks; ``__post_init__`` raises
        ValueError for what types do not say. A key of ``embed`` is checked whatever the model
    n_fitted : of the options, how many contents it learns from
    fit : (contents, options, seed) -> what it has learned; runs once, on the driver, and what it
        returns is kept. None: its vectors are given, and their common length, ``n_features``, is
        all that there is to learn
    n_features : of what it has learned, the length of its vectors
    n_expected : of the options, the same as far as it can be told ahead. None: one has to look
    make : what it has learned -> the embedder; runs on the workers, which import the module that
        defines it, and nothing of the other embedders
    version : of its code, part of the stage key; None: it goes with the stage's version
    archive : on the driver, the code that the workers lack
    """

    name: str
    make: Callable[[Arrays], Embedder]
    n_features: Callable[[Arrays], int]
    reads: Literal["content", "embedding"] = "content"
    makes: str | None = None
    options: type[Any] = NoOptions
    n_fitted: Callable[[Any], int] = lambda options: int(options.fit_rows)
    fit: Callable[[Sequence[Any], Any, int], Arrays] | None = None
    n_expected: Callable[[Any], int] | None = None
    version: str | None = None
    archive: str | None = None


def told_length(arrays: Arrays) -> int:
    """Return the length that stands beside the arrays."""
    return int(arrays["n_features"])


def n_components(arrays: Arrays) -> int:
    """Return the length of a projection's vectors."""
    return int(arrays["components"].shape[-1])

"""What an embedder declares: all that the driver relies on, since it knows none by name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from numpy.typing import NDArray

from udfs.embedders.contract import Embedder

Arrays: TypeAlias = Mapping[str, NDArray[Any]]
ROW_SECONDS = "row_seconds"  # key of the seconds that a row took on one core; learned, but not kept


@dataclass(frozen=True)
class NoOptions:
    """The options of an embedder that has none."""


@dataclass(frozen=True, kw_only=True)
class EmbedderSpec:
    """One embedder.

    Attributes
    ----------
    name : its name in ``embed.model``, and that of its artifact
    reads : the key of ``input`` that names its column
    opens_paths : whether it takes strings for paths of files
    makes : what ``embeddings.column`` calls its vectors. None: ``text`` if it was given strings,
        ``image`` if binary
    options : a frozen dataclass. Each field is the key of that name in ``embed`` or, if there is
        none, in ``embed.options``, whose types the driver checks; ``__post_init__`` raises
        ValueError for what types cannot express. A key of ``embed`` is checked whatever the model
    n_fitted : options -> how many contents it learns from
    reduce : (content, options) -> bytes, all that the fit needs of it, or None; runs on the
        workers, so that whole contents do not travel to the driver. None: the fit takes contents
    fit : (contents, options, seed) -> what it has learned; runs once, on the driver, and its
        result is kept. None: its vectors are given, and their common length, ``n_features``, is
        all there is to learn
    n_features : what it has learned -> the length of its vectors
    n_expected : options -> the same, as far as known in advance. None: only the data can tell
    make : what it has learned -> the embedder; runs on the workers, which import the module that
        defines it and none of the other embedders
    version : version of its code, part of the stage key; None: the stage's version covers it
    archive : on the driver, the code that the workers lack
    pack : on the driver, after ``fit``: packs the files that workers on other machines lack, and
        returns the path of the archive; they find it unpacked under its name without the suffix
    is_costly : whether a row takes long beside reading it, so that its pass is spread over all
        slots and shown by rows; ``fit`` then also returns ROW_SECONDS, for the planner
    n_bytes : size of the model's weights, which the driver and each worker load; 0 if unknown
    n_at_once : how many rows it is given at once; None: ``embed.batch_size``
    """

    name: str
    make: Callable[[Arrays], Embedder]
    n_features: Callable[[Arrays], int]
    reads: Literal["content", "embedding"] = "content"
    opens_paths: bool = False
    makes: str | None = None
    options: type[Any] = NoOptions
    n_fitted: Callable[[Any], int] = lambda options: int(options.fit_rows)
    reduce: Callable[[Any, Any], bytes | None] | None = None
    fit: Callable[[Sequence[Any], Any, int], Arrays] | None = None
    n_expected: Callable[[Any], int] | None = None
    version: str | None = None
    archive: str | None = None
    pack: Callable[[], str] | None = None
    is_costly: bool = False
    n_bytes: int = 0
    n_at_once: int | None = None


def told_length(arrays: Arrays) -> int:
    """Return the length stored beside the arrays."""
    return int(arrays["n_features"])


def n_components(arrays: Arrays) -> int:
    """Return the length of a projection's vectors."""
    return int(arrays["components"].shape[-1])

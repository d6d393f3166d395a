"""Embed with a pretrained model: what `sentence_transformers` and `onnx` have in common.

A model is loaded once per process, and tried on the driver before any work. Batches are of about
the same length. Where the model fails on one, it is asked again for each half, until the row that
it fails on is alone: a reject.

Other machines than the driver's get the model's files as an archive (`EmbedderSpec.pack`).
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from udfs.embedders.contract import (
    Embedder,
    EmbedderError,
    Failure,
    described,
    embed_each,
    timed,
)
from udfs.embedders.specs import ROW_SECONDS, Arrays, EmbedderSpec, told_length

log = logging.getLogger(__name__)

N_AT_ONCE = 4096  # rows sorted by length together: 12% faster than 256 for short texts
N_TRIED = 16  # contents embedded on the driver
HELD_BYTES = 256 << 20  # decoded images held at once
_OUT_OF_MEMORY = "OutOfMemoryError"  # of a GPU, in torch

Vector: TypeAlias = NDArray[Any] | Failure


class Model(NamedTuple):
    """A model in memory.

    Attributes
    ----------
    decode : a content that is not null -> what `encode` takes, or a Failure
    encode : up to ``batch`` decoded contents -> (n, n_features), in their order
    batch : rows of one forward pass
    length : a decoded content -> what grows with the time that it takes, such as characters
    n_bytes : a decoded content -> its size, if that matters
    n_cut : contents -> how many are texts longer than the model reads
    """

    decode: Callable[[Any], Any]
    encode: Callable[[list[Any]], NDArray[Any]]
    batch: int
    length: Callable[[Any], int] = lambda decoded: 0
    n_bytes: Callable[[Any], int] = lambda decoded: 0
    n_cut: Callable[[Sequence[Any]], int] = lambda contents: 0


@dataclass(frozen=True)
class Kind:
    """A kind of model: the part of ``embed.model`` before the colon.

    Attributes
    ----------
    options : a frozen dataclass, as in `EmbedderSpec`
    load : a folder or file, options, the number of a GPU, modulo how many there are -> the model
    extra : what to install: ``evenlake[extra]``
    """

    name: str
    options: type[Any]
    load: Callable[[str, Any, int], Model]
    extra: str


@dataclass(frozen=True)
class Place:
    """Where a model's files are.

    Attributes
    ----------
    path : path on the driver's machine
    shipped : the name of their archive on other machines, unpacked there by Spark
    hub_name : the model's name on the Hugging Face hub, for the driver; ``path`` is then in the
        hub's local cache, which the first loading fills
    """

    path: str
    shipped: str
    hub_name: str | None = None


@dataclass(frozen=True)
class Here:
    """What a task knows of its place: functions, as only Spark can tell.

    Attributes
    ----------
    unpacked : the name of an archive -> its folder, or None if it was not sent
    own_gpu : the number of the task's GPU, modulo how many there are
    """

    unpacked: Callable[[str], str | None]
    own_gpu: Callable[[], int]

    def path_of(self, place: Place) -> str:
        """Return the path of a model's files on this machine."""
        folder = self.unpacked(place.shipped)
        if folder is None:
            return place.path
        inside = os.path.join(folder, os.path.basename(place.path))
        return inside if os.path.isfile(inside) else folder


def spec_of(
    kind: Kind,
    place: Place,
    options: Any,
    version: str,
    pack: Callable[[], str],
    here: Here,
    n_bytes: int = 0,
) -> EmbedderSpec:
    """Return the spec of a model.

    Parameters
    ----------
    options : options of this kind of model
    version : a name for the model's content
    pack, n_bytes : packs the files up; those of the weights; see `EmbedderSpec`
    """
    return EmbedderSpec(
        name=kind.name,
        options=kind.options,
        n_fitted=lambda _: N_TRIED,
        fit=partial(_fit, kind, place, options),
        make=partial(make_embedder, kind, place, options, here),
        n_features=told_length,
        version=version,
        pack=pack,
        is_costly=True,
        n_bytes=n_bytes,
        n_at_once=N_AT_ONCE,
    )


def make_embedder(kind: Kind, place: Place, options: Any, here: Here, arrays: Arrays) -> Embedder:
    """Return an embedder that loads the model here.

    Raises
    ------
    EmbedderError
    """
    model = load(kind, here.path_of(place), options, here.own_gpu())
    n_features = told_length(arrays)

    return lambda values: embed_each(values, _content, partial(_vectors, model), n_features)


def _content(value: Any) -> Any:
    return value if len(value) else Failure("empty_content")


def _vectors(model: Model, contents: Sequence[Any]) -> list[Vector]:
    return [vector for group in _groups(model, contents) for vector in group]


def _groups(model: Model, contents: Sequence[Any]) -> Iterator[list[Vector]]:
    """Decode and embed contents, as many at once as HELD_BYTES allow."""
    held: list[Any] = []
    n_bytes = 0
    for content in contents:
        held.append(model.decode(content))
        if not isinstance(held[-1], Failure):
            n_bytes += model.n_bytes(held[-1])
        if n_bytes >= HELD_BYTES:
            yield _embedded(model, held)
            held, n_bytes = [], 0
    yield _embedded(model, held)


def _embedded(model: Model, decoded: Sequence[Any]) -> list[Vector]:
    """Return a vector, or why there is none, for each content; some could not be decoded.

    Those of about the same length share a batch, as all are padded to the longest in it.
    """
    found: list[Any] = list(decoded)
    usable = [i for i, got in enumerate(decoded) if not isinstance(got, Failure)]
    usable.sort(key=lambda i: -model.length(decoded[i]))
    for start in range(0, len(usable), model.batch):
        batch = usable[start : start + model.batch]
        for i, vector in zip(batch, encoded(model, [decoded[i] for i in batch]), strict=True):
            found[i] = vector
    return found


@lru_cache(maxsize=1)  # the plan and the embedding on the driver share one model
def load(kind: Kind, path: str, options: Any, gpu: int = 0) -> Model:
    """Load a model.

    Raises
    ------
    EmbedderError
    """
    try:
        return kind.load(path, options, gpu)
    except (EmbedderError, MemoryError):
        raise
    except ModuleNotFoundError as error:
        raise EmbedderError(not_installed(error, kind.extra)) from error
    except Exception as error:  # whatever the library raises
        raise EmbedderError(f"{path} cannot be loaded: {described(error)}") from error


def encoded(model: Model, decoded: list[Any]) -> list[Vector]:
    """Return each content's vector, or why the model fails on it.

    Raises
    ------
    MemoryError
        If one content alone is too much for a GPU.
    """
    try:
        return list(model.encode(decoded))
    except (EmbedderError, MemoryError):
        raise  # the model's fault, or the machine's
    except Exception as error:  # whatever the library raises
        if len(decoded) > 1:
            half = len(decoded) // 2
            return encoded(model, decoded[:half]) + encoded(model, decoded[half:])
        if type(error).__name__ == _OUT_OF_MEMORY:
            raise MemoryError(str(error)) from error
        return [Failure("undecodable", described(error))]


def _fit(kind: Kind, place: Place, bound: Any, sample: Sequence[Any], _: Any, seed: int) -> Arrays:
    """Find the vectors' length."""
    model = load(kind, place.hub_name or place.path, bound)
    contents = [content for content in sample if len(content)]
    vectors, row_seconds = list[Vector](), 0.0
    if contents:
        vectors, row_seconds = timed(partial(_vectors, model), contents)
    lengths = {len(got) for got in vectors if not isinstance(got, Failure)}
    if not lengths:
        why = next((got.detail for got in vectors if isinstance(got, Failure)), "all are empty")
        raise EmbedderError(
            f"none of the {len(sample)} contents tried on the driver got a vector ({why}); check "
            "the column and the model"
        )
    if n_cut := model.n_cut(contents):
        log.warning(
            "embed.model=%s:%s reads only the beginning of %d of %d texts tried "
            "(embed.options.max_seq_length)",
            kind.name, place.hub_name or place.path, n_cut, len(contents),
        )  # fmt: skip
    return {"n_features": np.array(max(lengths)), ROW_SECONDS: np.array(row_seconds)}


def not_installed(error: ModuleNotFoundError, extra: str) -> str:
    """Return what to install for a package that is missing."""
    return (
        f"the package {error.name} is not installed; pip install 'evenlake[{extra}]' on the driver "
        "and on the workers"
    )


def n_cores() -> int:
    """Return how many threads a task may use: Spark tells its workers by this variable."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    return int(told) if told.isdigit() and int(told) else len(os.sched_getaffinity(0))


def require_positive(options: Any, *names: str) -> None:
    """Make sure that options which are numbers are at least 1.

    Raises
    ------
    ValueError
        As the config wants it: its message begins with the key.
    """
    for name in names:
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ValueError(f"options.{name}={value}: want at least 1")

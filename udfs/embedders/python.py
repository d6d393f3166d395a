"""Embed with the user's own code: ``python:package.module:factory``.

The factory is called with the options, once per worker, and returns a function:

    a list of n contents (STRING -> str, BINARY -> bytes, ARRAY -> 1-D ndarray; none is null or
    empty) -> (n, n_features) float32; or a list of n vectors, None for what cannot be embedded

The factory, or what it returns, may have the attributes `version` (str), `reads` (``content`` or
``embedding``) and `makes` (str); a factory with a version is not called to find the others.

Code that the workers lack is shipped as an archive named by its content, and the driver imports it
from there too: a process that imported the module before a change imports it again.
"""

import importlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from udfs.embedders.contract import Embedder, EmbedderError, Failure, embed_each, timed
from udfs.embedders.specs import ROW_SECONDS, Arrays, EmbedderSpec, NoOptions, told_length

N_TRIED = 16  # contents embedded on the driver to find the vectors' length

UserEmbedder = Callable[[list[Any]], Any]


@dataclass(frozen=True)
class Code:
    """Where a factory is, and the options it is called with.

    Attributes
    ----------
    options : JSON
    archive : the end of the path of a .zip on ``sys.path`` to import the module from; None: import
        it from wherever it is installed
    """

    module: str
    factory: str
    options: str = "{}"
    archive: str | None = None

    def find(self) -> Any:
        """Import the module and return the factory.

        Raises
        ------
        EmbedderError
        """
        try:
            found: Any = _imported(self.module, self.archive)
        except Exception as error:  # the module's code may raise anything
            raise EmbedderError(
                f"{self.module} cannot be imported: {_said(error)}; fix it, and install what it "
                "needs on the driver and on the workers"
            ) from error
        for name in self.factory.split("."):
            if not hasattr(found, name):
                raise EmbedderError(f"{self.module} has no {self.factory}; check its name")
            found = getattr(found, name)
        if not callable(found):
            raise EmbedderError(
                f"{self.factory} of {self.module} is of type {type(found).__name__}; want a "
                "function or a class that returns an embedder when called"
            )
        return found

    def call(self) -> UserEmbedder:
        """Import the module, call the factory and return what it makes.

        Raises
        ------
        EmbedderError
        """
        factory, options = self.find(), json.loads(self.options)
        try:
            made = factory(**options)
        except MemoryError:
            raise  # the machine's fault
        except Exception as error:
            given = ", ".join(f"{k}={v!r}" for k, v in options.items())
            raise EmbedderError(
                f"{self.factory}({given}) failed with {_said(error)}; fix it, or its embed.options"
            ) from error
        if not callable(made):
            raise EmbedderError(
                f"{self.factory} returned {type(made).__name__}; want a function: a list of "
                "contents -> (n, n_features) float32"
            )
        user_embedder: UserEmbedder = made
        return user_embedder


def spec_of(code: Code, call: Callable[[Code], UserEmbedder], version: str) -> EmbedderSpec:
    """Return the spec of a user's embedder.

    Parameters
    ----------
    call : calls the factory on the driver, or returns what it made before
    version : used if the code does not give its own

    Raises
    ------
    EmbedderError
    """
    factory = code.find()
    source = factory if getattr(factory, "version", None) is not None else call(code)
    told = {key: getattr(source, key, None) for key in ("version", "reads", "makes")}
    for key, value in told.items():
        if value is not None and not (isinstance(value, str) and value):
            raise EmbedderError(f"{key}={value!r} of {code.factory} should be a text")
    if told["reads"] not in ("content", "embedding", None):
        raise EmbedderError(
            f"reads={told['reads']!r} of {code.factory}: want 'content' or 'embedding'"
        )
    reads: Literal["content", "embedding"] = (
        "embedding" if told["reads"] == "embedding" else "content"
    )
    return EmbedderSpec(
        name="python",
        reads=reads,
        makes=told["makes"] or ("embedding" if reads == "embedding" else None),
        n_fitted=lambda _: N_TRIED,
        fit=partial(_fit, call=partial(call, code)),
        # the workers know the archive by its name alone
        make=partial(make_embedder, replace(code, archive=archive_name(code.archive))),
        n_features=told_length,
        version=told["version"] or version,
        archive=code.archive,
        is_costly=True,
    )


def make_embedder(code: Code, arrays: Arrays) -> Embedder:
    """Return an embedder that calls the user's and expects the length found on the driver.

    Raises
    ------
    EmbedderError
    """
    embed_contents, n_features = code.call(), told_length(arrays)

    def checked(vector: NDArray[Any] | None) -> NDArray[Any] | Failure:
        if vector is None:
            return Failure("undecodable", "the embedder gave None")
        if len(vector) != n_features:
            detail = f"length {len(vector)}, the embedder gave {n_features} before"
            return Failure("wrong_length", detail)
        return vector

    def project(contents: list[Any]) -> list[NDArray[Any] | Failure]:
        return [checked(vector) for vector in _called(embed_contents, contents)]

    return lambda values: embed_each(values, _content, project, n_features)


def _fit(
    sample: Sequence[Any], _: NoOptions, seed: int, *, call: Callable[[], UserEmbedder]
) -> Arrays:
    """Find the vectors' length: the most common in a sample; ties go to the longer."""
    contents = [got for got in map(_content, sample) if not isinstance(got, Failure)]
    vectors, row_seconds = list[NDArray[Any] | None](), 0.0
    if contents:
        vectors, row_seconds = timed(partial(_called, call()), contents)
    lengths = [len(vector) for vector in vectors if vector is not None and len(vector)]
    if not lengths:
        raise EmbedderError(
            f"none of the {len(sample)} contents tried on the driver got a vector; check the column"
        )
    n_features = max(lengths, key=lambda n: (lengths.count(n), n))
    return {"n_features": np.array(n_features), ROW_SECONDS: np.array(row_seconds)}


def _content(value: Any) -> Any:
    if len(value) == 0:
        return Failure("empty_content")
    if isinstance(value, list):  # the driver gets arrays as lists
        return np.asarray(value)
    return bytes(value) if isinstance(value, bytearray) else value


def _called(embed: UserEmbedder, contents: list[Any]) -> list[NDArray[Any] | None]:
    """Return a vector, or None, for each content.

    Raises
    ------
    EmbedderError
    """
    try:
        got = embed(contents)
    except MemoryError:
        raise  # the machine's fault
    except Exception as error:
        raise EmbedderError(
            f"it failed on a batch of {len(contents)} contents with {_said(error)}; fix it, and "
            "return None for a content that cannot be embedded"
        ) from error
    n = len(contents)
    want = f"want ({n}, n_features) float32"
    if not hasattr(got, "__len__") or (isinstance(got, np.ndarray) and got.ndim != 2):
        what = f"an array of shape {got.shape}" if hasattr(got, "shape") else type(got).__name__
        raise EmbedderError(f"it gave {what} for {n} contents; {want}")
    if len(got) != n:
        raise EmbedderError(
            f"it gave {len(got)} vectors for {n} contents; {want}, in the contents' order"
        )
    vectors = [None if row is None else np.asarray(row) for row in got]
    for vector in vectors:
        if vector is not None and (vector.ndim != 1 or vector.dtype.kind != "f"):
            raise EmbedderError(
                f"it gave a vector of shape {vector.shape} and type {vector.dtype}; {want}"
            )
    return vectors


def _imported(module: str, archive: str | None) -> ModuleType:
    if archive is None:
        return importlib.import_module(module)
    name, top = archive_name(archive), module.partition(".")[0]
    loaded = sys.modules.get(top)
    if loaded is None or name not in Path(str(getattr(loaded, "__file__", ""))).parts:
        places = [place for place in sys.path if os.path.basename(place) == name]
        if not places:
            raise ModuleNotFoundError(f"its archive {name} has not come to this process")
        for other in [m for m in sys.modules if m == top or m.startswith(f"{top}.")]:
            del sys.modules[other]
        sys.path.insert(0, places[0])  # the archive holds only this module or package
        importlib.invalidate_caches()
    return importlib.import_module(module)


def archive_name(archive: Any) -> Any:
    """Return the name that workers know an archive by."""
    return archive and os.path.basename(archive)


def _said(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__

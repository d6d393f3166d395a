"""The pools that trees are judged on: planted mixtures, digits, and a Debian index's texts."""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from jobs.write_example import kept_digits
from tests.pools import Pool, grouped_mixture, scattered_mixture, zipf_mixture
from udfs.embedders import lsa

N_COMPONENTS = 64
FIT_ROWS = 20_000  # embed.fit_rows


@dataclass(frozen=True)
class JudgedPool:
    """A pool and the target sizes of its samples.

    Attributes
    ----------
    make : seed -> vectors of norm 1, and planted concepts; -1 if a point has none
    """

    make: Callable[[int], Pool]
    targets: tuple[int, int, int]


def digits(seed: int) -> Pool:
    """Return the example pool's long-tailed digits as plain pixels."""
    data = load_digits()
    kept = kept_digits(seed)
    X = data.data[kept].astype(np.float32)
    return X / np.linalg.norm(X, axis=1, keepdims=True), data.target[kept]


def packages(seed: int) -> Pool:
    """Return the package descriptions that apt knows, embedded by ``lsa``, whatever the seed."""
    X = _embedded_packages()
    return X, np.full(len(X), -1)


@cache
def _embedded_packages() -> NDArray[np.float32]:
    X = embedded_texts(package_descriptions())
    return X[X.any(axis=1)]


def embedded_texts(texts: Sequence[str]) -> NDArray[np.float32]:
    """Embed texts by ``lsa`` fitted on some of them : (n, d), norm 1; 0 if one is rejected."""
    sample = np.random.default_rng(0).permutation(len(texts))[:FIT_ROWS]
    arrays = lsa.fit([texts[i] for i in sample], n_components=N_COMPONENTS, seed=0)
    X = lsa.make_embedder(arrays)(pd.Series(texts)).vectors
    norms = np.linalg.norm(X, axis=1, keepdims=True)
    return np.asarray(X / np.where(norms > 0, norms, 1), np.float32)


def package_descriptions() -> list[str]:
    """Return all package descriptions of the machine's index, short and long line joined."""
    return [record["Description"] for record in package_index() if "Description" in record]


def package_index() -> Iterator[dict[str, str]]:
    """Return the packages that apt knows, field by field."""
    asked = ["apt-cache", "dumpavail"]
    return records(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)


def records(index: str) -> Iterator[dict[str, str]]:
    """Read a Debian index: fields by name, their lines joined."""
    for paragraph in index.split("\n\n"):
        fields: dict[str, list[str]] = {}
        lines: list[str] = []
        for line in paragraph.split("\n"):
            if not line.startswith(" "):
                name, _, line = line.partition(":")
                lines = fields.setdefault(name, [])
            lines.append(line.strip())
        yield {name: " ".join(lines) for name, lines in fields.items()}


POOLS = {
    "grouped": JudgedPool(
        partial(grouped_mixture, n_points=60_000, n_features=128), (3000, 5000, 10_000)
    ),
    "unrelated": JudgedPool(
        partial(grouped_mixture, n_points=60_000, n_groups=1000, per_group=1, n_features=128),
        (3000, 5000, 10_000),
    ),
    "zipf": JudgedPool(zipf_mixture, (500, 1000, 2000)),
    "scattered": JudgedPool(scattered_mixture, (1500, 3000, 6000)),
    "grouped-200k": JudgedPool(grouped_mixture, (5000, 10_000, 20_000)),
    "digits": JudgedPool(digits, (50, 100, 150)),
    "packages": JudgedPool(packages, (2500, 5000, 10_000)),
}

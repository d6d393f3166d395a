"""What embeddings know: a Debian package's section, predicted by its description's neighbours.

The share of 5,000 descriptions (fewer if there are not 20,000) whose section the five nearest
neighbours among 10,000 others predict; mean of four draws, with their standard deviation.

Run: python -m tests.benchmarks.sections [Translation-ja.bz2 ...]   (files of a mirror's main/i18n)
"""

import bz2
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from tests.benchmarks.judged_pools import embedded_texts, package_index, records

N_KNOWN, N_ASKED, N_DRAWS = 10_000, 5_000, 4


def accuracy(texts: Sequence[str], sections: Sequence[str]) -> tuple[float, float]:
    """Return the mean share predicted, and its deviation over the draws."""
    X, y = embedded_texts(texts), np.array(sections)
    n_known = min(N_KNOWN, 3 * len(texts) // 4)
    told = []
    for draw in range(N_DRAWS):
        order = np.random.default_rng(draw).permutation(len(y))
        known, asked = order[:n_known], order[n_known : n_known + N_ASKED]
        told.append(KNeighborsClassifier(5).fit(X[known], y[known]).score(X[asked], y[asked]))
    return float(np.mean(told)), float(np.std(told))


def main(translations: Sequence[str]) -> None:
    """Print a line for the index's own descriptions, and for each translation."""
    packages = [r for r in package_index() if {"Package", "Description", "Section"} <= r.keys()]
    section_of = {r["Package"]: r["Section"].split("/")[-1] for r in packages}
    pools = {"short, English": [(r["Package"], r["Description"]) for r in packages]}
    for path in translations:
        language = Path(path).name.removeprefix("Translation-").removesuffix(".bz2")
        name, index = f"Description-{language}", bz2.open(path, "rt", encoding="utf-8").read()
        pools[language] = [
            (r["Package"], r[name])
            for r in records(index)
            if name in r and r["Package"] in section_of
        ]
    for pool, described in pools.items():
        names, texts = zip(*dict(described).items(), strict=True)
        mean, deviation = accuracy(texts, [section_of[name] for name in names])
        print(f"{pool}: {len(texts)} descriptions, {mean:.3f} +- {deviation:.3f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Digits of which a model has seen half of the classes, in a pool with wrong labels: their losses.

The model in training has seen 150 images of 0 to 4 and 10 of 5 to 9; a quarter of the pool's
labels is wrong; the reference model was trained on 300 clean others. What is left to learn, and can
be, are the images of 5 to 9 with a right label: the target.

Run: python -m tests.quality.noisy_digits [--seeds N]
"""

import argparse
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

N_TEST, N_REFERENCE, N_SEEN, N_SEEN_OF_EACH_NEW = 400, 300, 150, 2
SHARE_WRONG = 0.25
Rows = NDArray[np.int64]


class NoisyDigits(NamedTuple):
    """Positions among the digits, and what is known of the pool's.

    Attributes
    ----------
    seen, pool, test : positions
    labels : of the pool, some of them wrong
    is_wrong, is_target : of the pool
    online, reference : losses of the pool
    """

    X: NDArray[np.float64]
    y: Rows
    seen: Rows
    pool: Rows
    test: Rows
    labels: Rows
    is_wrong: NDArray[np.bool_]
    is_target: NDArray[np.bool_]
    online: NDArray[np.float64]
    reference: NDArray[np.float64]

    def accuracy_with(self, chosen: Rows) -> float:
        """Return the balanced accuracy after training on what was seen and these of the pool."""
        rows = np.concatenate([self.seen, self.pool[chosen]])
        labels = np.concatenate([self.y[self.seen], self.labels[chosen]])
        is_right = (
            _model(10).fit(self.X[rows], labels).predict(self.X[self.test]) == self.y[self.test]
        )
        return float(np.mean([is_right[self.y[self.test] == c].mean() for c in range(10)]))


def noisy_digits(seed: int) -> NoisyDigits:
    """Split the digits, spoil labels of the pool, and return both models' losses on it."""
    data, rng = load_digits(), np.random.default_rng(seed)
    X, y = data.data / 16, data.target
    order = rng.permutation(len(X))
    test, reference, rest = np.split(order, [N_TEST, N_TEST + N_REFERENCE])
    new = [rest[y[rest] == c][:N_SEEN_OF_EACH_NEW] for c in range(5, 10)]
    seen = np.concatenate([rest[y[rest] < 5][:N_SEEN], *new])
    pool = np.setdiff1d(rest, seen)
    is_wrong = rng.random(len(pool)) < SHARE_WRONG
    labels = np.where(is_wrong, (y[pool] + rng.integers(1, 10, len(pool))) % 10, y[pool])
    online = _model(1).fit(X[seen], y[seen])
    trusted = _model(10).fit(X[reference], y[reference])
    losses = [_losses(model, X[pool], labels) for model in (online, trusted)]
    is_target = ~is_wrong & (y[pool] >= 5)
    return NoisyDigits(X, y, seen, pool, test, labels, is_wrong, is_target, *losses)


def _model(C: float) -> LogisticRegression:
    return LogisticRegression(C=C, max_iter=1000)


def _losses(model: LogisticRegression, X: NDArray[np.float64], labels: Rows) -> NDArray[np.float64]:
    log_p: NDArray[np.float64] = model.predict_log_proba(X)[np.arange(len(X)), labels]
    return -log_p


def figures(
    pool: NoisyDigits, scores: NDArray[np.float64], noise: NDArray[np.float64]
) -> list[float]:
    """Return what scores find and teach: in the top quarter, and in a softmax draw of half."""
    n = len(scores)
    top = np.argsort(-scores, kind="stable")[: n // 4]
    half = np.argsort(-(scores + noise), kind="stable")[: n // 2]
    return [
        float(pool.is_wrong[top].mean()),
        float(pool.is_target[top].mean()),
        float(roc_auc_score(pool.is_target, scores)),
        pool.accuracy_with(top),
        pool.accuracy_with(half),
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table of all criteria."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    found: dict[str, list[list[float]]] = {}
    for seed in range(parser.parse_args(argv).seeds):
        pool = noisy_digits(seed)
        noise = np.random.default_rng(seed).gumbel(size=(2, len(pool.pool)))
        scores = {
            "uniform": noise[0],
            "hard": pool.online,
            "easy_reference": -pool.reference,
            "learnability": pool.online - pool.reference,
        }
        for name, score in scores.items():
            found.setdefault(name, []).append(figures(pool, score, noise[1]))
    print("| criterion | noise in top 25% | target in it | AUC | accuracy | after softmax 50% |")
    print("|---|---|---|---|---|---|")
    for name, rows in found.items():
        cells = " | ".join(f"{value:.2f}" for value in np.mean(rows, axis=0))
        print(f"| {name} | {cells} |")


if __name__ == "__main__":
    main()

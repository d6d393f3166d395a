"""Learning curves on long-tailed digits with wrong labels, by criterion: updates and compute.

A small network learns digits whose classes run from 110 images down to 8, a quarter of the labels
wrong. Every update is a super-batch of about 64 rows, of which 32 are drawn by the product's own
draws; the scores are the network's losses at the start of the round, minus those of a network of
the same shape trained on 300 clean images. For each criterion: how many updates it takes to the
balanced accuracy that uniform draws end with, and what that costs with scoring included.

Run: python -m tests.quality.learning_curves [--seeds N]
"""

import argparse
import sys
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.sql import SparkSession
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

from jobs.config.model import SparkConfig
from jobs.learnability.draws import drawn, scored
from jobs.sections.learnability import LearnabilityConfig
from jobs.spark.session import start_local

CRITERIA = ("uniform", "hard", "easy_reference", "learnability")
N_ROUNDS, SUPER_BATCH, KEEP = 43, 64, 0.5
N_TEST, N_REFERENCE, LARGEST, DECAY, SHARE_WRONG = 400, 300, 110, 0.75, 0.25
SMOOTHED = 5  # evaluations that an accuracy is averaged over
FORWARD = 2.0 * (64 * 64 + 64 * 10)  # FLOP of a row; training takes three times as much
Rows = NDArray[np.int64]


class Digits(NamedTuple):
    """A long-tailed noisy pool, and clean images to test on and to train the reference on."""

    X: NDArray[np.float64]
    labels: Rows
    reference: NDArray[np.float64]  # its losses
    X_test: NDArray[np.float64]
    y_test: Rows


class Curve(NamedTuple):
    """What a criterion reached.

    Attributes
    ----------
    updates : to the accuracy that uniform ends with; inf if it does not get there
    """

    final: float
    updates: float


def long_tailed(seed: int) -> Digits:
    """Make the pool of a seed."""
    data, rng = load_digits(), np.random.default_rng(seed)
    X, y = data.data / 16, data.target
    test, clean, rest = np.split(rng.permutation(len(X)), [N_TEST, N_TEST + N_REFERENCE])
    sizes = (LARGEST * DECAY ** np.arange(10)).astype(int)
    classes = rng.permutation(10)
    kept = [rest[y[rest] == c][:n] for c, n in zip(classes, sizes, strict=True)]
    pool = rng.permutation(np.concatenate(kept))
    is_wrong = rng.random(len(pool)) < SHARE_WRONG
    labels = np.where(is_wrong, (y[pool] + rng.integers(1, 10, len(pool))) % 10, y[pool])
    reference = network(1000 + seed)
    for _ in range(100):
        for batch in np.array_split(rng.permutation(clean), N_REFERENCE // 32):
            reference.partial_fit(X[batch], y[batch])
    return Digits(X[pool], labels, losses(reference, X[pool], labels), X[test], y[test])


def network(seed: int) -> MLPClassifier:
    """Return a small network that has learned nothing."""
    made = MLPClassifier((64,), solver="sgd", learning_rate_init=0.05, random_state=seed)
    return made.partial_fit(np.zeros((1, 64)), [0], classes=range(10))


def losses(model: MLPClassifier, X: NDArray[np.float64], y: Rows) -> NDArray[np.float64]:
    """Return the loss of each row : (n,)."""
    p = model.predict_proba(X)[np.arange(len(y)), y]
    return np.asarray(-np.log(np.maximum(p, 1e-7)))


def accuracy(model: MLPClassifier, pool: Digits) -> float:
    """Return the mean recall over classes."""
    is_right = model.predict(pool.X_test) == pool.y_test
    return float(np.mean([is_right[pool.y_test == c].mean() for c in range(10)]))


def curves(spark: SparkSession, seeds: Sequence[int]) -> dict[str, list[Curve]]:
    """Train by every criterion on every seed; a round of all of them is one draw."""
    pools = [long_tailed(seed) for seed in seeds]
    runs = [(c, seed, pool) for c in CRITERIA for seed, pool in zip(seeds, pools, strict=True)]
    learners = [network(seed) for _, seed, _ in runs]
    reached: list[list[float]] = [[] for _ in runs]
    n = max(len(pool.X) for pool in pools)
    for round_ in range(N_ROUNDS):
        parts = []
        for i, ((criterion, _, pool), learner) in enumerate(zip(runs, learners, strict=True)):
            online, reference = losses(learner, pool.X, pool.labels), pool.reference
            part = pd.DataFrame({"id": i * n + np.arange(len(pool.X)), "node_id": i})
            # the criterion learnability is each of the others where one loss is 0
            part["loss_online"] = online if criterion in ("hard", "learnability") else 0.0
            knows = criterion in ("easy_reference", "learnability")
            part["loss_reference"] = reference if knows else 0.0
            parts.append(part)
        given = LearnabilityConfig(
            round=round_, super_batch=SUPER_BATCH / n, keep=KEEP, within_nodes=1
        )
        frame = spark.createDataFrame(pd.concat(parts))
        found = drawn(scored(frame, given, 0), given).where("is_selected")
        batches = found.select("id", "super_batch").toPandas().sort_values(["super_batch", "id"])
        for i, (_, _, pool) in enumerate(runs):
            mine = batches[batches["id"] // n == i]
            for _, batch in mine.groupby("super_batch"):
                rows = batch["id"].to_numpy() - i * n
                learners[i].partial_fit(pool.X[rows], pool.labels[rows])
                reached[i].append(accuracy(learners[i], pool))
    smooth = [np.convolve(r, np.ones(SMOOTHED) / SMOOTHED, "valid") for r in reached]
    ends = [smooth[i][-1] for i in range(len(seeds))]  # uniform comes first
    found_: dict[str, list[Curve]] = {c: [] for c in CRITERIA}
    for i, (criterion, _, _) in enumerate(runs):
        there = np.flatnonzero(smooth[i] >= ends[i % len(seeds)])
        updates = float(there[0] + SMOOTHED) if len(there) else np.inf
        found_[criterion].append(Curve(float(smooth[i][-1]), updates))
    return found_


def gflop(criterion: str, updates: float) -> float:
    """Return the compute of so many updates: scoring, training, and the reference's own losses."""
    drawn_, seen = KEEP * SUPER_BATCH * updates, SUPER_BATCH * updates
    n_scored = 0.0 if criterion in ("uniform", "easy_reference") else seen
    once = 0.0 if criterion in ("uniform", "hard") else 400.0
    return FORWARD * (3 * drawn_ + n_scored + once) / 1e9


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    warnings.simplefilter("ignore")
    spark = start_local(SparkConfig(master="local[2]", driver_memory="3g", shuffle_partitions=4))
    found = curves(spark, range(parser.parse_args(argv).seeds))
    print("| criterion | final accuracy | updates to uniform's final | of uniform's | GFLOP |")
    print("|---|---|---|---|---|")
    uniform = np.median([c.updates for c in found["uniform"]])
    for criterion, mine in found.items():
        updates = float(np.median([c.updates for c in mine]))
        print(
            f"| {criterion} | {np.mean([c.final for c in mine]):.3f} | {updates:.0f} | "
            f"{updates / uniform:.0%} | {gflop(criterion, updates):.2f} |"
        )
    spark.stop()


if __name__ == "__main__":
    sys.exit(main())

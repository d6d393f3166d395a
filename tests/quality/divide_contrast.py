"""Divide and Contrast beside its controls: on a heterogeneous pool, and on digits, where it loses.

The pool: 6000 points of 100 Zipf concepts in 20 groups, 96 features. A concept's centre is .8 times
its group's plus .6 times its own direction, both standard normal, at length 1; a view is the centre
plus Gaussian noise of length 1.5. Codes have 8 components, the division 5 clusters. The digits: a
view is shifted by up to one pixel and has noise.

Run: python -m tests.quality.divide_contrast [SEEDS]    six of the pool, twice as many for hardness
"""

import sys
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from jobs.labels.points import knn_accuracy
from udfs.contrast import Division, by_experts, labels_of
from udfs.kernels.contrast.encoders import Encoder, as_floats, linear_encoder
from udfs.kernels.contrast.hardness import Hardness, hardness
from udfs.kernels.contrast.moments import MomentSums
from udfs.kernels.contrast.students import Study, Teachers, taught
from udfs.kernels.joint.dots import to_coordinates
from udfs.kernels.kmeans.iterations import KMeansParams
from udfs.kernels.kmeans.resampling import fit_level
from udfs.kernels.passes.sources import blocks_of

N_POINTS, N_CONCEPTS, N_GROUPS, N_FEATURES = 6000, 100, 20, 96
OWN, NOISE = 0.6, 1.5
N_CLUSTERS, N_COMPONENTS, RIDGE = 5, 8, 1e-3
N_HIDDEN, N_EPOCHS = 64, 40
DIGIT_NOISE = 0.15

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
STUDENTS = ("base", "base only", "random partition", "divided")


class World(NamedTuple):
    """Points with two views each, as whole numbers, and labels that no one learns from."""

    a: NDArray[np.int16]
    b: NDArray[np.int16]
    y: NDArray[np.str_]

    @property
    def points(self) -> Rows:
        """The points, as encoders read them."""
        return self.a.astype(np.int64) + self.b


def concepts(seed: int, noise: float = NOISE) -> World:
    """Return the heterogeneous pool."""
    rng = np.random.default_rng(seed)
    groups = rng.standard_normal((N_GROUPS, N_FEATURES))
    own = rng.standard_normal((N_CONCEPTS, N_FEATURES))
    centres = _unit(0.8 * groups[np.arange(N_CONCEPTS) % N_GROUPS] + OWN * own)
    shares = 1 / (1 + rng.permutation(N_CONCEPTS))
    y = rng.choice(N_CONCEPTS, N_POINTS, p=shares / shares.sum())
    a, b = (
        to_coordinates(
            _unit(
                centres[y] + noise * rng.standard_normal((N_POINTS, N_FEATURES)) / N_FEATURES**0.5
            )
        )
        for _ in range(2)
    )
    return World(a, b, y.astype(np.str_))


def digits(seed: int) -> World:
    """Return the digits in an order of the seed's, views of them shifted and with noise."""
    data, rng = load_digits(), np.random.default_rng(seed)
    order = rng.permutation(len(data.data))
    images = data.data[order].reshape(-1, 8, 8) / 16

    def view() -> NDArray[np.int16]:
        rows, columns = rng.integers(0, 3, (2, len(images)))
        padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
        moved = np.stack(
            [p[r : r + 8, c : c + 8] for p, r, c in zip(padded, rows, columns, strict=True)]
        )
        noisy = moved.reshape(-1, 64) + DIGIT_NOISE * rng.standard_normal((len(images), 64))
        return to_coordinates(_unit(noisy))

    return World(view(), view(), data.target[order].astype(np.str_))


def _unit(X: Floats) -> Floats:
    return np.asarray(X / np.linalg.norm(X, axis=1, keepdims=True))


class Divided:
    """A world divided by its base, and its experts.

    Attributes
    ----------
    labels, at_random : (n,) clusters
    """

    def __init__(self, world: World, seed: int, n_components: int = N_COMPONENTS) -> None:
        self._world, self._seed, self._n_components = world, seed, n_components
        (self.base,) = self._encoders(np.zeros(len(world.y), np.int64))
        codes = self.base(world.points)
        centroids = fit_level(
            blocks_of(codes), N_CLUSTERS, KMeansParams("lloyd"), rounds=0, points=None, seed=seed
        )
        self.labels = labels_of(Division(self.base, centroids))(None, codes)
        self.at_random = np.random.default_rng(seed).integers(N_CLUSTERS, size=len(world.y))

    def _encoders(self, labels: NDArray[np.integer]) -> list[Encoder]:
        sums = MomentSums(int(labels.max()) + 1, self._world.a.shape[1])
        sums.add(self._world.a, self._world.b, labels)
        return [linear_encoder(each, self._n_components, RIDGE) for each in sums.result()]

    def targets(self) -> tuple[Floats, Floats]:
        """Return what the base and each point's expert say : (n, n_components) both."""
        U = self._world.points
        codes = self.base(U), by_experts(U, self._encoders(self.labels), self.labels)
        return as_floats(codes[0]), as_floats(codes[1])

    def hardness(self) -> dict[str, Hardness]:
        """Measure negatives from anywhere, and from a point's cluster."""
        left, right = (as_floats(self.base(2 * v.astype(np.int64))) for v in self._world[:2])
        rng = np.random.default_rng(self._seed)
        parts = {"anywhere": np.zeros_like(self.labels), "own cluster": self.labels}
        return {name: hardness(left, right, labels, rng=rng) for name, labels in parts.items()}

    def students(self) -> dict[str, float]:
        """Return the accuracy that neighbours have in each code."""
        U, base = self._world.points, as_floats(self.base(self._world.points))
        study = Study(N_HIDDEN, self._n_components, N_EPOCHS)
        codes = [self.base(U)]
        for labels in (None, self.at_random, self.labels):
            teachers = Teachers(base)
            if labels is not None:
                experts = self._encoders(labels)
                teachers = Teachers(base, as_floats(by_experts(U, experts, labels)), labels)
            rng = np.random.default_rng(self._seed)
            codes.append(taught(U, teachers, study, rng=rng)(U))
        accuracies = (knn_accuracy(as_floats(c).astype(np.float32), self._world.y) for c in codes)
        return dict(zip(STUDENTS, accuracies, strict=True))


def main(argv: Sequence[str]) -> None:
    """Print the means over seeds, and their ranges."""
    n_seeds = int(argv[0]) if argv else 6
    hard = [Divided(digits(seed), seed).hardness() for seed in range(2 * n_seeds)]
    print(f"| digits, {2 * n_seeds} seeds | cosine to negatives | InfoNCE, nats |\n|---|---|---|")
    for name in hard[0]:
        cosine, loss = np.mean([each[name] for each in hard], axis=0)
        print(f"| {name} | {cosine:.3f} | {loss:.2f} |")
    names = " | ".join(STUDENTS)
    print(f"\n| neighbours' accuracy | {names} | seeds on which it is above all |")
    print("|---|---|---|---|---|---|")
    worlds = {
        "100 concepts, 8 components": (concepts, 8),
        "the same, noise of 1.0": (partial(concepts, noise=1.0), 8),
        "digits, 8 components": (digits, 8),
        "digits, 16 components": (digits, 16),
    }
    for title, (world, n_components) in worlds.items():
        found = [Divided(world(s), s, n_components).students() for s in range(n_seeds)]
        each = np.array([[one[name] for name in STUDENTS] for one in found])
        cells = (f"{x.mean():.3f} ({x.min():.3f}-{x.max():.3f})" for x in each.T)
        n_above = (each[:, 3] > each[:, :3].max(axis=1)).sum()
        print(f"| {title} | {' | '.join(cells)} | {n_above} of {n_seeds} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

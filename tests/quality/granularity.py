"""Which images to train on as one class: those of a caption, of a concept, or each alone.

A world of 20 concepts before 10 backgrounds: an image is the sum of its concept's vector, of its
background's and of a style of its own, which is nuisance. A linear contrastive encoder in closed
form learns from images that count as one class, or from two views of one image; it is judged by
whether the nearest image in its codes is one of the same caption, on images it has not seen.

Run: python -m tests.quality.granularity [number of seeds]
"""

import sys

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

N_CONCEPTS, N_GROUNDS, N_FEATURES, N_CODES = 20, 10, 96, 28
STYLE_AXES, STYLE, NOISE = 24, 1.5, 0.3  # directions of style, and its size; noise of any kind
LEVELS = ("caption", "instance", "concept")

Floats = NDArray[np.float64]


def accuracies(seed: int, per_caption: int = 4) -> dict[str, float]:
    """Return by level how often an image's nearest one is of its concept and background."""
    rng = np.random.default_rng(seed)
    concepts = rng.standard_normal((N_CONCEPTS, N_FEATURES))
    grounds = rng.standard_normal((N_GROUNDS, N_FEATURES))
    styles = rng.standard_normal((STYLE_AXES, N_FEATURES))
    labels = np.repeat(np.arange(N_CONCEPTS * N_GROUNDS), per_caption)

    def images() -> Floats:
        style = STYLE * rng.standard_normal((len(labels), STYLE_AXES)) @ styles
        noise = NOISE * rng.standard_normal((len(labels), N_FEATURES))
        shown = concepts[labels // N_GROUNDS] + grounds[labels % N_GROUNDS]
        return np.asarray(shown + style / np.sqrt(STYLE_AXES) + noise)

    X, T = images(), images()
    views = X + NOISE * rng.standard_normal(X.shape)  # an image's own second view
    classes = {
        "caption": labels,
        "instance": np.arange(len(labels)),
        "concept": labels // N_GROUNDS,
    }
    return {level: _accuracy(_encoder(X, views, classes[level]), X, T, labels) for level in LEVELS}


def _encoder(X: Floats, views: Floats, classes: NDArray[np.int64]) -> Floats:
    """Return the axes along which images of a class agree the most, beside all spread."""
    both = np.concatenate([X, views]) - X.mean(axis=0)
    member = np.concatenate([classes, classes])
    sums = np.zeros((member.max() + 1, X.shape[1]))
    np.add.at(sums, member, both)
    counts = np.bincount(member)[:, None]
    between = (sums / counts).T @ sums
    whole = both.T @ both + 1e-6 * len(both) * np.eye(X.shape[1])
    _, axes = eigh(between, whole, subset_by_index=(X.shape[1] - N_CODES, X.shape[1] - 1))
    return np.asarray(axes)


def _accuracy(axes: Floats, X: Floats, T: Floats, labels: NDArray[np.int64]) -> float:
    Z, Y = (_unit(A @ axes) for A in (X - X.mean(axis=0), T - X.mean(axis=0)))
    return float((labels[(Y @ Z.T).argmax(axis=1)] == labels).mean())


def _unit(X: Floats) -> Floats:
    return np.asarray(X / np.linalg.norm(X, axis=1, keepdims=True))


def main(argv: list[str]) -> None:
    """Print the means over seeds."""
    found = [accuracies(seed) for seed in range(int(argv[0]) if argv else 10)]
    for level in LEVELS:
        each = [one[level] for one in found]
        print(f"{level}: {np.mean(each):.2f} ({min(each):.2f}-{max(each):.2f})")


if __name__ == "__main__":
    main(sys.argv[1:])

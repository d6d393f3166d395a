"""What joint selection draws from synthetic pairs, beside independent draws.

1280 pairs of 128 concepts in 16 groups; the learner sees groups only, the reference concepts; every
fifth pair is mismatched: its text is of another concept. From them 256 are picked, by a draw that
should find pairs that the learner confuses: of one group, of several concepts. (METHODS: section 3;
arXiv 2406.17711.)

Run: python -m tests.quality.joint [SEEDS]    a table of means, ten seeds by default
"""

import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.exact.hashing import xxhash64_on
from udfs.kernels.joint.dots import to_coordinates
from udfs.kernels.joint.draws import admitted, draw_independently, draw_jointly
from udfs.kernels.joint.losses import Calibration, Losses, SigmoidLosses

N_PAIRS, N_PICKED = 1280, 256
N_GROUPS, N_CONCEPTS, N_FEATURES = 16, 128, 64
SHARE_MISMATCHED = 0.2
NOISE_LEARNER, NOISE_REFERENCE, OWN = 0.8, 0.25, 1.5  # relative to the groups
OF = Calibration(10.0, -6.2)
CHUNKS = (1, 4, 16, 64, 256)

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]


class Picked(NamedTuple):
    """What a batch teaches, by pair, and its share of mismatched pairs."""

    learnability: float
    mismatched: float


class Pairs:
    """Synthetic pairs by both models.

    Attributes
    ----------
    is_mismatched : (N_PAIRS,)
    """

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        groups = _unit(rng.standard_normal((N_GROUPS, N_FEATURES)))
        own = _unit(rng.standard_normal((N_CONCEPTS, N_FEATURES)))
        group_of = np.arange(N_CONCEPTS) * N_GROUPS // N_CONCEPTS
        concepts = {"learner": groups[group_of], "reference": _unit(groups[group_of] + OWN * own)}
        image = rng.integers(N_CONCEPTS, size=N_PAIRS)
        self.is_mismatched = rng.random(N_PAIRS) < SHARE_MISMATCHED
        other = (image + rng.integers(1, N_CONCEPTS, size=N_PAIRS)) % N_CONCEPTS
        text = np.where(self.is_mismatched, other, image)
        self._towers = {}
        for side, noise in (("learner", NOISE_LEARNER), ("reference", NOISE_REFERENCE)):
            sides = [
                concepts[side][of]
                + noise * rng.standard_normal((N_PAIRS, N_FEATURES)) / N_FEATURES**0.5
                for of in (image, text)
            ]
            self._towers[side] = [to_coordinates(_unit(X)).astype(np.float32) for X in sides]
        self.hashes = xxhash64_on(np.arange(N_PAIRS), seed)

    def losses(self, among: Rows | None = None) -> tuple[Losses, Losses]:
        """Return the learner's and the reference's, of empty batches; of some rows, if given."""
        rows = np.arange(N_PAIRS) if among is None else among
        learner, reference = (
            SigmoidLosses(image[rows], text[rows], OF) for image, text in self._towers.values()
        )
        return learner, reference

    def picked(self, rows: Rows) -> Picked:
        """Judge a batch."""
        learner, reference = self.losses()
        learnability = learner.of_batch(rows) - reference.of_batch(rows)
        return Picked(learnability, float(self.is_mismatched[rows].mean()))

    def jointly(self, n_chunks: int, among: Rows | None = None, size: int = N_PICKED) -> Rows:
        """Draw by JEST; from some rows, if given."""
        rows = np.arange(N_PAIRS) if among is None else among
        drawn = draw_jointly(*self.losses(rows), self.hashes[rows], size, n_chunks)
        return rows[drawn.rows]

    def by(self, scores: Floats, salt: str) -> Rows:
        """Draw independently."""
        return draw_independently(scores, self.hashes, N_PICKED, salt)


def picks(seed: int) -> dict[str, Picked]:
    """Draw in every way."""
    pairs = Pairs(seed)
    learner, reference = pairs.losses()
    gains, hard = learner.matched - reference.matched, learner.matched
    filtered = admitted(reference.matched, 0.3)
    for losses in (learner, reference):
        losses.add(np.arange(N_PAIRS))
    row_sums = learner.scores() - reference.scores()
    rows = {
        "uniform": pairs.by(np.zeros(N_PAIRS), "uniform"),
        "hard only": pairs.by(hard, "hard"),
        "independent, own gain": pairs.by(gains, "own"),
        "independent, own gain, the largest": np.argsort(-gains, kind="stable")[:N_PICKED],
        "independent, row sums": np.argsort(-row_sums, kind="stable")[:N_PICKED],
        **{f"joint, {n} chunks": pairs.jointly(n) for n in CHUNKS},
        "joint, 16 chunks, prefilter .3": pairs.jointly(16, filtered),
    }
    fifths = np.array_split(np.argsort(pairs.hashes, kind="stable"), 5)
    small = [pairs.jointly(17, part, size=51) for part in fifths]
    rows["joint, five batches of 51 merged"] = np.concatenate(small)
    return {name: pairs.picked(chosen) for name, chosen in rows.items()}


def _unit(X: Floats) -> Floats:
    return np.asarray(X / np.linalg.norm(X, axis=1, keepdims=True))


def main(argv: Sequence[str]) -> None:
    """Print the means over seeds."""
    found = [picks(seed) for seed in range(int(argv[0]) if argv else 10)]
    print(f"| {len(found)} seeds | to learn from it, by pair | mismatched |\n|---|---|---|")
    for name in found[0]:
        each = np.array([one[name] for one in found])
        low, high = each[:, 0].min(), each[:, 0].max()
        print(
            f"| {name} | {each[:, 0].mean():.1f} ({low:.1f}-{high:.1f}) | {each[:, 1].mean():.2f} |"
        )


if __name__ == "__main__":
    main(sys.argv[1:])

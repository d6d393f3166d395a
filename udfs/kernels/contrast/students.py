"""A student of several teachers: one code, a head for each teacher, of which none is kept.

Source: "Divide and Contrast" (arXiv 2105.08054), section 3.3: the base model teaches every point,
an expert the points of its cluster. Experts' codes are never averaged: no two share a space.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from udfs.kernels.contrast.encoders import POINT_LENGTH, Encoder, Floats, encoder_of

_STEP, _BETA_1, _BETA_2, _EPSILON = 2e-3, 0.9, 0.999, 1e-8  # Adam (arXiv 1412.6980)
_BATCH = 128  # points


@dataclass(frozen=True)
class Study:
    """How a student learns: units of its hidden layer, components of its code, epochs."""

    n_hidden: int
    n_components: int
    n_epochs: int


class Teachers(NamedTuple):
    """What points should be mapped to.

    Attributes
    ----------
    base : (n, n_components), of length 1
    expert : the same, by the expert of a point's cluster; None if the base teaches alone
    labels : (n,) the clusters, from 0
    """

    base: Floats
    expert: Floats | None = None
    labels: NDArray[np.integer] | None = None


def taught(
    U: NDArray[np.number], teachers: Teachers, study: Study, *, rng: np.random.Generator
) -> Encoder:
    """Train a student, and return it without its heads.

    Parameters
    ----------
    U : (n, n_features) points, as an encoder reads them
    """
    X = U / POINT_LENGTH
    mean, spread = X.mean(axis=0), float(X.std()) or 1.0
    X = (X - mean) / spread
    net = _Net(X.shape[1], study, teachers, rng)
    n_steps = study.n_epochs * -(-len(X) // _BATCH)
    step = 0
    for _ in range(study.n_epochs):
        order = rng.permutation(len(X))
        for start in range(0, len(X), _BATCH):
            rate = _STEP * (1 - step / n_steps)
            step += 1
            net.descend(net.gradients(X, order[start : start + _BATCH]), rate, step)
    W1, b1, W2, b2 = (net.weights[name] for name in ("W1", "b1", "W2", "b2"))
    layers = [(W1 / spread, b1 - mean / spread @ W1), (W2, b2)]
    return encoder_of(layers, input_length=POINT_LENGTH)


class _Net:
    """Two layers and a linear head for each teacher, trained by Adam on mean squared errors."""

    def __init__(
        self, n_features: int, study: Study, teachers: Teachers, rng: np.random.Generator
    ) -> None:
        h, c, out = study.n_hidden, study.n_components, teachers.base.shape[1]
        self._teachers = teachers
        n_experts = 0 if teachers.labels is None else int(teachers.labels.max()) + 1
        shapes = {"W1": (n_features, h), "W2": (h, c), "base": (c, out)}
        if teachers.expert is not None:
            wide = teachers.expert.shape[1]
            shapes |= {f"expert_{k}": (c, wide) for k in range(n_experts)}
        gains = {"W1": 2.0}  # a ReLU follows (He et al., arXiv 1502.01852)
        self.weights = {
            name: rng.standard_normal(shape) * np.sqrt(gains.get(name, 1.0) / shape[0])
            for name, shape in shapes.items()
        } | {"b1": np.zeros(h), "b2": np.zeros(c)}
        self._n_experts = n_experts
        self._first = {name: np.zeros_like(w) for name, w in self.weights.items()}
        self._second = {name: np.zeros_like(w) for name, w in self.weights.items()}

    def gradients(self, X: Floats, rows: NDArray[np.int64]) -> dict[str, Floats]:
        """Return the gradients of a batch's loss, the mean over its points."""
        w, x = self.weights, X[rows]
        hidden = np.maximum(x @ w["W1"] + w["b1"], 0.0)
        code = hidden @ w["W2"] + w["b2"]  # (n_batch, n_components)
        found: dict[str, Floats] = {}
        to_code = np.zeros_like(code)

        def learn(head: str, mine: NDArray[np.integer], wanted: Floats) -> None:
            # targets have length root n, so that each of their numbers is about 1
            error = code[mine] @ w[head] - wanted * np.sqrt(wanted.shape[1])
            found[head] = code[mine].T @ error / len(rows)
            to_code[mine] += error @ w[head].T / len(rows)

        learn("base", np.arange(len(rows)), self._teachers.base[rows])
        if self._teachers.expert is not None and self._teachers.labels is not None:
            labels = self._teachers.labels[rows]
            for k in range(self._n_experts):
                mine = np.flatnonzero(labels == k)
                learn(f"expert_{k}", mine, self._teachers.expert[rows[mine]])
        to_hidden = (to_code @ w["W2"].T) * (hidden > 0)
        found |= {"W2": hidden.T @ to_code, "b2": to_code.sum(axis=0)}
        return found | {"W1": x.T @ to_hidden, "b1": to_hidden.sum(axis=0)}

    def descend(self, gradients: dict[str, Floats], rate: float, step: int) -> None:
        """Take one step of Adam."""
        for name, g in gradients.items():
            m = self._first[name] = _BETA_1 * self._first[name] + (1 - _BETA_1) * g
            v = self._second[name] = _BETA_2 * self._second[name] + (1 - _BETA_2) * g * g
            m, v = m / (1 - _BETA_1**step), v / (1 - _BETA_2**step)
            self.weights[name] -= rate * m / (np.sqrt(v) + _EPSILON)

"""The types that the harness and its child processes share."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ITERATIONS = 10  # what every rival runs, or is scaled to


@dataclass(frozen=True)
class Task:
    """One rival on one problem.

    Attributes
    ----------
    iterations : what the rival is asked for; if below ITERATIONS, its time is scaled too
    init : scikit-learn's initialisation
    driver_memory : for the rivals on Spark
    """

    rival: str
    n_points: int
    n_features: int
    n_clusters: int
    iterations: int = ITERATIONS
    init: str = "k-means++"
    driver_memory: str = "6g"

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.rival}-{self.n_points}x{self.n_features}-{self.n_clusters}"


@dataclass(frozen=True)
class Files:
    """The same points, for rivals in memory and for Spark."""

    vectors: str  # .npy, (n_points, n_features) float32
    pool: str  # Parquet: id, embedding
    concepts: str  # .npy, (n_points,) int64, as planted


@dataclass(frozen=True)
class Fit:
    """The result of a rival.

    Attributes
    ----------
    seconds : what was timed, including the assignment of every point
    ran : the iterations that it ran
    at_ten : seconds that ITERATIONS would take, by its own time per iteration; None: unknown
    figures : anything else worth a row in results.json
    centroids : (n_clusters, n_features) float32
    labels : (n_points,) int64, in the order of the .npy file
    """

    seconds: float
    ran: str
    at_ten: float | None = None
    figures: dict[str, float | str] = field(default_factory=dict)
    centroids: NDArray[np.float32] | None = None
    labels: NDArray[np.int64] | None = None


class Stopwatch:
    """Times what counts, and tells the harness when that starts: the time limit runs from then."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker
        self._at = time.perf_counter()

    def start(self, **known: str) -> None:
        """Start timing; ``known`` is reported even for a run that does not end in time."""
        self.marker.write_text(json.dumps(known))
        self._at = time.perf_counter()

    def lap(self) -> float:
        """Return the seconds since the start or the last lap."""
        now = time.perf_counter()
        seconds, self._at = now - self._at, now
        return seconds

"""The words that the harness and its child processes share."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ITERATIONS = 10  # what every rival is given, or scaled to


@dataclass(frozen=True)
class Task:
    """One rival on one problem.

    Attributes
    ----------
    iterations : what the rival is asked for; where below ITERATIONS, its time is scaled too
    init : scikit-learn's start
    driver_memory : of the rivals on Spark
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
        """What its folder is called."""
        return f"{self.rival}-{self.n_points}x{self.n_features}-{self.n_clusters}"


@dataclass(frozen=True)
class Files:
    """The same points, as rivals in memory and as Spark read them."""

    vectors: str  # .npy, (n_points, n_features) float32
    pool: str  # Parquet: id, embedding
    concepts: str  # .npy, (n_points,) int64, as planted


@dataclass(frozen=True)
class Fit:
    """What a rival did.

    Attributes
    ----------
    seconds : what was timed, the assignment of every point included
    ran : the iterations that it ran
    at_ten : seconds that ITERATIONS would take, by its own time per iteration; None: unknown
    figures : whatever else is worth a row of results.json
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
    """Times what counts, and tells the harness when that starts: the time limit runs from there."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker
        self._at = time.perf_counter()

    def start(self, **known: str) -> None:
        """Begin what is timed; ``known`` is told even of a run that does not end in time."""
        self.marker.write_text(json.dumps(known))
        self._at = time.perf_counter()

    def lap(self) -> float:
        """Return the seconds since the start or the last lap."""
        now = time.perf_counter()
        seconds, self._at = now - self._at, now
        return seconds

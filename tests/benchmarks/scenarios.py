"""The scenarios: which rivals meet on which data, and for how long."""

from dataclasses import dataclass

from tests.benchmarks.tasks import Task


@dataclass(frozen=True)
class Scenario:
    """Rivals on the same data in one run.

    Attributes
    ----------
    repeats, time_limit : unless the command line overrides them; the limit is in seconds and
        applies to what is timed
    sgemm_sizes : square matrices to find the machine's peak with
    """

    what: str
    tasks: tuple[Task, ...]
    repeats: int
    time_limit: float
    sgemm_sizes: tuple[int, ...] = (2048, 4096, 8192)


def _rivals(
    n_points: int,
    n_clusters: int,
    *,
    n_features: int = 256,
    init: str = "k-means++",
    flat_iterations: int = 10,
    mllib: tuple[str, ...] = ("mllib-block", "mllib-row"),
    mllib_iterations: int = 10,
) -> tuple[Task, ...]:
    """Return Evenlake and its rivals; ``flat_iterations`` and ``mllib_iterations`` may be scaled.

    MLlib gets enough memory to hold its doubles twice.
    """
    size = (n_points, n_features, n_clusters)
    return (
        Task("evenlake", *size),
        Task("faiss", *size, iterations=flat_iterations),
        Task("faiss-super", *size, iterations=flat_iterations),
        Task("sklearn-minibatch", *size, init=init),
        Task("sklearn-lloyd", *size, iterations=flat_iterations, init="random"),
        Task("superkmeans", *size),
        *(Task(s, *size, iterations=mllib_iterations, driver_memory="12g") for s in mllib),
    )


SCENARIOS = {
    "small": Scenario(
        "does the harness work: every rival on 20,000 x 128, k=500",
        (
            Task("assignment", 20_000, 128, 500),
            *_rivals(20_000, 500, n_features=128, mllib_iterations=3),
        ),
        repeats=1,
        time_limit=60,
        sgemm_sizes=(1024, 2048),
    ),
    "assignment": Scenario(
        "one assignment pass over cached blocks",
        tuple(Task("assignment", n, 256, k) for n in (200_000, 1_000_000) for k in (1000, 8000)),
        repeats=3,
        time_limit=600,
    ),
    "level1-200k": Scenario(
        "level 1 of 200,000 x 256, k=10,000",
        _rivals(200_000, 10_000),
        repeats=3,
        time_limit=1200,
    ),
    "level1-1m": Scenario(
        "level 1 of 1,000,000 x 256, k=10,000",
        _rivals(1_000_000, 10_000),
        repeats=1,
        time_limit=3000,
    ),
    "level1-1m-100k": Scenario(
        "level 1 of 1,000,000 x 256, k=100,000",
        _rivals(1_000_000, 100_000, init="random", flat_iterations=1, mllib=("mllib-block",)),
        repeats=1,
        time_limit=3000,
    ),
    "growth": Scenario(
        "level 1 at k=10,000 as the pool grows from 200,000 to 2,000,000 x 256",
        tuple(Task("evenlake", n, 256, 10_000, driver_memory="3g") for n in (200_000, 2_000_000)),
        repeats=1,
        time_limit=3000,
    ),
}

"""Rivals in one process's memory: faiss, scikit-learn, superkmeans; the machine's sgemm peak."""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.tasks import ITERATIONS, Files, Fit, Stopwatch, Task

_BATCH_SIZE = 4096  # of mini-batches
_SEED = 0


def fit_faiss(task: Task, files: Files, watch: Stopwatch) -> Fit:
    """``faiss.Clustering`` on every point, through a flat index."""
    import faiss

    X = np.load(files.vectors)
    index = faiss.IndexFlatL2(task.n_features)
    clustering = faiss.Clustering(task.n_features, task.n_clusters)
    _all_points(clustering, task.iterations)
    watch.start()
    clustering.train(X, index)
    return _assigned_by_faiss(X, clustering, task, watch)


def fit_faiss_super(task: Task, files: Files, watch: Stopwatch) -> Fit:
    """``faiss.SuperKMeans``: Lloyd's answer, cutting short distances that cannot win."""
    import faiss

    X = np.load(files.vectors)
    params = faiss.SuperKMeansParameters()
    _all_points(params, task.iterations)
    clustering = faiss.SuperKMeans(task.n_features, task.n_clusters, params)
    watch.start()
    clustering.train(X)
    return _assigned_by_faiss(X, clustering, task, watch)


def _all_points(params: Any, n_iterations: int) -> None:
    """Ask for that many iterations on all points; faiss would sample 256 per centroid."""
    params.niter, params.seed = n_iterations, _SEED
    params.max_points_per_centroid, params.min_points_per_centroid = 10**9, 1


def _assigned_by_faiss(
    X: NDArray[np.float32], clustering: Any, task: Task, watch: Stopwatch
) -> Fit:
    import faiss

    iterate = watch.lap()
    C = faiss.vector_to_array(clustering.centroids).reshape(-1, task.n_features)
    index = faiss.IndexFlatL2(task.n_features)
    index.add(C)
    _, labels = index.search(X, 1)
    done = clustering.iteration_stats.size()
    return _scaled(task, iterate, done, watch.lap(), C, labels[:, 0])


def fit_lloyd(task: Task, files: Files, watch: Stopwatch) -> Fit:
    """``sklearn.cluster.KMeans``; its fit ends with one more assignment pass."""
    from sklearn.cluster import KMeans

    X = np.load(files.vectors)
    model = KMeans(
        task.n_clusters,
        init=task.init,
        n_init=1,
        max_iter=task.iterations,
        tol=0.0,
        random_state=_SEED,
        copy_x=False,
    )
    watch.start()
    model.fit(X)
    per_pass = watch.lap() / (model.n_iter_ + 1)
    C, labels = model.cluster_centers_, model.labels_
    return _scaled(task, per_pass * model.n_iter_, model.n_iter_, per_pass, C, labels)


def fit_minibatch(task: Task, files: Files, watch: Stopwatch) -> Fit:
    """``sklearn.cluster.MiniBatchKMeans``: at most ten epochs, its own stop rule."""
    from sklearn.cluster import MiniBatchKMeans

    X = np.load(files.vectors)
    model = MiniBatchKMeans(
        task.n_clusters,
        init=task.init,
        n_init=1,
        max_iter=task.iterations,
        batch_size=_BATCH_SIZE,
        random_state=_SEED,
    )
    watch.start()
    model.fit(X)  # labels every point at its end
    ran = f"{model.n_steps_ * _BATCH_SIZE / len(X):.1f} epochs"
    return Fit(watch.lap(), ran, None, {}, model.cluster_centers_, model.labels_)


def fit_superkmeans(task: Task, files: Files, watch: Stopwatch) -> Fit:
    """``superkmeans.SuperKMeans`` in two levels, on every point: its own iterations and stop rule.

    About sqrt(k) coarse clusters are each divided by their own k-means. The assignment is the fast
    one for training points: among all centroids, with distances cut short.
    """
    from superkmeans import SuperKMeans

    X = np.load(files.vectors)
    model = SuperKMeans(
        task.n_clusters,
        task.n_features,
        hierarchical=True,
        sampling_fraction=1.0,
        max_points_per_cluster=task.n_points,
        seed=_SEED,
    )
    watch.start()
    C = model.train(X)
    fit = watch.lap()
    labels = model.assign_training_points(X, C)
    assign = watch.lap()
    stats = model.hierarchical_iteration_stats
    levels = (stats.mesoclustering_iteration_stats, stats.fineclustering_iteration_stats)
    return Fit(
        fit + assign,
        " + ".join(str(max(one.iteration for one in level)) for level in levels),
        None,
        {"fit_seconds": fit, "assign_seconds": assign},
        C,
        labels.astype(np.int64),
    )


def _scaled(
    task: Task,
    iterate: float,
    n_iterations: int,
    assign: float,
    C: NDArray[np.floating],
    labels: NDArray[np.integer],
) -> Fit:
    """Scale a fit as if its start cost nothing and its iterations all cost the same.

    One that stopped by itself is not scaled: it has converged.
    """
    factor = ITERATIONS / n_iterations if n_iterations == task.iterations else 1.0
    return Fit(
        iterate + assign,
        str(n_iterations),
        iterate * factor + assign,
        {"iterate_seconds": iterate, "assign_seconds": assign},
        np.asarray(C, np.float32),
        np.asarray(labels, np.int64),
    )


def measure_sgemm(task: Task, files: Files, watch: Stopwatch) -> Fit:
    """The best of three rates of a square float32 product with ``n_points`` rows, in FLOP/s."""
    size = task.n_points
    rng = np.random.default_rng(_SEED)
    A, B = (rng.standard_normal((size, size), dtype=np.float32) for _ in range(2))
    out = A @ B
    watch.start()
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        np.matmul(A, B, out=out)
        seconds.append(time.perf_counter() - began)
    return Fit(watch.lap(), "", None, {"flops": 2 * size**3 / min(seconds)})

"""Rounds of Divide and Contrast: divide by the base, contrast in clusters, distil into a student.

The next round's base is this one's student.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.contrasting.dividing import centroids_of, merge_tiny
from jobs.contrasting.lesson import DRAW, Lesson, Points
from jobs.contrasting.measured import Partitions
from jobs.contrasting.teaching import moments_of
from jobs.contrasting.training import encoders_by
from jobs.runs.work import Work
from udfs.contrast import LABEL, Division, by_experts, labels_of
from udfs.kernels.contrast.encoders import (
    Codes,
    Encoder,
    as_floats,
    embedding_itself,
    linear_encoder,
)
from udfs.kernels.contrast.moments import Moments
from udfs.kernels.contrast.students import Study, Teachers, taught
from udfs.kernels.exact.hashing import derive_seed

_STUDENT, _KMEANS = 1, 2  # streams of the seed


def lessons(this: Work, points: Points, base: Encoder) -> Lesson:
    """Run all rounds, and return the last one's lesson.

    Raises
    ------
    InputError
        If there are fewer distinct points than clusters.
    """
    given, seed = this.config.contrast, this.config.seed
    views = points.views
    for i in range(given.rounds):
        # 1. divide
        codes = base(views.points)
        division = Division(base)
        if points.n_nodes is None:
            start = derive_seed(seed, _KMEANS, i)
            division = Division(base, centroids_of(codes, given.n_clusters, seed=start))
        # 2. contrast
        n_clusters = points.n_nodes or given.n_clusters
        this.progress.update(i, given.rounds, at="experts")
        by_code = None if division.centroids is None else division
        moments = moments_of(this, points.rows, points.n_features, n_clusters, by_code)
        centroids = division.centroids
        if centroids is None:
            centroids = _means(base, moments)
        merged = merge_tiny(moments, centroids, given.min_share)
        experts = encoders_of(this, points.rows, merged.moments, by_code, merged.labels)
        labels = merged.labels[labels_of(division)(points.sample, codes)]
        # 3. distil
        this.progress.update(i + 0.5, given.rounds, at="student")
        student = student_of(this, points, base, experts, labels, round_=i)
        merges = np.array(merged.merges, np.int64).reshape(-1, 3)
        lesson = Lesson(division, merged.labels, merges, centroids[merged.left], experts, student)
        base = student
    return lesson


def base_of(this: Work, rows: DataFrame, moments: Moments) -> Encoder:
    """Return the first base, made from the moments of all points.

    Parameters
    ----------
    rows : id, a, b, draw, label: 0 for all
    """
    if this.config.contrast.base == "embedding":
        return embedding_itself(len(moments.sums))
    return encoders_of(this, rows, [moments])[0]


def encoders_of(
    this: Work,
    rows: DataFrame,
    moments: Sequence[Moments],
    division: Division | None = None,
    merged: NDArray[np.int64] | None = None,
) -> list[Encoder]:
    """Return an encoder for each cluster: linear, or by the user's trainer.

    Parameters
    ----------
    rows, division, merged : see ``encoders_by``
    moments : moments of the clusters that are left
    """
    given = this.config.contrast
    if given.trainer is not None:
        n_points = np.array([each.n for each in moments])
        return encoders_by(this, given.trainer, rows, n_points, division, merged)
    n_components = min(given.n_components, len(moments[0].sums))
    return [linear_encoder(each, n_components, given.ridge) for each in moments]


def student_of(
    this: Work,
    points: Points,
    base: Encoder,
    experts: Sequence[Encoder],
    labels: NDArray[np.int64],
    *,
    round_: int,
) -> Encoder:
    """Train a student of the base and of the experts, if any, of the clusters (n,)."""
    given, U = this.config.contrast, points.views.points
    study = Study(
        given.student.hidden, min(given.n_components, points.n_features), given.student.epochs
    )
    teachers = Teachers(as_floats(base(U)))
    if experts:
        teachers = Teachers(teachers.base, as_floats(by_experts(U, experts, labels)), labels)
    rng = np.random.default_rng(derive_seed(this.config.seed, _STUDENT, round_))
    return taught(U, teachers, study, rng=rng)


def _means(base: Encoder, moments: Sequence[Moments]) -> Codes:
    """Return the code of each cluster's mean point : (n_clusters, n_components)."""
    means = [np.rint(each.sums / max(1, each.n)) for each in moments]
    return base(np.array(means))


def controls_of(
    this: Work, points: Points, lesson: Lesson
) -> tuple[dict[str, Encoder], Partitions]:
    """Train the students that the last round's is compared with, on the same base.

    Returns
    -------
    students : students by name, including the base and the divided one
    partitions : partitions of the sample
    """
    given, base, n = this.config.contrast, lesson.division.encoder, len(lesson.experts)
    last = given.rounds - 1
    drawn = F.pmod(DRAW, F.lit(n)).cast("int")
    rows = points.rows.withColumn(LABEL, drawn)
    moments = _filled(moments_of(this, rows, points.n_features, n))
    experts = encoders_of(this, rows, moments)
    labels = points.sample[DRAW].to_numpy() % n
    found = lesson.labels(points.sample)
    nothing = np.zeros_like(found)
    students = {
        "base": base,
        "base_only": student_of(this, points, base, [], nothing, round_=last),
        "random_partition": student_of(this, points, base, experts, labels, round_=last),
        "divided": lesson.student,
    }
    return students, Partitions(nothing, labels, found)


def _filled(moments: list[Moments]) -> list[Moments]:
    """Return the moments; those of fewer than two points become those of the largest cluster."""
    return [each if each.n > 1 else max(moments, key=lambda m: m.n) for each in moments]

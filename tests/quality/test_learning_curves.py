"""Learnability reaches what uniform draws end with in fewer updates; hard examples do not."""

import warnings

import numpy as np
import pytest
from pyspark.sql import SparkSession

from tests.quality.learning_curves import curves, gflop

pytestmark = pytest.mark.whole


def test_learnability_needs_fewer_updates_than_uniform_and_more_compute_is_counted(
    spark: SparkSession,
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of convergence
        found = curves(spark, range(3))
    updates = {c: float(np.median([one.updates for one in mine])) for c, mine in found.items()}
    final = {c: float(np.mean([one.final for one in mine])) for c, mine in found.items()}
    assert updates["learnability"] <= 0.7 * updates["uniform"]
    assert updates["learnability"] < updates["easy_reference"]
    assert final["learnability"] > final["uniform"] > final["hard"]
    # scoring is paid for: the saving in compute is smaller than that in updates
    saved = 1 - gflop("learnability", updates["learnability"]) / gflop(
        "uniform", updates["uniform"]
    )
    assert 0 < saved < 1 - updates["learnability"] / updates["uniform"]

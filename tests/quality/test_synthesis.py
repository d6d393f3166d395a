"""What the pool lacks is planned, rendered, routed, and fills up a balanced sample."""

from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from tests.quality.granularity import accuracies
from tests.quality.synthesis import closed_loop

pytestmark = pytest.mark.whole


@pytest.mark.timeout(1800)
def test_missing_concepts_get_their_share_of_a_sample_and_can_be_told(
    spark: SparkSession, tmp_path: Path
) -> None:
    found = closed_loop(spark, tmp_path, seed=1)
    assert found.share_before == 0
    assert 0.8 <= found.share_after <= 1.2
    assert found.landed > 0.6 > 5 * found.chance
    assert found.accuracy_after > found.accuracy_before + 0.15
    assert found.entropy_after > found.entropy_before


def test_captions_are_the_classes_to_train_on_where_style_is_nuisance() -> None:
    found = [accuracies(seed) for seed in range(3)]
    means = {level: np.mean([each[level] for each in found]) for level in found[0]}
    assert means["caption"] > 0.95
    assert max(means["instance"], means["concept"]) < 0.7

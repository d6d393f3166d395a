"""A pretrained model on machines that share no disk with the driver."""

from pathlib import Path

import numpy as np
import pytest

from tests.cluster.sessions import cluster_environment, figures_of
from tests.cluster.shipped_model import TEXTS
from tests.udfs import tiny_models


@pytest.mark.cluster
@pytest.mark.timeout(600)
def test_executors_get_a_model_whose_folder_they_do_not_see(tmp_path: Path) -> None:
    found = figures_of(
        "tests.cluster.shipped_model", tmp_path, timeout=550, env=cluster_environment()
    )
    assert found.keys() == TEXTS.keys()
    want = tiny_models.vectors_of([TEXTS[id_] for id_ in found])
    np.testing.assert_allclose(np.array([*found.values()]), want, atol=1e-5)

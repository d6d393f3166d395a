"""The example of contrastive training in PyTorch runs on exported batches, and learns."""

import runpy
from pathlib import Path

import pytest

from tests.training.exported import N_FEATURES, write_export

torch = pytest.importorskip("torch", reason="make test-models installs it")

EXAMPLE = Path(__file__).parents[2] / "conf" / "examples" / "contrastive_torch.py"

pytestmark = pytest.mark.models


def test_the_example_trains_on_an_export(tmp_path: Path) -> None:
    folder = write_export(tmp_path / "export", [8] * 30 + [5])
    example = runpy.run_path(str(EXAMPLE))
    losses = example["train"](str(folder), "vector", n_epochs=4, n_features=N_FEATURES)
    assert len(losses) == 4
    assert losses[-1] < losses[0]


def test_its_loss_by_hand() -> None:
    """Two points at right angles: log(1 + e^-10) each."""
    found = runpy.run_path(str(EXAMPLE))["info_nce"](torch.eye(2), torch.eye(2))
    assert float(found) == pytest.approx(4.54e-5, rel=1e-2)

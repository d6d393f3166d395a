"""The student that DIVIDE_AND_CONTRAST.md teaches in PyTorch learns more than the base knows."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.labels.points import knn_accuracy
from tests.quality.divide_contrast import N_COMPONENTS, Divided, concepts

torch = pytest.importorskip("torch", reason="make test-models installs it")

PAGE = Path(__file__).parents[2] / "DIVIDE_AND_CONTRAST.md"
pytestmark = pytest.mark.models


def test_the_example_of_the_page_teaches_a_student() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # the page's own
    world = concepts(0)
    divided = Divided(world, 0)
    base, expert = divided.targets()
    inputs = torch.tensor(world.points / world.points.std(), dtype=torch.float32)
    student = torch.nn.Sequential(
        torch.nn.Linear(inputs.shape[1], 64), torch.nn.ReLU(), torch.nn.Linear(64, N_COMPONENTS)
    )
    scale = N_COMPONENTS**0.5  # so that each number is about 1
    targets = (torch.tensor(x * scale, dtype=torch.float32) for x in (base, expert))
    cluster = torch.tensor(divided.labels, dtype=torch.int64)
    taught = names["distil"](student, inputs, *targets, cluster, N_COMPONENTS)
    codes = taught(inputs).detach().numpy()
    codes /= np.linalg.norm(codes, axis=1, keepdims=True)
    known = knn_accuracy(base.astype(np.float32), world.y)
    assert knn_accuracy(codes, world.y) > known + 0.03

"""A language model as a captioner: its first line, the same for the same seeds, its version."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="make test-models installs it")
pytest.importorskip("transformers", reason="make test-models installs it")

from jobs.config.errors import ConfigError  # noqa: E402  after the check for torch
from jobs.sections.synthesis import SynthesisConfig  # noqa: E402  after the check for torch
from jobs.synthesis.captioner import chosen  # noqa: E402  after the check for torch
from tests.models.small import save_gpt2  # noqa: E402  after the check for torch
from udfs.captioners.contract import Prompt  # noqa: E402  after the check for torch

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_gpt2(tmp_path_factory.mktemp("gpt2"))


def prompts(*texts: str, seed: int = 5) -> list[Prompt]:
    return [Prompt(i, 0, "owl", "concept", None, (), t, seed + i) for i, t in enumerate(texts)]


def given(folder: Path, **options: Any) -> SynthesisConfig:
    return SynthesisConfig(captioner=f"transformers:{folder}", captioner_options=options)


def test_a_model_goes_on_with_each_prompt(folder: Path) -> None:
    write = chosen(given(folder, max_length=30)).load()
    asked = prompts("tiger => A tiger\nowl =>", "owl =>")
    found = write(asked)
    assert len(found) == 2
    assert all(isinstance(text, str) and "\n" not in text for text in found)
    assert write(asked) == found
    assert write(prompts(*(p.text for p in asked), seed=6)) != found
    assert not any(text.startswith("owl") for text in found if isinstance(text, str))


def test_without_temperature_prompts_of_any_length_are_answered_as_alone(folder: Path) -> None:
    """Padding is on the left, so that a shorter prompt in a batch ends where it should."""
    write = chosen(given(folder, max_length=8, temperature=0.0)).load()
    texts = ("owl =>", "a far longer line => than the other\nowl =>")
    together = write(prompts(*texts))
    assert together == [write(prompts(text))[0] for text in texts]


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(ConfigError, match=r"synthesis.captioner='transformers:.* cannot be loaded"):
        chosen(given(tmp_path)).load()

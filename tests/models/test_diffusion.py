"""A pipeline of diffusers as a generator: seeded images, and a version by its content."""

from pathlib import Path

import pytest

pytest.importorskip("diffusers")

from jobs.config.errors import ConfigError
from jobs.imaging.generators import chosen, generator_identity
from tests.imaging.small import config_of
from tests.models.small_pipeline import save_pipeline
from udfs.embedders.images import make_open
from udfs.generators.contract import GeneratorError, Picture, Prompt, Settings, generated

pytestmark = pytest.mark.models

PROMPTS = [Prompt("a red ring", "red ring", seed) for seed in (1, 2, 1)]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pipeline(tmp_path_factory.mktemp("pipelines") / "tiny")


def test_an_image_follows_from_its_seed(pipeline: Path, tmp_path: Path) -> None:
    spec = chosen(config_of(tmp_path, tmp_path, generator=f"diffusers:{pipeline}"))
    found = generated(spec.make(Settings(size=16, steps=2)), PROMPTS)
    first, second, again = (p.content for p in found if isinstance(p, Picture))
    assert first == again != second
    assert make_open("RGB")(first).size == (16, 16)


def test_another_content_has_another_key(pipeline: Path, tmp_path: Path) -> None:
    config = config_of(tmp_path, tmp_path, generator=f"diffusers:{pipeline}")
    before = generator_identity(config)
    (pipeline / "added.txt").write_text("more")
    assert generator_identity(config) != before
    (pipeline / "added.txt").unlink()
    assert generator_identity(config) == before


def test_a_folder_that_is_no_pipeline_is_told(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.bin").write_bytes(b"x")
    spec = chosen(config_of(tmp_path, tmp_path, generator=f"diffusers:{tmp_path}/model"))
    with pytest.raises(GeneratorError, match=r"cannot be loaded: .*; want a pipeline"):
        spec.make(Settings())
    empty = config_of(tmp_path, tmp_path, generator=f"diffusers:{tmp_path / 'model' / '..' / 'no'}")
    with pytest.raises(ConfigError, match="no folder"):
        chosen(empty)

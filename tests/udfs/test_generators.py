"""Generators: what a caption's words ask for, pictures that follow from a seed, what may fail."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.training.index import as_uri, located
from udfs.embedders.contract import Failure
from udfs.embedders.images import make_open
from udfs.embedders.python import Code
from udfs.generate import Rendering, make_render
from udfs.generators import procedural, python
from udfs.generators.built_in import require_generator
from udfs.generators.contract import (
    Generator,
    GeneratorError,
    Picture,
    Prompt,
    Settings,
    encoded,
    generated,
)
from udfs.generators.scenes import COLOURS, SHAPES, scene_of
from udfs.picture_files import PictureFolder

# --- words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "concept", "scene"),
    [
        ("a red circle", "red circle", ("circle", "red", None, None, "")),
        ("Red Circles in the forest", "Red Circles", ("circle", "red", "forest", None, "")),
        (
            "a blue square in front of a red wall",
            "blue square",
            ("square", "blue", None, "in front of", "a red wall"),
        ),
        ("two green boxes in snow", "green boxes", (None, "green", "snow", None, "")),
    ],
)
def test_what_a_caption_asks_for(text: str, concept: str, scene: tuple[Any, ...]) -> None:
    found = scene_of(text, concept)
    assert all(want is None or got == want for got, want in zip(found, scene, strict=True))
    assert (found.ground, found.relation) == scene[2:4]


def test_a_concept_without_shape_or_colour_always_gets_the_same() -> None:
    here, there = scene_of("a corgi", "corgi"), scene_of("a red corgi on a bed", "corgi")
    assert here[:2] == there[:2]
    looks = {scene_of(f"a c{i}", f"c{i}")[:2] for i in range(300)}
    assert len(looks) > 0.9 * len(SHAPES) * len(COLOURS)


@given(text=st.text(max_size=60), concept=st.text(max_size=20))
def test_any_text_can_be_drawn(text: str, concept: str) -> None:
    pixels = procedural.draw(scene_of(text, concept), 1, 8)
    assert (pixels.shape, pixels.dtype) == ((8, 8, 3), np.uint8)


# --- pictures -------------------------------------------------------------------------------------


def test_a_picture_follows_from_its_prompt_and_every_seed_gives_another() -> None:
    draw = procedural.make(Settings(size=32))
    prompts = [Prompt("a red ring", "red ring", seed) for seed in range(50)]
    pictures = [p.content for p in draw(prompts) if isinstance(p, Picture)]
    assert len({*pictures}) == 50
    assert [draw([p])[0] for p in prompts[:3]] == list(draw(prompts))[:3]
    assert make_open("RGB")(pictures[0]).size == (32, 32)


def test_the_middle_of_a_circle_has_its_colour() -> None:
    pixels = procedural.draw(scene_of("a blue circle", "blue circle"), 5)
    middle = pixels[28:36, 28:36].mean(axis=(0, 1)) / 255
    assert np.abs(middle - COLOURS["blue"]).max() < 0.1


# --- failing --------------------------------------------------------------------------------------


def test_where_all_fail_together_each_is_tried_alone() -> None:
    def generate(prompts: Sequence[Prompt]) -> list[Picture]:
        if any(prompt.seed == 2 for prompt in prompts):
            raise ValueError("no")
        return [Picture(b"x", 1, 1) for _ in prompts]

    found = generated(generate, [Prompt("", "", seed) for seed in range(4)])
    assert [isinstance(one, Failure) for one in found] == [False, False, True, False]


def test_too_few_pictures_are_a_failure_of_each() -> None:
    (found,) = generated(lambda prompts: [], [Prompt("", "", 0)])
    assert found == Failure("failed", "ValueError: 0 pictures for 1 prompts; want one of each")


def rendered(
    generate: Generator, wanted: list[int], known: list[str], n_tries: int = 4
) -> list[dict[str, Any]]:
    rows = [{"caption_id": 1, "text": "t", "concept": "c", "wanted": wanted, "known": known}]
    batches = iter(pa.Table.from_pylist(rows).to_batches())
    render = make_render(Rendering(lambda: generate, seed=0, n_tries=n_tries))
    return [row for batch in render(batches) for row in batch.to_pylist()]


@pytest.mark.parametrize("store", ["", "file:", "file://"])
@pytest.mark.parametrize("name", ["a b", "a%20b", "a#b"])
def test_pictures_are_in_the_folder_that_is_written(store: str, name: str, tmp_path: Path) -> None:
    folder = PictureFolder(as_uri(f"{store}{tmp_path}/{name}"))
    uri = folder.write("p", encoded(np.zeros((2, 2, 3), np.uint8)).content)
    assert [path.name for path in (tmp_path / name).iterdir()] == [uri.rpartition("/")[2]]
    assert located(f"{store}{tmp_path}/{name}")[1] == f"{tmp_path}/{name}"
    assert not isinstance(make_open("RGB")(uri), Failure)


def test_a_doubled_image_is_made_anew_by_another_seed_and_told_if_none_differs() -> None:
    def few(n: int) -> Generator:
        made = iter(range(10**6))
        return lambda prompts: [
            encoded(np.full((2, 2, 3), next(made) % n, np.uint8)) for _ in prompts
        ]

    rows = rendered(few(3), [0, 1, 2], [])
    assert [row["error"] for row in rows] == [None] * 3
    rows = rendered(few(2), [0, 1, 2], [])
    assert [row["error"] is None for row in rows] == [True, True, False]
    assert rows[2]["error"] == "doubled: the caption has the same image already"
    assert (rows[2]["n_tries"], rows[2]["image"]) == (4, None)


def test_an_image_that_its_caption_has_is_not_made_once_more() -> None:
    def once(prompts: Sequence[Prompt]) -> list[Picture]:
        return [encoded(np.zeros((2, 2, 3), np.uint8)) for _ in prompts]

    (first,) = rendered(once, [0], [])
    (second,) = rendered(once, [1], [first["sha256"]])
    assert second["error"].startswith("doubled")


# --- the user's own, and names --------------------------------------------------------------------


def test_a_users_generator_may_give_bytes_arrays_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_own_generator.py").write_text(
        "import numpy as np\nfrom udfs.generators.contract import encoded\n"
        "RED = np.full((4, 6, 3), 200, np.uint8)\n"
        "def make():\n"
        "    made = [RED, encoded(RED).content, None, RED[0], b'no image']\n"
        "    return lambda prompts: made[: len(prompts)]\n"
        "def broken():\n    raise OSError('no GPU')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = python.make(Code("my_own_generator", "make"), Settings())([Prompt("", "", 0)] * 5)
    assert [(p.width, p.height) for p in found[:2] if isinstance(p, Picture)] == [(6, 4)] * 2
    assert found[2] == Failure("failed", "the generator gave None")
    assert found[3] == Failure("failed", "an array (6, 3) of uint8; want uint8 colours")
    assert isinstance(found[4], Failure) and found[4].reason == "undecodable"
    with pytest.raises(GeneratorError, match="no GPU"):
        python.make(Code("my_own_generator", "broken"), Settings())
    sys.modules.pop("my_own_generator")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("procedual", "generator='procedual': no such generator; did you mean procedural?"),
        (
            "diffuser:sd",
            "generator='diffuser:sd': no such generator; did you mean diffusers:NAME_OR_FOLDER?",
        ),
        (
            "python:x",
            "generator='python:x': no such generator; did you mean python:module:factory?",
        ),
        (
            "dall-e",
            "generator='dall-e': want procedural, diffusers:NAME_OR_FOLDER or "
            "python:module:factory",
        ),
    ],
)
def test_an_unknown_generator_is_refused_with_the_nearest_name(name: str, told: str) -> None:
    with pytest.raises(ValueError) as found:
        require_generator(name)
    assert str(found.value) == told


@pytest.mark.parametrize("name", ["procedural", "diffusers:/models/sd", "python:a.b:c"])
def test_known_generators_pass(name: str) -> None:
    assert require_generator(name) == name

"""A tiny pool of pictures with a plan of captions, and a generator that can be told to fail."""

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.config.loading import parse_config
from jobs.config.model import RunConfig
from udfs.generators.contract import Generator, Prompt, Settings
from udfs.generators.procedural import draw, make
from udfs.generators.scenes import scene_of

CONCEPTS = ("red circle", "blue square", "green cross", "yellow ring")
MISSING = "yellow ring"  # the pool has none
N_EACH, N_CAPTIONS, PER_CAPTION = 12, 8, 3
FAILS, DOUBLES = "FAILS", "DOUBLES"  # variables that name what a flaky generator fails on


def write_inputs(folder: Path) -> Path:
    """Write the pool, and the table of concepts."""
    drawer = make(Settings())
    rows = []
    for i, name in enumerate(name for name in CONCEPTS if name != MISSING for _ in range(N_EACH)):
        (picture,) = drawer([Prompt(f"a {name}", name, 1000 + i)])
        rows.append({"id": f"p{i}", "image": picture.content, "label": name})
    pq.write_table(pa.Table.from_pylist(rows), folder / "pool.parquet")
    pq.write_table(pa.table({"concept": [*CONCEPTS]}), folder / "concepts.parquet")
    return folder


def config_of(folder: Path, root: Path, *overrides: str, **synthesis: Any) -> RunConfig:
    return parse_config(plain_of(folder, root, **synthesis), overrides)


def plain_of(folder: Path, root: Path, **synthesis: Any) -> dict[str, Any]:
    given = {
        "concepts": {"table": f"{folder}/concepts.parquet"},
        "occupancy": 0.0,  # as many captions of each
        "n_captions": N_CAPTIONS,
        "images_per_caption": PER_CAPTION,
    }
    return {
        "input": {"table": f"{folder}/pool.parquet", "content": "image", "metadata": ["label"]},
        "output": {"root": str(root)},
        "embed": {"model": "pixels", "n_components": 8, "image_size": 16},
        "cluster": {"levels": [6, 3], "resampling": {"rounds": 1}},
        "samples": [{"name": "s", "target_size": 24, "share": {"leaves": 0.0}}],
        "report": {"label": "label"},
        "synthesis": given | synthesis,
    }


def flaky() -> Generator:
    """Make a generator that fails on captions with a word, and gives one image for another's."""

    def generate(prompts: list[Prompt]) -> list[Any]:
        if any(os.environ.get(FAILS, "-") in prompt.text for prompt in prompts):
            raise RuntimeError("out of paint")
        return [
            draw(
                scene_of(p.text, p.concept),
                7 if os.environ.get(DOUBLES, "-") in p.text and p.seed % 2 else p.seed,
            )
            for p in prompts
        ]

    return generate

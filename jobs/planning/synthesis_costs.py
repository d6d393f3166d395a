"""What synthetic data will cost: calls and images, at seconds each, before any is made."""

from collections.abc import Iterator

from jobs.planning.costs import Sizes
from jobs.planning.machine import DRAW_PER_POINT, EMBED_PER_BYTE
from jobs.planning.problem import Part
from udfs.captioners.built_in import CAPTIONERS
from udfs.generators.built_in import image_seconds

_PROMPT_SECONDS = 2e-5  # drawn, joined, and written
_ASKED = 1.2  # prompts for each caption that is accepted, those of the first round included
_MODEL_SECONDS = 1.0  # per prompt, if nothing else is known
_SECONDS_PER_MINUTE = 60.0


def plan_prompts(sizes: Sizes) -> Iterator[Part]:
    """Estimate a plan: the points' labels or nodes counted, and the prompts."""
    n = float(sizes.problem.config.synthesis.n_captions or 0)
    yield sizes.spark(
        "plan_synthesis", "plan", 0, DRAW_PER_POINT, tables=3, seconds=n * _PROMPT_SECONDS
    )


def write_captions(sizes: Sizes) -> Iterator[Part]:
    """Estimate captions: calls of the captioner, some of them for those that are turned away."""
    given = sizes.problem.config.synthesis
    n_asked = _ASKED * (given.n_captions or 0)
    spec = CAPTIONERS.get(given.captioner.partition(":")[0])
    known = _MODEL_SECONDS if spec is None else spec.prompt_seconds
    at_once = given.calls.at_once if spec is not None and spec.is_remote else 1
    seconds = n_asked * (given.calls.seconds or known) / at_once
    if given.calls.per_minute is not None:
        seconds = max(seconds, n_asked * _SECONDS_PER_MINUTE / given.calls.per_minute)
    yield sizes.spark("write_captions", f"{n_asked:.0f} prompts", 0, tables=3, seconds=seconds)


def render(sizes: Sizes) -> Iterator[Part]:
    """Estimate images of captions: their number, times the generator's seconds for each."""
    given = sizes.problem.config.synthesis
    n_images = (given.n_captions or 0) * given.images_per_caption
    seconds = n_images * image_seconds(given.generator) / sizes.machine.n_slots
    name = f"{n_images:,} images"
    yield sizes.spark("render_images", name, 0, tables=3, seconds=seconds)


def check_images(sizes: Sizes) -> Iterator[Part]:
    """Estimate where images land; to embed and route one takes what a row of the pool takes."""
    given, problem = sizes.problem.config.synthesis, sizes.problem
    share = (given.n_captions or 0) * given.images_per_caption / max(1, sizes.n)
    per_row = share * problem.row_seconds
    yield sizes.spark("check_synthesis", "embed, route", share * EMBED_PER_BYTE, per_row, tables=3)

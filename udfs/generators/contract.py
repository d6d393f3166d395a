"""What a generator is: a function from prompts to pictures, or to a reason why there is none."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from udfs.embedders.contract import Failure, described


class GeneratorError(ValueError):
    """A generator cannot be loaded: got, want, fix."""


class Prompt(NamedTuple):
    """What is to be shown.

    Attributes
    ----------
    concept : what the caption is about, as it stands in the text
    seed : below 2^31; another gives another image
    """

    text: str
    concept: str
    seed: int


class Picture(NamedTuple):
    """An encoded image, and its size in pixels."""

    content: bytes
    width: int
    height: int


Generator: TypeAlias = Callable[[Sequence[Prompt]], Sequence[Picture | Failure]]


@dataclass(frozen=True)
class Settings:
    """The settings given to every generator.

    Attributes
    ----------
    size : the longer side in pixels; None: the generator's default
    guidance : how closely an image keeps to its text, in the unit of diffusion models
    steps : diffusion steps
    """

    size: int | None = None
    guidance: float = 2.5
    steps: int = 50


def encoded(pixels: NDArray[np.uint8]) -> Picture:
    """Return pixels as a PNG : (height, width, 3) uint8."""
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    height, width, _ = pixels.shape
    return Picture(buffer.getvalue(), width, height)


def generated(generate: Generator, prompts: Sequence[Prompt]) -> list[Picture | Failure]:
    """Return a picture or a failure for each prompt; where all fail together, try each alone."""
    try:
        found: Any = [*generate(prompts)]
        if len(found) != len(prompts):
            raise ValueError(f"{len(found)} pictures for {len(prompts)} prompts; want one of each")
    except MemoryError:
        raise  # the worker's fault, not the prompt's
    except Exception as error:
        if len(prompts) > 1:
            return [generated(generate, [prompt])[0] for prompt in prompts]
        found = [Failure("failed", described(error))]
    return list(found)

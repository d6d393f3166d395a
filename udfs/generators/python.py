"""Make images with the user's own code: ``python:package.module:factory``.

The factory is called without arguments, once per task, and returns a function:

    a list of n prompts, each with text, concept and seed -> a list of n images: encoded bytes, an
    array (height, width, 3) uint8, or None for a prompt that it cannot draw

An exception counts for each prompt that raises it when it is asked for alone.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from udfs.embedders.contract import EmbedderError, Failure
from udfs.embedders.images import make_open
from udfs.embedders.python import Code
from udfs.generators.contract import (
    Generator,
    GeneratorError,
    Picture,
    Prompt,
    Settings,
    encoded,
)

IMAGE_SECONDS = 1.0  # unknown; a plan says so


def make(code: Code, settings: Settings) -> Generator:
    """Call the factory and return the generator.

    Raises
    ------
    GeneratorError
    """
    try:
        draw = code.call()
    except EmbedderError as error:
        raise GeneratorError(str(error)) from error
    open_image = make_open("RGB")

    def picture(got: Any) -> Picture | Failure:
        if got is None:
            return Failure("failed", "the generator gave None")
        if isinstance(got, np.ndarray):
            if got.ndim != 3 or got.shape[2] != 3 or got.dtype != np.uint8:
                return Failure("failed", f"an array {got.shape} of {got.dtype}; want uint8 colours")
            return encoded(got)
        image = open_image(got)
        if isinstance(image, Failure):
            return image
        return Picture(bytes(got), *image.size)

    def generate(prompts: Sequence[Prompt]) -> list[Picture | Failure]:
        return [picture(got) for got in draw(list(prompts))]

    return generate

"""Make images with a pretrained pipeline of the library diffusers, such as Stable Diffusion.

No code that comes with a pipeline is run. Images differ between kinds of hardware, as the library
says; their hashes are kept for that reason.
"""

import inspect
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from udfs.generators.contract import (
    Generator,
    GeneratorError,
    Picture,
    Prompt,
    Settings,
    encoded,
)

N_AT_ONCE = 8  # images of one pass
IMAGE_SECONDS = 60.0  # 512 x 512 pixels, 50 steps, a CPU's core; a GPU takes 1 to 3
EXTRA = "pip install 'evenlake[diffusion]'"


def make(name: str, path: Callable[[], str], settings: Settings) -> Generator:
    """Load a pipeline and return the generator.

    Parameters
    ----------
    name : as the config has it, for messages
    path : returns the folder, or the name on the hub, on this machine

    Raises
    ------
    GeneratorError
        If the library is missing, or the pipeline cannot be loaded.
    """
    try:
        import diffusers
        import torch
    except ModuleNotFoundError as error:
        raise GeneratorError(
            f"{error.name} is not installed where images are made; {EXTRA} there"
        ) from error
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # tasks share the cores already
    try:
        pipeline = diffusers.DiffusionPipeline.from_pretrained(path())
    except Exception as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise GeneratorError(f"{name} cannot be loaded: {first}; want a pipeline") from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pipeline.to(device)
    pipeline.set_progress_bar_config(disable=True)
    given = _accepted(pipeline, settings)

    def generate(prompts: Sequence[Prompt]) -> list[Picture]:
        seeded = [torch.Generator("cpu").manual_seed(prompt.seed) for prompt in prompts]
        texts = [prompt.text for prompt in prompts]
        images = pipeline(prompt=texts, generator=seeded, **given).images
        return [encoded(np.asarray(image.convert("RGB"))) for image in images]

    return generate


def _accepted(pipeline: Any, settings: Settings) -> dict[str, Any]:
    """Return the settings that the pipeline's call takes, by its names for them."""
    wanted: dict[str, Any] = {
        "guidance_scale": settings.guidance,
        "num_inference_steps": settings.steps,
    }
    if settings.size is not None:
        wanted |= {"height": settings.size, "width": settings.size}
    takes = inspect.signature(pipeline.__call__).parameters
    return {name: value for name, value in wanted.items() if name in takes}

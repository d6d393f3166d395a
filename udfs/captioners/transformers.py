"""Captions by a language model of the library transformers: ``transformers:NAME_OR_PATH``.

The model continues the prompt, and the first line of what it writes is the caption. No code that
comes with a model is run.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from udfs.captioners.contract import (
    Answer,
    Calls,
    Captioner,
    CaptionerError,
    Prompt,
    first_line,
    said,
)
from udfs.captioners.specs import CaptionerSpec

EXTRA = "models"  # the extra that installs the library


@dataclass(frozen=True)
class Options:
    """Keys of ``synthesis.captioner_options``.

    Attributes
    ----------
    max_length : tokens of a caption
    temperature, top_p : how tokens are sampled; temperature 0: always the likeliest
    device : such as ``cpu`` or ``cuda:1``; None: a GPU where there is one
    revision : for a model on the hub: a branch, a tag or a commit
    """

    max_length: int = 64
    temperature: float = 0.8
    top_p: float = 0.9
    device: str | None = None
    revision: str | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.max_length < 1:
            raise ValueError(f"captioner_options.max_length={self.max_length}: want at least 1")
        if self.temperature < 0:
            raise ValueError(f"captioner_options.temperature={self.temperature}: want at least 0")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"captioner_options.top_p={self.top_p}: want more than 0, at most 1")


def make(name: str, options: Options, calls: Calls) -> Captioner:
    """Load the model and return the captioner.

    Raises
    ------
    CaptionerError
        If a package is missing, or the model cannot be loaded.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    torch, models, tokenizers = _libraries()
    try:
        tokenizer = tokenizers.from_pretrained(name, revision=options.revision)
        network = models.from_pretrained(name, revision=options.revision)
    except Exception as error:  # whatever the library raises
        raise CaptionerError(f"{name} cannot be loaded: {said(error)}") from error
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    network = network.to(device).eval()
    tokenizer.padding_side = "left"  # so that all prompts end where the captions begin
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    drawn = {"do_sample": True, "temperature": options.temperature, "top_p": options.top_p}
    how = drawn if options.temperature > 0 else {"do_sample": False}

    def write(prompts: Sequence[Prompt]) -> list[Answer]:
        torch.manual_seed(prompts[0].seed)
        given = tokenizer([p.text for p in prompts], return_tensors="pt", padding=True).to(device)
        with torch.inference_mode():
            written = network.generate(
                input_ids=given["input_ids"],
                attention_mask=given["attention_mask"],
                max_new_tokens=options.max_length,
                pad_token_id=tokenizer.pad_token_id,
                **how,
            )
        new = written[:, given["input_ids"].shape[1] :]
        return [first_line(text) for text in tokenizer.batch_decode(new, skip_special_tokens=True)]

    return write


def _libraries() -> tuple[Any, Any, Any]:
    """Return torch, and the classes of transformers that load models and tokenizers."""
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ModuleNotFoundError as error:
        raise CaptionerError(
            f"the package {error.name} is not installed; pip install 'evenlake[{EXTRA}]'"
        ) from error
    return torch, AutoModelForCausalLM, AutoTokenizer


SPEC = CaptionerSpec(
    name="transformers", make=make, options=Options, n_at_once=16, prompt_seconds=2.0
)

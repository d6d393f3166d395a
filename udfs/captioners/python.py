"""Captions by the user's own code: ``python:package.module:factory``.

The factory is called with the options, once, on the driver, and returns a function:

    a list of n prompts (str) -> a list of n captions (str), None for a prompt without one

An exception counts for the prompts that raise it when called one by one.
"""

from collections.abc import Callable, Sequence
from typing import Any

from udfs.captioners.contract import (
    FAILED,
    NO_ANSWER,
    Answer,
    Captioner,
    CaptionerError,
    Failure,
    Prompt,
    said,
)

N_AT_ONCE = 16

UserCaptioner = Callable[[list[str]], Any]


def captioner_of(write: UserCaptioner) -> Captioner:
    """Return a captioner that calls the user's.

    Raises
    ------
    CaptionerError
        When called, if the user's code does not return a list of captions.
    """

    def answers(prompts: Sequence[Prompt]) -> list[Answer]:
        try:
            got = write([prompt.text for prompt in prompts])
        except MemoryError:
            raise  # the machine's fault
        except Exception as error:
            if len(prompts) == 1:
                return [Failure(FAILED, said(error))]
            half = len(prompts) // 2
            return answers(prompts[:half]) + answers(prompts[half:])
        return _checked(got, len(prompts))

    return answers


def _checked(got: Any, n_prompts: int) -> list[Answer]:
    want = f"want a list of {n_prompts} texts, None for a prompt without a caption"
    if isinstance(got, str) or not hasattr(got, "__len__"):
        raise CaptionerError(f"it gave {type(got).__name__} for {n_prompts} prompts; {want}")
    if len(got) != n_prompts:
        raise CaptionerError(f"it gave {len(got)} captions for {n_prompts} prompts; {want}")
    for text in got:
        if text is not None and not isinstance(text, str):
            raise CaptionerError(f"it gave {type(text).__name__} as a caption; {want}")
    return [Failure(NO_ANSWER, "the captioner gave None") if text is None else text for text in got]

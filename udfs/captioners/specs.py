"""What a captioner declares: all that the driver relies on, since it knows none by name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from udfs.captioners.contract import Calls, Captioner


@dataclass(frozen=True)
class NoOptions:
    """The options of a captioner that has none."""


@dataclass(frozen=True, kw_only=True)
class CaptionerSpec:
    """One captioner.

    Attributes
    ----------
    name : its name in ``synthesis.captioner``, or what stands there before the colon
    make : (what stands after the colon, options, how it is called) -> the captioner; runs once, on
        the driver. Raises CaptionerError
    options : a frozen dataclass, the keys of ``synthesis.captioner_options``; ``__post_init__``
        raises ValueError for what types cannot express
    takes_name : whether something stands after a colon
    is_remote : whether it waits for a server, so that several calls are made at the same time
    is_costly : whether its answers are worth storing as they come
    n_at_once : prompts of one call
    prompt_seconds : what a prompt takes, for the planner; a guess where it is a model
    """

    name: str
    make: Callable[[str, Any, Calls], Captioner]
    options: type[Any] = NoOptions
    takes_name: bool = True
    is_remote: bool = False
    is_costly: bool = True
    n_at_once: int = 1
    prompt_seconds: float = 1.0

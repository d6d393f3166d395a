"""What a generator declares: all that the driver relies on, since it knows none by name."""

from collections.abc import Callable
from dataclasses import dataclass

from udfs.generators.contract import Generator, Settings


@dataclass(frozen=True, kw_only=True)
class GeneratorSpec:
    """One generator.

    Attributes
    ----------
    name : its name in ``synthesis.generator``, or the part of it before the colon
    make : settings -> the generator; runs on the workers, once per task
    image_seconds : what an image takes on one core, nearly; for plans
    version : version of its code or model, in the stage key; None: the stage's version covers it
    n_at_once : prompts given to it at once
    archive : on the driver, the code that the workers lack
    pack : on the driver: packs the files that workers on other machines lack, and returns the path
        of the archive; they find it unpacked under its name without the suffix
    """

    name: str
    make: Callable[[Settings], Generator]
    image_seconds: float
    version: str | None = None
    n_at_once: int = 64
    archive: str | None = None
    pack: Callable[[], str] | None = None

"""The generators that come with Evenlake; a new one is a line here. Workers never import this."""

import difflib
import re

from udfs.generators import diffusion, procedural, python
from udfs.generators.specs import GeneratorSpec

BUILT_IN: dict[str, GeneratorSpec] = {spec.name: spec for spec in (procedural.SPEC,)}
DIFFUSERS, CODE = "diffusers:", "python:"  # prefixes of pipelines and of user code
_CODE = re.compile(rf"{CODE}[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def require_generator(name: str) -> str:
    """Return the name of a generator, if it can be one.

    Raises
    ------
    ValueError
    """
    is_pipeline = name.startswith(DIFFUSERS) and name != DIFFUSERS
    if name in BUILT_IN or is_pipeline or _CODE.fullmatch(name):
        return name
    kinds = [*BUILT_IN, f"{DIFFUSERS}NAME_OR_FOLDER", f"{CODE}module:factory"]
    begins = {kind.partition(":")[0]: kind for kind in kinds}
    near = difflib.get_close_matches(name.partition(":")[0], begins, n=1)
    if near:
        raise ValueError(f"generator={name!r}: no such generator; did you mean {begins[near[0]]}?")
    raise ValueError(f"generator={name!r}: want {', '.join(kinds[:-1])} or {kinds[-1]}")


def image_seconds(name: str) -> float:
    """Return what an image takes on one core, nearly, by the generator's name."""
    if name in BUILT_IN:
        return BUILT_IN[name].image_seconds
    return diffusion.IMAGE_SECONDS if name.startswith(DIFFUSERS) else python.IMAGE_SECONDS

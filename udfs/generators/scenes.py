"""What a caption's words ask to be drawn: a shape and a colour, a background, a second object.

A concept that names no shape or colour gets one by its hash, always the same.
"""

import hashlib
import re
from typing import NamedTuple

Colour = tuple[float, float, float]  # components from 0 to 1

COLOURS: dict[str, Colour] = {
    "red": (0.85, 0.10, 0.10),
    "orange": (0.98, 0.55, 0.05),
    "yellow": (0.98, 0.92, 0.10),
    "green": (0.05, 0.65, 0.15),
    "cyan": (0.05, 0.85, 0.90),
    "blue": (0.10, 0.15, 0.85),
    "purple": (0.55, 0.10, 0.70),
    "pink": (1.00, 0.55, 0.75),
    "brown": (0.45, 0.25, 0.05),
    "white": (1.00, 1.00, 1.00),
    "black": (0.02, 0.02, 0.02),
}
SHAPES = ("circle", "square", "triangle", "ring", "cross", "diamond", "bar", "hexagon")
GROUNDS: dict[str, tuple[Colour, Colour]] = {  # above and below
    "sky": ((0.50, 0.60, 0.70), (0.62, 0.66, 0.70)),
    "sea": ((0.46, 0.56, 0.64), (0.40, 0.52, 0.58)),
    "forest": ((0.44, 0.54, 0.44), (0.42, 0.48, 0.40)),
    "meadow": ((0.54, 0.62, 0.66), (0.48, 0.60, 0.46)),
    "desert": ((0.62, 0.62, 0.60), (0.66, 0.60, 0.48)),
    "snow": ((0.64, 0.66, 0.70), (0.72, 0.72, 0.74)),
    "night": ((0.34, 0.34, 0.42), (0.38, 0.36, 0.40)),
    "street": ((0.56, 0.56, 0.58), (0.46, 0.46, 0.46)),
    "kitchen": ((0.66, 0.62, 0.56), (0.56, 0.50, 0.46)),
    "mountain": ((0.56, 0.60, 0.66), (0.52, 0.50, 0.48)),
}
# where the second object is, from the first, and whether it hides it; x to the right, y down
RELATIONS: dict[str, tuple[float, float, bool]] = {
    "in front of": (0.45, 0.35, False),
    "next to": (0.70, 0.10, False),
    "besides": (-0.70, 0.10, False),
    "behind": (0.35, 0.35, True),
    "above": (0.0, 0.75, False),
    "below": (0.0, -0.75, False),
    "under": (0.0, -0.70, False),
    "over": (0.0, 0.70, False),
    "on": (0.0, 0.70, False),
    "in": (0.0, 0.45, True),
}
_RELATION = re.compile(rf"\b({'|'.join(RELATIONS)})\b((?:\W+\w+){{1,3}})")


class Scene(NamedTuple):
    """What to draw.

    Attributes
    ----------
    ground : a key of GROUNDS; None: any
    relation : a key of RELATIONS; None: there is no second object
    other : the words that name the second object
    """

    shape: str
    colour: str
    ground: str | None
    relation: str | None
    other: str


def scene_of(text: str, concept: str) -> Scene:
    """Return what a caption asks for."""
    named = (concept or text).lower()
    around = text.lower().replace(concept.lower(), " ") if concept else ""
    words = re.findall(r"\w+", around)
    ground: str | None = next((word for word in words if word in GROUNDS), None)
    relation: str | None = None
    other = ""
    for found in _RELATION.finditer(around):
        if not set(re.findall(r"\w+", found[2])) & {*GROUNDS}:
            relation, other = found[1], found[2].strip()
            break
    return Scene(
        _named(named, SHAPES, "shape"),
        _named(named, (*COLOURS,), "colour"),
        ground,
        relation,
        other,
    )


def _named(text: str, among: tuple[str, ...], what: str) -> str:
    """Return the first word that is among others, in the singular or plural, or one by hash."""
    for word in map(str, re.findall(r"\w+", text)):
        for one in (word, word.removesuffix("s"), word.removesuffix("es")):
            if one in among:
                return one
    return among[hash_of(f"{what} {text}") % len(among)]


def hash_of(text: str) -> int:
    """Hash a text: the same on any machine."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "little")

"""Captions to imitate: for each template some, and the words that may stand beside a concept.

Source: SynCLR, arXiv 2312.17742, section 3.1: three templates, ten relations, and demonstrations
for in-context completion. Captions have three parts, separated by ", ": an opening that names the
concept, and two details that fit anything, so that parts of several make a new one.
"""

from typing import NamedTuple

from udfs.captioners.contract import ARROW

TEMPLATES = ("concept", "background", "relation")
RELATIONS = (
    "in", "on", "next to", "behind", "in front of", "over", "under", "above", "below", "besides",
)  # fmt: skip
BACKGROUNDS = (
    "beach", "forest", "meadow", "desert", "snow", "lake", "mountain", "garden", "street",
    "market square", "harbour", "kitchen", "workshop", "museum", "library", "railway station",
)  # fmt: skip


class Demonstration(NamedTuple):
    """A caption of a concept, and of a background or relation beside it."""

    concept: str
    extra: str | None
    caption: str

    @property
    def line(self) -> str:
        """The line of a prompt."""
        return f"{asked(self.concept, self.extra)}{ARROW}{self.caption}"


def asked(concept: str, extra: str | None) -> str:
    """Return what stands before the arrow of a prompt's line."""
    return concept if extra is None else f"{concept}, {extra}"


def _of(*rows: tuple[str, str | None, str]) -> tuple[Demonstration, ...]:
    return tuple(Demonstration(*row) for row in rows)


DEMONSTRATIONS: dict[str, tuple[Demonstration, ...]] = {
    "concept": _of(
        ("tiger", None, "A tiger seen from the side, half in shadow, under a pale evening sky"),
        ("teapot", None, "Close-up of a teapot, sharp to the edges, with soft window light"),
        ("bicycle", None, "An old bicycle at rest, worn by many years, in the glow of a lamp"),
        ("owl", None, "Portrait of an owl, every detail crisp, before a dark plain ground"),
        ("violin", None, "A violin photographed from above, placed off centre, in warm tones"),
        ("lighthouse", None, "View of a lighthouse from below, framed by clouds, after the rain"),
        ("mushroom", None, "A fresh mushroom, sprinkled with dew, early in the morning"),
        ("suitcase", None, "A small suitcase on its own, slightly dusty, in harsh noon sun"),
        ("pear", None, "A lonely pear in the middle, turned to the left, against the light"),
        ("tram", None, "A single tram at a distance, blurred by motion, as night falls"),
        ("candle", None, "A lone candle, reflected in glass, with deep shadows around"),
        ("goat", None, "A young goat facing the camera, a little out of focus, on a grey day"),
        ("anchor", None, "A heavy anchor shown in full, rough to the touch, in cold blue light"),
        ("clock", None, "Black and white picture of a clock, high in contrast, with film grain"),
    ),
    "background": _of(
        ("tiger", "jungle", "A tiger in the jungle, far from the path, under heavy clouds"),
        ("boat", "river", "A boat seen across the river, small in the frame, at first light"),
        ("piano", "ballroom", "An old piano in the ballroom, lit from one side, late at night"),
        ("camel", "dunes", "A camel by the dunes, casting a long shadow, in blazing sun"),
        ("kite", "field", "A large kite above the field, bright against the rest, on a windy day"),
        ("chair", "terrace", "A wooden chair on the terrace, left behind, in autumn colours"),
        ("fox", "winter wood", "A fox in the winter wood, looking up, through drifting mist"),
        ("truck", "quarry", "A truck at the quarry, covered in dust, with mild afternoon light"),
        ("swan", "pond", "A swan near the pond, doubled by reflection, in the last sunshine"),
        ("statue", "courtyard", "A statue in the courtyard, worn by weather, after a storm"),
        ("loaf", "bakery", "A whole loaf at the bakery, close to the lens, in golden light"),
        ("train", "valley", "A train passing the valley, caught mid-way, under a clear sky"),
    ),
    "relation": _of(
        ("parrot", "on", "A parrot on a wooden perch, bright in colour, in a quiet room"),
        ("book", "under", "A book under a green lamp, slightly open, late in the evening"),
        ("dog", "next to", "A dog next to a garden gate, standing still, on a cold morning"),
        ("ball", "behind", "A ball behind a stone wall, hardly visible, in low sun"),
        ("cup", "in front of", "A cup in front of a blue tile, quite plain, with soft shadows"),
        ("drone", "over", "A drone over a corn field, tilted a little, on a hazy day"),
        ("lantern", "above", "A lantern above a narrow door, gently swaying, at dusk"),
        ("key", "below", "A key below an iron hook, scratched and old, in dim light"),
        ("ring", "in", "A ring in a velvet box, perfectly centred, under a spotlight"),
        ("stool", "besides", "A stool besides a tall shelf, painted white, in bright daylight"),
        ("cat", "on", "A cat on a pile of blankets, seen from behind, on a rainy afternoon"),
        ("vase", "next to", "A vase next to an open window, in sharp focus, in spring"),
    ),
}  # fmt: skip

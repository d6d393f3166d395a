"""Config of synthetic images: how many, and what makes them."""

from jobs.sections.kinds import Positive, Section


class ImagesConfig(Section):
    """Images of captions."""

    images_per_caption: Positive = 4
    generator: str = "procedural"

"""Config of synthetic data: for which concepts, how many captions, and what writes them."""

from typing import Literal

from jobs.sections.images import ImagesConfig
from jobs.sections.kinds import Positive


class SynthesisConfig(ImagesConfig):
    """Synthetic data for concepts that the lake has little of; off while there are no concepts."""

    concepts: str | None = None
    n_captions: Positive | None = None
    captioner: str = "grammar"
    on_shortfall: Literal["warn", "fail"] = "warn"

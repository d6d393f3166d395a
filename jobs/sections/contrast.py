"""Config of contrastive learning on a tree: an encoder with its experts, and batches."""

from typing import Annotated

from pydantic import Field

from jobs.sections.kinds import Positive, Section
from jobs.sections.negatives import NegativesConfig


class ContrastConfig(Section):
    """Divide and Contrast, and batches of hard negatives; off while there is no source."""

    source: str | None = None
    level: Positive | None = None
    n_clusters: Annotated[int, Field(ge=2)] = 5
    rounds: Positive = 1
    batches: NegativesConfig = NegativesConfig()

"""Config of contrastive learning on a tree: an encoder with its experts, and batches."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from jobs.sections.kinds import Positive, Section, TableConfig
from jobs.sections.negatives import NegativesConfig
from udfs.kernels.contrast.encoders import MOST_HIDDEN

MOST_CLUSTERS = 64  # each has its own moments: two squares of the features


class ViewsConfig(TableConfig):
    """Two views of each row, which differ in nothing that matters; given, or made.

    Attributes
    ----------
    a, b : columns of their embeddings, by one model
    noise : the run's embeddings with noise of this length, drawn twice
    model : the user's own code, ``python:package.module:factory``, called twice on the run's
        embeddings
    """

    id: str | None = None
    a: str | None = None
    b: str | None = None
    noise: Annotated[float | None, Field(gt=0, le=10)] = None
    model: Annotated[str | None, Field(pattern=r"^python:[\w.]+:[\w.]+$")] = None
    model_options: dict[str, Any] = {}

    @property
    def is_made(self) -> bool:
        """Whether they are made of the run's embeddings."""
        return self.a is None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.a is None) != (self.b is None):
            raise ValueError(f"a={self.a!r}, b={self.b!r}; want both columns, one of each view")
        given = [name for name in ("a", "noise", "model") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"{' beside '.join(given) or 'a, noise and model are all missing'}; want one of: "
                "columns a and b, noise, model"
            )
        if self.is_made and self.table is not None:
            raise ValueError(
                f"table={self.table!r} beside {given[0]}, which takes the run's embeddings; want "
                "columns a and b of the table, or no table"
            )
        return self


class StudentConfig(Section):
    """The student that learns from all teachers, on a hash sample."""

    rows: Annotated[int, Field(ge=100, le=200_000)] = 20_000
    hidden: Annotated[int, Field(ge=1, le=MOST_HIDDEN)] = 64
    epochs: Positive = 40


class ContrastConfig(Section):
    """Divide and Contrast, and batches of hard negatives; off while there is no source."""

    source: str | None = None
    views: ViewsConfig | None = None
    level: Positive | None = None
    n_clusters: Annotated[int, Field(ge=2, le=MOST_CLUSTERS)] = 5
    min_share: Annotated[float, Field(ge=0, lt=1)] = 0.02
    n_components: Annotated[int, Field(ge=1, le=1024)] = 32
    ridge: Annotated[float, Field(gt=0)] = 1e-3
    rounds: Positive = 1
    student: StudentConfig = StudentConfig()
    batches: NegativesConfig = NegativesConfig()

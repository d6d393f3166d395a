"""Config of contrastive learning on a tree: an encoder with its experts, and batches."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from jobs.sections.kinds import Positive, Section, TableConfig
from jobs.sections.negatives import NegativesConfig
from udfs.kernels.contrast.encoders import MOST_HIDDEN

_FORMS = ("a", "noise", "content", "model")
MOST_CLUSTERS = 64  # each has moments of its own: two (n_features, n_features) matrices


class ViewsConfig(TableConfig):
    """Two views of each row, which differ in nothing that matters; given, or made.

    Attributes
    ----------
    a, b : columns of their embeddings, by one model
    noise : the run's embeddings with noise of this length, drawn twice
    content : the pool's contents, changed twice and embedded as the run's: ``image``, cropped,
        mirrored and with noise; ``text``, with words left out
    model : the user's own code, ``python:package.module:factory``, called twice on the run's
        embeddings
    """

    id: str | None = None
    a: str | None = None
    b: str | None = None
    noise: Annotated[float | None, Field(gt=0, le=10)] = None
    content: Literal["image", "text"] | None = None
    model: Annotated[str | None, Field(pattern=r"^python:[\w.]+:[\w.]+$")] = None
    model_options: dict[str, Any] = {}

    @property
    def is_made(self) -> bool:
        """Whether they are made of the run's embeddings or contents."""
        return self.a is None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.a is None) != (self.b is None):
            raise ValueError(f"a={self.a!r}, b={self.b!r}; want both columns, one of each view")
        given = [name for name in _FORMS if getattr(self, name) is not None]
        if len(given) != 1:
            found = " beside ".join(given) or "a, noise, content and model are all missing"
            raise ValueError(f"{found}; want one of: columns a and b, noise, content, model")
        if self.is_made and self.table is not None:
            raise ValueError(
                f"table={self.table!r} beside {given[0]}, which is made of the run's own; want "
                "columns a and b of the table, or no table"
            )
        return self


class TrainerConfig(Section):
    """The user's own code that makes an encoder of each cluster, and the base."""

    model: Annotated[str, Field(pattern=r"^python:[\w.]+:[\w.]+$")]
    model_options: dict[str, Any] = {}
    rows: Annotated[int, Field(ge=2)] = 100_000  # rows of a cluster, which one task holds


class StudentConfig(Section):
    """The student that learns from all teachers, on a hash sample."""

    rows: Annotated[int, Field(ge=100, le=200_000)] = 20_000
    hidden: Annotated[int, Field(ge=1, le=MOST_HIDDEN)] = 64
    epochs: Positive = 40


class ContrastConfig(Section):
    """Divide and Contrast, and batches of hard negatives; off while no source is named."""

    source: str | None = None
    views: ViewsConfig | None = None
    base: Literal["linear", "embedding"] = "linear"
    level: Positive | None = None
    n_clusters: Annotated[int, Field(ge=2, le=MOST_CLUSTERS)] = 5
    min_share: Annotated[float, Field(ge=0, lt=1)] = 0.02
    n_components: Annotated[int, Field(ge=1, le=1024)] = 32
    trainer: TrainerConfig | None = None
    ridge: Annotated[float, Field(gt=0)] = 1e-3
    rounds: Positive = 1
    student: StudentConfig = StudentConfig()
    batches: NegativesConfig = NegativesConfig()

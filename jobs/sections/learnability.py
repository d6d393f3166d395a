"""Config of learnability scores: where losses are, and how rows are drawn by them."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from jobs.sections.kinds import HOW, Fraction, Place, Positive, Section, TableConfig

Criterion = Literal["learnability", "hard", "easy_reference", "uniform"]
Pair = Annotated[list[str], Field(min_length=2, max_length=2)]
SIDES = ("online", "reference", "second_reference")
FORMS = ("loss", "pair", "views", "embedding", "model")


class LossesConfig(TableConfig):
    """One model's losses, a row each: given, or computed in one of four other ways.

    Attributes
    ----------
    loss : the loss itself, a column or an expression
    pair : two columns of embeddings, of an image and its text: how far they are from each other
    views : two columns of embeddings, of two views of one row: telling the row from others
    embedding : a column of embeddings: the distance to the mean of the row's leaf
    model : the user's own code, ``python:package.module:factory``, called on the columns in reads
    """

    id: str | None = None
    loss: str | None = None
    pair: Pair | None = None
    views: Pair | None = None
    embedding: str | None = None
    model: Annotated[str | None, Field(pattern=r"^python:[\w.]+:[\w.]+$")] = None
    model_options: dict[str, Any] = {}
    reads: list[str] = []
    scale: Annotated[float, Field(gt=0)] = 1.0

    @property
    def form(self) -> str:
        """Which of the five it is."""
        given = [name for name in FORMS if getattr(self, name) is not None]
        return given[0] if given else "loss"

    @property
    def columns(self) -> list[str]:
        """The columns or expressions that it reads, except the id."""
        if self.form == "model":
            return self.reads
        value = getattr(self, self.form) or "loss"
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        given = [name for name in FORMS if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{given[1]} beside {given[0]}; want one of {', '.join(FORMS)}")
        if self.table is None and not given:
            raise ValueError(
                "table and loss are both missing; want a table of losses, such as {table: "
                "/lake/losses, id: id, loss: loss}, or the pool's column: {loss: my_loss}"
            )
        if (self.model is not None) != bool(self.reads):
            raise ValueError(
                f"model={self.model!r} with reads={self.reads}; want both: the code, and the "
                "columns that it is given"
            )
        return self


class LabelledConfig(TableConfig):
    """A small labelled table; its rows are embedded as the pool's are."""

    table: Place
    content: str | None = None  # the column that the embedder reads; the pool's by default
    label: str | None = None  # also the pool's by default


class ClassifierConfig(Section):
    """Two classifiers on the run's embeddings, in place of a user's models."""

    label: str
    clean: LabelledConfig
    seen: LabelledConfig | None = None
    alpha: Annotated[float, Field(gt=0)] = 1e-3
    epochs: Positive = 20


class GflopConfig(Section):
    """What a row costs, in GFLOP: to score it by the online model, to train the learner on it."""

    score: Annotated[float | None, Field(ge=0)] = None
    train: Annotated[float | None, Field(gt=0)] = None


class TrainerConfig(Section):
    """A command between rounds: it reads a selection, trains, and leaves the next losses."""

    command: Annotated[list[str], Field(min_length=1)]
    folder: Place

    @model_validator(mode="after")
    def _is_here(self) -> Self:
        if re.match(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]+:/", self.folder):
            raise ValueError(
                f"folder={self.folder!r} is in a store; want a folder of this machine, such as "
                "/lake/training: the command reads and writes files"
            )
        return self


class LearnabilityConfig(Section):
    """What to train on next; off while no source is named."""

    source: str | None = None
    online: LossesConfig | None = None
    reference: LossesConfig | None = None
    second_reference: LossesConfig | None = None
    classifier: ClassifierConfig | None = None
    criterion: Criterion = "learnability"
    temperature: Annotated[float, Field(gt=0)] = 1.0
    max_loss: Annotated[float | None, Field(gt=0)] = None
    round: Annotated[int, Field(ge=0)] = 0
    rounds: Annotated[Positive, HOW] = 1
    trainer: Annotated[TrainerConfig | None, HOW] = None
    super_batch: Fraction = 1.0
    keep: Fraction = 0.5
    within_nodes: Annotated[int | None, Field(ge=1)] = None
    gflop: GflopConfig = GflopConfig()

    @property
    def n_rounds(self) -> int:
        """How many rounds are drawn."""
        return max(1, self.rounds - self.round)

    @property
    def sides(self) -> dict[str, LossesConfig]:
        """The losses, by the model that they belong to."""
        return {name: side for name in SIDES if (side := getattr(self, name)) is not None}

    @model_validator(mode="after")
    def _has_losses(self) -> Self:
        if self.classifier is not None and self.sides:
            raise ValueError(
                f"{next(iter(self.sides))} beside classifier; want one of them: losses of your "
                "models, or classifiers in their place"
            )
        if self.source is None or self.classifier is not None:
            return self
        missing = [name for name in ("online", "reference") if name not in self.sides]
        if missing:
            raise ValueError(
                f"{missing[0]} is missing; want the {missing[0]} model's losses, such as {{table: "
                "/lake/losses, id: id, loss: loss}, or classifier in their place"
            )
        return self

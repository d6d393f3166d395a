"""Config of jointly selected batches: where both models' embeddings are, and the sizes."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from jobs.sections.kinds import POOL, Place, Positive, Section, TableConfig

_CHEAPER = "approximation."
_MOST = 65_536  # pairs of a super-batch: 512 numbers of each of four embeddings take 2 GB
Temperature = Annotated[float, Field(gt=0, le=300)]  # exp(-2 x 300) is still a normal float64


class TowersConfig(TableConfig):
    """A table of one model's embeddings of images and texts, a pair a row."""

    table: Place
    id: str = "id"
    image: str = "image"
    text: str = "text"
    temperature: Temperature | None = None
    bias: Annotated[float | None, Field(ge=-1000, le=1000)] = None


class ApproximationConfig(Section):
    """Cheaper models that score in place of the learner and the reference (Flexi-JEST)."""

    learner: TowersConfig
    reference: TowersConfig


class BatchesConfig(Section):
    """Batches that teach much as a whole; off while no learner is named."""

    source: str = POOL
    learner: TowersConfig | None = None
    reference: TowersConfig | None = None
    approximation: ApproximationConfig | None = None
    loss: Literal["sigmoid", "softmax"] = "sigmoid"
    size: Positive | None = None
    super_batch: Positive | None = None
    filter_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.8
    chunks: Positive = 16
    prefilter: Annotated[float, Field(ge=0, lt=1)] = 0.3
    batches_per_round: Positive | None = None
    round: Annotated[int, Field(ge=0, lt=2**31)] = 0

    @property
    def drawn_size(self) -> int:
        """Pairs in a batch; one of size and super_batch must be given."""
        if self.size is not None:
            return self.size
        return round((self.super_batch or 0) * (1 - self.filter_ratio))

    @property
    def super_size(self) -> int:
        """Pairs that a batch is drawn from."""
        if self.super_batch is not None:
            return self.super_batch
        return round((self.size or 0) / (1 - self.filter_ratio))

    @property
    def n_admitted(self) -> int:
        """Pairs of a super-batch that the reference does not turn away."""
        return self.super_size - int(self.prefilter * self.super_size)

    @property
    def scoring(self) -> dict[str, TowersConfig]:
        """The models that score, by the config key below ``batches`` that names them."""
        cheaper = self.approximation
        if cheaper is None:
            return self.full
        return {f"{_CHEAPER}learner": cheaper.learner, f"{_CHEAPER}reference": cheaper.reference}

    @property
    def full(self) -> dict[str, TowersConfig]:
        """The learner and the reference, whether they score or not."""
        named = {"learner": self.learner, "reference": self.reference}
        return {name: towers for name, towers in named.items() if towers is not None}

    @model_validator(mode="after")
    def _can_be_drawn(self) -> Self:
        if self.learner is None:
            return self
        if self.reference is None:
            raise ValueError(
                "reference is missing; want the table of the reference model's embeddings, such "
                "as {table: /lake/reference, id: id, image: image, text: text}"
            )
        for key, towers in (self.full | self.scoring).items():
            if self.loss == "sigmoid" and (towers.temperature is None) != (towers.bias is None):
                raise ValueError(
                    f"{key}.temperature={towers.temperature}, {key}.bias={towers.bias}: want both "
                    "for loss: sigmoid, or neither and both are fitted"
                )
        if self.size is None and self.super_batch is None:
            raise ValueError("size is missing; want the pairs of a batch, such as size: 1632")
        self._require_sizes()
        return self

    def _require_sizes(self) -> None:
        size, n = self.drawn_size, self.chunks
        if size % n or size == 0:
            fit = [k for k in (size // n * n, (size // n + 1) * n) if k > 0]
            told = f"size={size}" if self.size else f"super_batch={self.super_batch} gives {size}"
            raise ValueError(
                f"{told}, no multiple of chunks={n}; want {' or '.join(map(str, fit))}, or other "
                "chunks"
            )
        if self.super_size > _MOST:
            raise ValueError(
                f"super_batch={self.super_size} is held in one task's memory; want at most {_MOST}"
            )
        if self.super_size < size:
            raise ValueError(
                f"super_batch={self.super_size} is below size={size}; want at least {size}"
            )
        if self.n_admitted < size:
            share = 1 - size / self.super_size
            raise ValueError(
                f"prefilter={self.prefilter:g} leaves {self.n_admitted} of {self.super_size} "
                f"pairs for a batch of {size}; want at most {share:.3g}, or a larger super_batch"
            )

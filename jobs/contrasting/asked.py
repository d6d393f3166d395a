"""What a config asks of Divide and Contrast: what is impossible, and what enters its key."""

from collections.abc import Mapping

from jobs.config.errors import ConfigError
from jobs.config.identity import label_rule
from jobs.config.model import RunConfig
from jobs.embedding.chosen import chosen
from jobs.embedding.code import source_of
from jobs.sections.contrast import MOST_CLUSTERS


def require_possible(config: RunConfig) -> None:
    """Refuse what is impossible, before any work.

    Raises
    ------
    ConfigError
    """
    given = config.contrast
    if given.views is None:
        raise ConfigError(
            "contrast.views is missing; want two embeddings of each row, such as {table: "
            "/lake/views, id: id, a: first, b: second}, or {noise: 0.5} of the run's own"
        )
    if given.views.content is not None and chosen(config).spec.reads != "content":
        raise ConfigError(
            f"contrast.views.content={given.views.content!r}, but embed.model="
            f"{config.embed.model!r} reads no content; want columns a and b, noise or model"
        )


def require_few(level: int | None, n_nodes: int | None) -> None:
    """Refuse a level of the tree that has too many nodes, or only one.

    Raises
    ------
    ConfigError
    """
    if n_nodes is not None and not 2 <= n_nodes <= MOST_CLUSTERS:
        raise ConfigError(
            f"contrast.level={level} has {n_nodes} nodes; want a level of 2 to {MOST_CLUSTERS}, or "
            "null, for k-means to contrast.n_clusters"
        )


def identity(config: RunConfig) -> Mapping[str, str]:
    """Return the version of the user's trainer, if there is one, and how labels count."""
    trainer, found = config.contrast.trainer, {**label_rule(config)}
    if trainer is not None:
        found["trainer"] = source_of(trainer.model, "contrast.trainer.model").version
    return found

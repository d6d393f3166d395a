"""The embedder that a config names."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from jobs.config.embed_options import options_of, pretrained_kind
from jobs.config.errors import ConfigError
from jobs.config.model import RunConfig
from jobs.embedding import code, pretrained
from jobs.pool.computing import say_own_message
from jobs.spark.shipping import ship_archive, ship_code
from udfs.embedders.built_in import BUILT_IN
from udfs.embedders.specs import EmbedderSpec, NoOptions

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Chosen:
    """An embedder, its options, and the column that it reads.

    Attributes
    ----------
    key, column : the config key, such as ``input.content``, and its value
    """

    spec: EmbedderSpec
    options: Any
    key: str
    column: str
    file: str | None = None

    def makes(self, rows: DataFrame) -> str:
        """Return the value of ``embeddings.column`` for the vectors of these rows."""
        given = rows.schema["value"].dataType.typeName()
        return self.spec.makes or ("image" if given == "binary" else "text")


def chosen(config: RunConfig) -> Chosen:
    """Return the embedder of a config; the user's own code is imported, a model only found.

    Raises
    ------
    ConfigError
        If the user's code or model cannot be found, does not have ``embed.version``, or reads a
        column that the config does not name.
    """
    embed, kind = config.embed, pretrained_kind(config.embed.model)
    file: str | None = None
    options: Any = NoOptions()
    if embed.is_code:
        spec, file = code.load(embed.model, embed.options)
    elif kind is not None:
        options = options_of(kind, {}, embed.options)
        spec, file = pretrained.load(embed.model, options)
    else:
        spec = BUILT_IN[embed.model]
        options = options_of(spec, embed.shared, embed.options)
    if embed.is_versioned and embed.version not in (None, spec.version):
        raise ConfigError(
            f"embed.version={embed.version!r}, but {file} is {spec.version!r} now; put the "
            f"{'code' if embed.is_code else 'model'} back, or let embed.version name the new one "
            "(null: whichever is there), and run again"
        )
    column = getattr(config.input, spec.reads)
    if column is None:  # only for user code: for other embedders, the config checks it
        raise ConfigError(config.missing(spec.reads))
    return Chosen(spec, options, f"input.{spec.reads}", column, file)


def pinned(config: RunConfig) -> RunConfig:
    """Return the config with the present version of the user's code or model.

    Raises
    ------
    ConfigError
        See ``chosen``.
    """
    if not config.embed.is_versioned:
        return config
    found = chosen(config)
    log.info("embedder=%s file=%s version=%s", config.embed.model, found.file, found.spec.version)
    embed = config.embed.model_copy(update={"version": found.spec.version})
    return config.model_copy(update={"embed": embed})


def ship_embedder(spark: SparkSession, spec: EmbedderSpec) -> None:
    """Put an embedder's code and files on the workers."""
    if spec.archive is not None:
        ship_code(spark, spec.archive)
    if spec.pack is not None:
        ship_archive(spark, spec.pack())


def code_identity(config: RunConfig) -> Mapping[str, str]:
    """Return what identifies an embedder's code or model, in addition to its stage's version."""
    embed = config.embed
    if embed.is_versioned:
        version = embed.version or chosen(config).spec.version
    else:
        version = BUILT_IN[embed.model].version
    return {} if version is None else {"embedder": version}


def say_why_model_failed(config: RunConfig, error: BaseException) -> None:
    """Raise the workers' message if an error comes from the user's code or model.

    Raises
    ------
    ConfigError
    """
    if config.embed.is_versioned:
        say_own_message(error, f"embed.model={config.embed.model!r}")

"""The captioner that a config names: found, identified, and called."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession

from jobs.config.errors import ConfigError
from jobs.config.model import RunConfig
from jobs.embedding.code import source_of
from jobs.embedding.pretrained import model_version
from jobs.sections.plug_ins import own_options
from jobs.sections.synthesis import SynthesisConfig
from udfs.captioners import python
from udfs.captioners.built_in import CAPTIONERS
from udfs.captioners.contract import Calls, Captioner, CaptionerError
from udfs.embedders.contract import EmbedderError

_KEY = "synthesis.captioner"


@dataclass(frozen=True)
class Chosen:
    """A captioner, not loaded yet; see ``CaptionerSpec``.

    Attributes
    ----------
    n_at_once, at_once : prompts of one call, and calls at the same time
    """

    load: Callable[[], Captioner]
    is_costly: bool
    n_at_once: int
    at_once: int


def chosen(given: SynthesisConfig) -> Chosen:
    """Return the captioner of a config; nothing is imported or loaded.

    Raises
    ------
    ConfigError
        When it is loaded: if it cannot be.
    """
    if given.captioner_is_code:
        return Chosen(lambda: _code(given), True, python.N_AT_ONCE, 1)
    kind, _, name = given.captioner.partition(":")
    spec, calls = CAPTIONERS[kind], given.calls
    how = Calls(calls.per_minute, calls.retries, calls.timeout)
    own = own_options(
        spec.options, given.captioner_options, "synthesis", ("captioner", kind), "captioner_options"
    )

    def load() -> Captioner:
        try:
            return spec.make(os.path.expanduser(name), spec.options(**own), how)
        except CaptionerError as error:
            raise ConfigError(f"{_KEY}={given.captioner!r}: {error}") from error

    return Chosen(load, spec.is_costly, spec.n_at_once, calls.at_once if spec.is_remote else 1)


def _code(given: SynthesisConfig) -> Captioner:
    """Return a captioner that calls the user's code."""
    source = source_of(given.captioner, _KEY)
    try:
        return python.captioner_of(source.code(given.captioner_options).call())
    except EmbedderError as error:
        raise ConfigError(f"{_KEY}={given.captioner!r}: {error}") from error


def captioner_pinned(spark: SparkSession, config: RunConfig) -> RunConfig:
    """Return the config with the present version of the user's captioner or model.

    Raises
    ------
    ConfigError
        If it cannot be found, or the config names another version.
    """
    given = config.synthesis
    found = _version(given)
    if given.captioner_version not in (None, found):
        raise ConfigError(
            f"synthesis.captioner_version={given.captioner_version!r}, but {given.captioner} is "
            f"{found!r} now; null takes whichever is there"
        )
    pinned = given.model_copy(update={"captioner_version": found})
    return config.model_copy(update={"synthesis": pinned})


def _version(given: SynthesisConfig) -> str | None:
    """Return what identifies the user's code or a model's files; None if the name does."""
    if given.captioner_is_code:
        return source_of(given.captioner, _KEY).version
    kind, _, name = given.captioner.partition(":")
    if kind != "transformers":
        return None
    options: dict[str, Any] = given.captioner_options
    try:
        return model_version(os.path.expanduser(name), options.get("revision"))
    except EmbedderError as error:
        raise ConfigError(f"{_KEY}={given.captioner!r}: {error}") from error

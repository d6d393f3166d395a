"""The generator that a config names, with the version that enters the stage's key."""

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

from jobs.config.errors import ConfigError
from jobs.config.model import RunConfig
from jobs.embedding.code import source_of
from jobs.embedding.pretrained import PREFIX, digest_of, files_of_folder, packed
from udfs.embedders.contract import EmbedderError, described
from udfs.embedders.python import archive_name
from udfs.generators import diffusion, python
from udfs.generators.built_in import BUILT_IN, DIFFUSERS
from udfs.generators.contract import Settings
from udfs.generators.specs import GeneratorSpec
from udfs.shipping import unpacked

_KEY = "synthesis.generator"


def chosen(config: RunConfig) -> GeneratorSpec:
    """Return the generator of a config; the user's own code is only found, as is a pipeline.

    Raises
    ------
    ConfigError
        If the code or the pipeline cannot be found.
    """
    name = config.synthesis.generator
    if name in BUILT_IN:
        return BUILT_IN[name]
    if name.startswith(DIFFUSERS):
        return _pipeline(name)
    source = source_of(name, _KEY)
    code = replace(source.code({}), archive=archive_name(source.archive))  # as the workers find it
    return GeneratorSpec(
        name="python",
        make=partial(python.make, code),
        image_seconds=python.IMAGE_SECONDS,
        version=source.version,
        archive=source.archive,
    )


def settings_of(config: RunConfig) -> Settings:
    """Return what the config tells a generator."""
    given = config.synthesis
    return Settings(given.image_size, given.guidance, given.steps)


def generator_identity(config: RunConfig) -> Mapping[str, str]:
    """Return what identifies a generator's code or pipeline, in addition to its stage's version."""
    version = chosen(config).version
    return {} if version is None else {"generator": version}


def _pipeline(name: str) -> GeneratorSpec:
    """Find a pipeline: a folder, by its content, or the commit that the hub has now."""
    given = os.path.expanduser(name.removeprefix(DIFFUSERS))
    try:
        folder = given if os.path.isdir(given) else _from_hub(given)
        files = files_of_folder(Path(folder))
    except EmbedderError as error:
        raise ConfigError(f"{_KEY}={name!r}: {error}") from error
    digest = digest_of(files)
    shipped = PREFIX + digest[:16]
    return GeneratorSpec(
        name="diffusers",
        make=partial(diffusion.make, name, partial(_path, shipped, os.path.abspath(folder))),
        image_seconds=diffusion.IMAGE_SECONDS,
        version=f"sha256:{digest}",
        n_at_once=diffusion.N_AT_ONCE,
        pack=partial(packed, shipped, lambda: files),
    )


def _path(shipped: str, folder: str) -> str:
    """Return where the pipeline is on this machine."""
    return unpacked(shipped) or folder


@lru_cache(maxsize=8)  # a run asks several times
def _from_hub(name: str) -> str:
    """Download a pipeline from the hub, and return its folder.

    Parameters
    ----------
    name : name of the pipeline, or NAME@REVISION
    """
    try:
        from huggingface_hub import snapshot_download

        model, _, revision = name.partition("@")
        return str(snapshot_download(model, revision=revision or None))
    except ModuleNotFoundError as error:
        raise EmbedderError(f"{error.name} is not installed; {diffusion.EXTRA}") from error
    except Exception as error:  # unknown name, no network, or no access
        raise EmbedderError(
            f"{name} is no folder, and on the Hugging Face hub or in its local cache there is no "
            f"such pipeline: {described(error)}; check the name, the network and HF_HUB_OFFLINE"
        ) from error

"""The code that ``embed.model: python:package.module:factory`` names: found, identified, packed.

Anything installed (the interpreter's own libraries, its site-packages, Evenlake itself, archives on
the path) is assumed to be on the workers too. Any other module is packed up, along with its whole
top-level package, and imported from there by both the driver and the workers.
"""

import hashlib
import json
import os
import site
import sys
import sysconfig
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from jobs.config.errors import ConfigError
from jobs.spark.shipping import kept_folder
from udfs.embedders.contract import EmbedderError
from udfs.embedders.python import Code, UserEmbedder, spec_of
from udfs.embedders.specs import EmbedderSpec

MAX_BYTES = 64 << 20  # largest package to pack
_ARCHIVE = "evenlake-code-"  # the prefix of the archives' names
_OURS = ("jobs", "udfs", "evenlake")


@dataclass(frozen=True)
class Source:
    """A module's source.

    Attributes
    ----------
    file : its path
    version : derived from its content
    archive : the archive it is packed in; None if it is installed
    module, factory : what the config names
    """

    file: str
    version: str
    archive: str | None
    module: str = ""
    factory: str = ""

    def code(self, options: Mapping[str, Any]) -> Code:
        """Return the code as the driver and the workers find it."""
        return Code(self.module, self.factory, json.dumps(options, sort_keys=True), self.archive)


def load(model: str, options: Mapping[str, Any]) -> tuple[EmbedderSpec, str]:
    """Find the code that a config names, import it, and read its spec.

    Returns
    -------
    spec : the spec, with its version
    file : the path of its source

    Raises
    ------
    ConfigError
    """
    source = source_of(model, "embed.model")
    try:
        return spec_of(source.code(options), _made, source.version), source.file
    except EmbedderError as error:
        raise ConfigError(f"embed.model={model!r}: {error}") from error


def source_of(model: str, key: str) -> Source:
    """Find the code that a config names, so that the driver can import it.

    Parameters
    ----------
    key : the config key, for messages

    Raises
    ------
    ConfigError
    """
    _, module, factory = model.split(":")
    try:
        source = replace(_source_of(module), module=module, factory=factory)
    except EmbedderError as error:
        raise ConfigError(f"{key}={model!r}: {error}") from error
    if source.archive is not None and source.archive not in sys.path:
        sys.path.append(source.archive)
    return source


@lru_cache(maxsize=2)
def _made(code: Code) -> UserEmbedder:
    """Call a factory, only once on the driver: its model may be large."""
    return code.call()


def _source_of(module: str) -> Source:
    """Find a module without importing it."""
    top = module.partition(".")[0]
    found = _find(top)
    if found is None:
        raise EmbedderError(
            f"there is no module {top}; put {top}.py beside the config, or install it on the "
            "driver and on the workers"
        )
    if found.loader is None or found.origin is None:
        raise EmbedderError(
            f"{top} is a folder without __init__.py; want a module, or a package that has one"
        )
    place = Path(found.origin)
    if not place.is_file() or place.suffix != ".py" or top in _OURS or _is_installed(place):
        return _installed(found, module)
    files = _files_of(place, top)
    if place.name == "__init__.py":
        named = "".join(f"{name} {_sha(content)}\n" for name, content in files.items())
        digest = _sha(named.encode())
    else:
        digest = _sha(files[place.name])
    return Source(str(place), f"sha256:{digest}", _packed(f"{top}-{digest[:16]}", files))


def _find(top: str) -> ModuleSpec | None:
    """Return where an import would find a module now, regardless of earlier imports."""
    places = [place for place in sys.path if not os.path.basename(place).startswith(_ARCHIVE)]
    found = PathFinder.find_spec(top, places)
    for finder in sys.meta_path if found is None else ():
        if finder is not PathFinder and hasattr(finder, "find_spec"):  # for editable installs
            found = found or finder.find_spec(top, None)
    return found


def _is_installed(place: Path) -> bool:
    paths = sysconfig.get_paths()
    folders = {paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders |= {*site.getsitepackages(), site.getusersitepackages()}
    return any(place.resolve().is_relative_to(Path(folder).resolve()) for folder in folders)


def _installed(found: ModuleSpec, module: str) -> Source:
    """Identify an installed module by its own file, if it has one."""
    spec: ModuleSpec | None = found
    for depth in range(2, len(module.split(".")) + 1):
        below = spec.submodule_search_locations if spec is not None else None
        name = ".".join(module.split(".")[:depth])
        spec = PathFinder.find_spec(name, list(below)) if below else None
    spec = spec or found  # the import fails if there is no such module
    file = str(spec.origin)
    read = getattr(spec.loader, "get_data", None)
    try:
        content = read(file) if read is not None else sys.version.encode()
    except OSError:  # built into the interpreter
        content = sys.version.encode()
    return Source(file, f"sha256:{_sha(content)}", None)


def _files_of(place: Path, top: str) -> dict[str, bytes]:
    """Read a module, or all of a package: name inside the archive -> content."""
    if place.name != "__init__.py":
        return {place.name: place.read_bytes()}
    folder, files, size = place.parent, dict[str, bytes](), 0
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if not path.is_file() or any(p.startswith(".") or p == "__pycache__" for p in parts):
            continue
        size += path.stat().st_size
        if size > MAX_BYTES:
            raise EmbedderError(
                f"{folder} holds more than {MAX_BYTES >> 20} MiB; keep data elsewhere and name it "
                "in embed.options, or install the package on the driver and on the workers"
            )
        files["/".join((top, *parts))] = path.read_bytes()
    return files


def _packed(name: str, files: Mapping[str, bytes]) -> str:
    """Pack files into an archive whose name depends on the content."""
    path = kept_folder() / f"{_ARCHIVE}{name}.zip"
    if not path.exists():
        with zipfile.ZipFile(path, "w") as archive:
            for inside, content in files.items():
                archive.writestr(zipfile.ZipInfo(inside), content)
    return str(path)


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

"""The pretrained model that ``embed.model: sentence-transformers:...`` or ``onnx:...`` names.

A folder or file is identified by its content, a model of the Hugging Face hub by the commit that
its revision means now, or, offline, meant when it was cached. So another model under the same name
gets another stage key.
"""

import hashlib
import os
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from glob import escape
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, TypeAlias

from jobs.config.errors import ConfigError
from jobs.spark.shipping import kept_folder
from udfs.embedders import onnx
from udfs.embedders.built_in import PRETRAINED
from udfs.embedders.contract import EmbedderError, described
from udfs.embedders.pretrained import Here, Kind, Place, not_installed, spec_of
from udfs.embedders.specs import EmbedderSpec
from udfs.shipping import own_gpu, unpacked

Files: TypeAlias = Mapping[str, Path]

HERE = Here(unpacked, own_gpu)
PREFIX = "evenlake-model-"  # prefix of the archives' names
_ORGANIZATION = "sentence-transformers"  # organization of hub names that lack one
# in the order in which the libraries look for them
_LOCATION = re.compile(rb"\x0a\x08location\x12([\x01-\x7f])", re.DOTALL)
_WEIGHTS = [re.compile(names) for names in (r"\.safetensors$", r"\.(bin|pt)$", r"\.onnx")]
_ASKED = ("modules.json", "config.json")  # every model has one of them


def load(model: str, options: Any) -> tuple[EmbedderSpec, str]:
    """Find the model that a config names; it is loaded only when it is tried.

    Returns
    -------
    spec : the spec, with its version
    path : path of the model; in the local cache, if it is from the hub

    Raises
    ------
    ConfigError
    """
    kind, _, name = model.partition(":")
    try:
        spec, place = _found(PRETRAINED[kind], os.path.expanduser(name), options)
    except EmbedderError as error:
        raise ConfigError(f"embed.model={model!r}: {error}") from error
    return spec, place.path


def _found(kind: Kind, name: str, options: Any) -> tuple[EmbedderSpec, Place]:
    revision = getattr(options, "revision", None)
    if kind is onnx.KIND:
        files = _files_of_onnx(onnx.find(name))
    elif not os.path.isdir(name):
        commit, folder = _on_hub(name if "/" in name else f"{_ORGANIZATION}/{name}", revision)
        place = Place(folder, PREFIX + commit[:16], hub_name=name)
        files_now = partial(files_of_folder, Path(folder))
        pack, options = partial(packed, place.shipped, files_now), replace(options, revision=commit)
        return spec_of(kind, place, options, commit, pack, HERE, weights(files_now())), place
    elif revision is not None:
        raise EmbedderError(f"embed.options.revision={revision!r} is for models of the hub")
    else:
        files = files_of_folder(Path(name))
    digest = digest_of(files)
    place = Place(os.path.abspath(name), PREFIX + digest[:16])
    pack = partial(packed, place.shipped, lambda: files)
    n_bytes = weights(files)
    return spec_of(kind, place, options, f"sha256:{digest}", pack, HERE, n_bytes), place


def model_version(name: str, revision: str | None = None) -> str:
    """Return what identifies a model: its files if it is a folder, or else its commit on the hub.

    Raises
    ------
    EmbedderError
        If there is no such model.
    """
    if not os.path.isdir(name):
        return _on_hub(name, revision)[0]
    return f"sha256:{digest_of(files_of_folder(Path(name)))}"


def files_of_folder(folder: Path) -> Files:
    """Return a folder's files but hidden ones, by their path inside."""
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and not any(p.startswith((".", "__pycache__")) for p in inside.parts):
            files[inside.as_posix()] = path
    if not files:
        raise EmbedderError(f"{folder} holds no files; want a folder that holds a model")
    return files


def _files_of_onnx(model: Path) -> Files:
    """Return a model's files: itself, the weights that it keeps outside, and what goes with it."""
    files = {path.name: path for path in sorted(model.parent.glob(f"{escape(model.name)}*"))}
    files |= {name: model.parent / name for name in _weights_beside(model)}
    found = {name: path for name in onnx.BESIDE if (path := onnx.beside(model, name))}
    return files | found


def _weights_beside(model: Path) -> set[str]:
    """Return the files in which an ONNX model says that it keeps its weights.

    In its protocol buffers these are pairs of the key ``location`` and a path of up to 127 bytes.
    Like onnxruntime, this looks for none outside the model's folder.
    """
    if not model.stat().st_size:
        return set()
    with model.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        found = {content[at.end() : at.end() + at[1][0]] for at in _LOCATION.finditer(content)}
    paths = (Path(os.fsdecode(name)) for name in found if b"\0" not in name)
    inside = (path for path in paths if not path.is_absolute() and ".." not in path.parts)
    return {path.as_posix() for path in inside if (model.parent / path).is_file()}


def weights(files: Files) -> int:
    """Return the bytes of a model's weights, of one format if the files have them in several.

    A model of the hub that was never loaded here still lacks most of its files.
    """
    for names in _WEIGHTS:
        if n_bytes := sum(_state(path)[0] for name, path in files.items() if names.search(name)):
            return n_bytes
    return 0


def _on_hub(name: str, revision: str | None) -> tuple[str, str]:
    """Return the commit that a model's revision means, and its folder in the local cache."""
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError
    except ModuleNotFoundError as error:
        raise EmbedderError(not_installed(error, "models")) from error
    why: Exception | None = None
    for file in _ASKED:
        try:
            cache = os.environ.get("SENTENCE_TRANSFORMERS_HOME")
            path = hf_hub_download(name, file, revision=revision, cache_dir=cache)
            folder = Path(path).parent
            return folder.name, str(folder)
        except EntryNotFoundError as error:
            why = error
        except Exception as error:  # unknown name, no network, or no access
            why = error
            break
    raise EmbedderError(
        f"{name} is no folder, and on the Hugging Face hub or in its local cache there is no such "
        f"model: {described(why) if why else ''}; check the name, the network and HF_HUB_OFFLINE"
    )


def digest_of(files: Files) -> str:
    """Hash files by their names and contents."""
    return _digest(tuple((inside, str(path), *_state(path)) for inside, path in files.items()))


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


@lru_cache(maxsize=8)  # a run asks several times, and a model may hold gigabytes
def _digest(files: tuple[tuple[str, str, int, int], ...]) -> str:
    named = hashlib.sha256()
    for inside, path, *_ in files:
        with open(path, "rb") as content:
            named.update(
                f"{inside} {hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode()
            )
    return named.hexdigest()


def packed(name: str, files_of: Callable[[], Files]) -> str:
    """Pack a model's files for workers on other machines; they hardly compress."""
    path = kept_folder() / f"{name}.zip"
    if not path.exists():
        with zipfile.ZipFile(path, "w") as archive:
            for inside, file in files_of().items():
                archive.write(file, inside)
    return str(path)

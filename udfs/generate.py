"""Make the images of captions on executors: each unlike its caption's others, or a failure."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from udfs.embedders.contract import Failure
from udfs.generators.contract import Generator, Picture, Prompt, generated
from udfs.kernels.exact.hashing import derive_seed
from udfs.picture_files import PictureFolder

RENDER_SCHEMA = (
    "caption_id bigint, k int, image_id string, seed bigint, n_tries int, error string, "
    "sha256 string, width int, height int, uri string, image binary"
)
_TYPES = {
    "bigint": pa.int64(),
    "int": pa.int32(),
    "string": pa.string(),
    "binary": pa.binary(),
}
_ARROW = pa.schema([(n, _TYPES[t]) for n, t in (c.split() for c in RENDER_SCHEMA.split(", "))])

Batches = Iterator[pa.RecordBatch]


@dataclass
class _Job:
    """One image that is wanted."""

    caption_id: int
    k: int
    text: str
    concept: str
    seed: int = 0
    n_tries: int = 0
    error: str | None = None
    picture: Picture | None = None
    sha256: str | None = None

    def row(self, folder: PictureFolder | None) -> dict[str, object]:
        """Return it as a row of RENDER_SCHEMA; its image goes into a folder, if there is one."""
        made, name = self.picture, f"{self.caption_id}-{self.k}"
        is_file = folder is not None and made is not None
        uri = folder.write(name, made.content) if folder and made else None
        return {
            "caption_id": self.caption_id, "k": self.k, "image_id": name,
            "seed": self.seed, "n_tries": self.n_tries, "error": self.error,
            "sha256": self.sha256, "width": made and made.width, "height": made and made.height,
            "uri": uri, "image": None if is_file else made and made.content,
        }  # fmt: skip


@dataclass(frozen=True)
class Rendering:
    """How captions become images.

    Attributes
    ----------
    load : returns the generator; runs on the worker
    n_tries : tries for an image, each with another seed
    n_at_once : images asked for at once
    folder : folder to write images into; None keeps them in their rows
    """

    load: Callable[[], Generator]
    seed: int
    n_tries: int
    n_at_once: int = 64
    folder: str | None = None


def make_render(how: Rendering) -> Callable[[Batches], Batches]:
    """Return a function for mapInArrow: captions -> RENDER_SCHEMA, a row for each wanted image.

    A row of a caption is caption_id, text, concept, wanted (numbers k of its images) and known
    (hashes of those it has). An image has ``image`` or ``error``; it depends on its caption and on
    k alone, so the rows are the same in any batches, if the generator's are.
    """

    def render(batches: Batches) -> Batches:
        generate: Generator | None = None
        folder = None if how.folder is None else PictureFolder(how.folder)
        for batch in batches:
            captions = batch.to_pylist()
            while captions:
                n, some = 0, []
                while captions and n < how.n_at_once:
                    some.append(captions.pop(0))
                    n += len(some[-1]["wanted"])
                generate = generate or how.load()
                rows = [job.row(folder) for job in _rendered(some, generate, how)]
                yield pa.RecordBatch.from_pylist(rows, _ARROW)

    return render


def _rendered(
    captions: Sequence[dict[str, Any]], generate: Generator, how: Rendering
) -> list[_Job]:
    """Make the wanted images of some captions, trying again what fails or is there already."""
    jobs, known = list[_Job](), dict[int, set[str]]()
    for row in captions:
        known[row["caption_id"]] = {*(row["known"] or ())}
        jobs += [
            _Job(row["caption_id"], k, row["text"] or "", row["concept"] or "")
            for k in row["wanted"]
        ]
    left = jobs
    for turn in range(how.n_tries):
        for job in left:
            job.n_tries = turn + 1
            job.seed = derive_seed(how.seed, job.caption_id, job.k, turn) >> 33
        prompts = [Prompt(job.text, job.concept, job.seed) for job in left]
        for job, got in zip(left, generated(generate, prompts), strict=True):
            _take(job, got, known[job.caption_id])
        left = [job for job in left if job.picture is None]
        if not left:
            break
    return jobs


def _take(job: _Job, got: Picture | Failure, known: set[str]) -> None:
    """Take what a generator made, unless its caption has that image already."""
    if isinstance(got, Failure):
        job.error = f"{got.reason}: {got.detail}" if got.detail else got.reason
        return
    digest = hashlib.sha256(got.content).hexdigest()
    if digest in known:
        job.error = "doubled: the caption has the same image already"
        return
    known.add(digest)
    job.picture, job.sha256, job.error = got, digest, None

"""Tar files as webdataset reads them: a row's files stand together, named by one key.

The row 42 may have the files 0000000042.jpg, 0000000042.txt and 0000000042.json. Where two columns
could have the same ending, their names stand before it: 0000000042.left.jpg.
"""

import io
import json
import re
import tarfile
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from pyarrow import fs

from udfs.points import Batches
from udfs.shards.numbered import WriteShard

_KEY_DIGITS = 10
TEXT = "txt"
# what bytes begin with, and the ending of such files
_STARTS = {
    b"\xff\xd8\xff": "jpg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"GIF8": "gif",
    b"BM": "bmp",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"fLaC": "flac",
    b"OggS": "ogg",
    b"ID3": "mp3",
    b"%PDF": "pdf",
    b"\x93NUMPY": "npy",
}
_RIFF = {b"WEBP": "webp", b"WAVE": "wav", b"AVI ": "avi"}
_BOXES = {b"avif": "avif", b"heic": "heic"}  # other brands of this family are films
_UNKNOWN = "bin"


@dataclass(frozen=True)
class Members:
    """How a row becomes files.

    Attributes
    ----------
    key : the column of the number that names it
    endings : endings of columns that become files; None: told by the first bytes of each value
    """

    key: str
    endings: Mapping[str, str | None]

    def of(self, row: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
        """Return the names and contents of a row's files; a null has none."""
        key = f"{row[self.key]:0{_KEY_DIGITS}}"
        for name, known in self.endings.items():
            if (value := row[name]) is not None:
                content = value.encode() if isinstance(value, str) else value
                yield f"{key}.{self._stem(name)}{known or ending_of(content)}", content
        rest = {name: value for name, value in row.items() if name not in self.endings}
        yield f"{key}.json", json.dumps(rest, default=as_text, ensure_ascii=False).encode()

    def _stem(self, name: str) -> str:
        """Return what tells a column's files from those of others."""
        mine = self.endings[name]
        others = [ending for other, ending in self.endings.items() if other != name]
        may_clash = any(
            mine == other or (None in (mine, other) and TEXT not in (mine, other))
            for other in others
        )
        if not may_clash:
            return ""
        same = [other for other in self.endings if _plain(other) == _plain(name)]
        return f"{_plain(name)}{f'_{same.index(name)}' if len(same) > 1 else ''}."


def _plain(name: str) -> str:
    return re.sub(r"\W", "_", name)


def ending_of(content: bytes) -> str:
    """Return the ending of a file by what it begins with; ``bin`` if nothing known."""
    if content[:4] == b"RIFF":
        return _RIFF.get(content[8:12], _UNKNOWN)
    if content[4:8] == b"ftyp":
        return _BOXES.get(content[8:12], "mp4")
    return next((e for start, e in _STARTS.items() if content.startswith(start)), _UNKNOWN)


def make_tar(system: fs.FileSystem, folder: str, members: Members) -> WriteShard:
    """Return a function that writes a shard as a tar file, and returns its name.

    The same rows give the same bytes: no time, no owner.
    """

    def write(shard: int, batches: Batches) -> str:
        name = f"{shard}-{uuid4().hex}.tar"
        with (
            system.open_output_stream(f"{folder}/{name}") as stream,
            tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar,
        ):
            for batch in batches:
                for row in batch.to_pylist():
                    for path, content in members.of(row):
                        member = tarfile.TarInfo(path)
                        member.size = len(content)
                        tar.addfile(member, io.BytesIO(content))
        return name

    return write


def as_text(value: Any) -> str:
    """Return as text what JSON does not have: bytes in base64, times and decimals as written."""
    if isinstance(value, bytes):
        return b64encode(value).decode()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)

"""Pictures as files of a folder: each whole or not there, under a name of its own."""

import uuid

from pyarrow import fs

_KINDS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpg", b"RIFF": "webp", b"GIF8": "gif", b"BM": "bmp"}


class PictureFolder:
    """A folder, by its full path or by a URI that pyarrow knows."""

    def __init__(self, folder: str) -> None:
        self._folder = folder.rstrip("/")
        self._system: fs.FileSystem = fs.LocalFileSystem()
        self._path = self._folder
        if not folder.startswith("/"):
            self._system, self._path = fs.FileSystem.from_uri(self._folder)
        self._system.create_dir(self._path, recursive=True)

    def write(self, name: str, content: bytes) -> str:
        """Write a picture, in place of one of that name, and return its path or URI."""
        file = f"{name}.{kind_of(content)}"
        hidden = f"{self._path}/.{file}.{uuid.uuid4().hex}"
        with self._system.open_output_stream(hidden) as stream:
            stream.write(content)
        self._system.move(hidden, f"{self._path}/{file}")
        return f"{self._folder}/{file}"


def kind_of(content: bytes) -> str:
    """Return the suffix of an image's file."""
    return next((kind for start, kind in _KINDS.items() if content.startswith(start)), "bin")

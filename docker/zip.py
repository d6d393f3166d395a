"""Zip jobs/ and udfs/ for `spark-submit --py-files`; same files in, same bytes out.

Run: python3 docker/zip.py dist/evenlake.zip
"""

import configparser
import sys
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

PROJECT = Path(__file__).resolve().parent.parent
SHIPPED = {".py", ".j2", ".css"}


def shipped_files() -> dict[str, bytes]:
    """Return the archive's files by name, with the metadata that carries the version."""
    paths = [path for top in ("jobs", "udfs") for path in (PROJECT / top).rglob("*")]
    files = {
        path.relative_to(PROJECT).as_posix(): path.read_bytes()
        for path in paths
        if path.suffix in SHIPPED
    }
    setup = configparser.ConfigParser()
    setup.read(PROJECT / "setup.cfg")
    name, version = setup["metadata"]["name"], setup["metadata"]["version"]
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    return files | {f"{name}-{version}.dist-info/METADATA": metadata.encode()}


def main(target: Path) -> None:
    """Write the archive in name order; every entry keeps ZipInfo's fixed date, 1980-01-01."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(target, "w") as archive:
        for name, content in sorted(shipped_files().items()):
            archive.writestr(ZipInfo(name), content, compress_type=ZIP_DEFLATED)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

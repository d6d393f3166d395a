"""dist/evenlake.zip is what Spark ships to executors."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

ZIP_PY = Path(__file__).parents[2] / "docker" / "zip.py"


def make_zip(target: Path) -> Path:
    subprocess.run([sys.executable, ZIP_PY, target], check=True)
    return target


def test_two_archives_of_one_tree_are_the_same_bytes(tmp_path):
    first, second = make_zip(tmp_path / "first.zip"), make_zip(tmp_path / "second.zip")
    assert first.read_bytes() == second.read_bytes()


def test_the_archive_holds_the_packages_and_nothing_else(tmp_path):
    names = ZipFile(make_zip(tmp_path / "evenlake.zip")).namelist()
    assert {"jobs/__init__.py", "udfs/kernels/__init__.py"} <= set(names)
    assert {name.split("/")[0] for name in names if "dist-info" not in name} == {"jobs", "udfs"}


def test_code_in_the_archive_imports_and_knows_its_version(tmp_path):
    archive = make_zip(tmp_path / "evenlake.zip")
    code = (
        f"import sys; sys.path.insert(0, {str(archive)!r})\n"
        "import importlib.metadata, udfs.kernels\n"
        "print(udfs.kernels.__file__, importlib.metadata.version('evenlake'))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(str(archive))
    assert done.stdout.split()[-1] == "0.1.0"

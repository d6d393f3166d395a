"""docker/java.sh finds a Java that Spark runs on, whichever comes first on the PATH."""

import os
import subprocess
from pathlib import Path

JAVA_SH = Path(__file__).parents[2] / "docker" / "java.sh"


def make_java(home: Path, version: int) -> Path:
    """Write a bin/java that answers like this version, and return its home."""
    java = home / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(
        "#!/bin/sh\n"
        f"echo '    java.home = {home}' >&2\n"
        f"echo '    java.specification.version = {version}' >&2\n"
    )
    java.chmod(0o755)
    return home


def chosen_java(java_home: Path, on_path: Path) -> str:
    environment = os.environ | {
        "JAVA_HOME": str(java_home),
        "PATH": f"{on_path}/bin:{os.environ['PATH']}",
    }
    done = subprocess.run([JAVA_SH], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_java_home_goes_before_the_path(tmp_path):
    java_home, on_path = make_java(tmp_path / "17", 17), make_java(tmp_path / "21", 21)
    assert chosen_java(java_home, on_path) == str(java_home)


def test_an_unsupported_java_home_gives_way_to_the_path(tmp_path):
    java_home, on_path = make_java(tmp_path / "11", 11), make_java(tmp_path / "21", 21)
    assert chosen_java(java_home, on_path) == str(on_path)

"""Empty environments, the wheel as people get it, and commands run there from a foreign folder."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).parents[2]

# What a machine may need to reach a package index; nothing else of the environment is passed on.
INHERITED = re.compile(r"PATH|HOME|PIP_\w+|SSL_CERT_\w+|\w+_CA_BUNDLE|\w+_proxy", re.IGNORECASE)


def bare_environment() -> dict[str, str]:
    """Return the variables that reach a package index, and no others."""
    return {name: value for name, value in os.environ.items() if INHERITED.fullmatch(name)}


def java_home() -> str:
    """Return the home of a Java that Spark runs on."""
    return subprocess.check_output([PROJECT / "docker" / "java.sh"], text=True).strip()


def build_wheel(folder: Path) -> Path:
    """Build the project's wheel from a copy, as builds leave things behind."""
    unneeded = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__", "tests")
    shutil.copytree(PROJECT, folder / "source", symlinks=True, ignore=unneeded)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder]
    subprocess.run([*command, folder / "source"], check=True)
    return next(folder.glob("evenlake-*.whl"))


@dataclass(frozen=True)
class Environment:
    """A virtual environment, and the variables that its commands see."""

    prefix: Path
    variables: Mapping[str, str] = field(default_factory=bare_environment)

    @classmethod
    def made(
        cls, prefix: Path, *packages: str | Path, python: str = sys.executable
    ) -> "Environment":
        """Make an empty environment and install packages into it."""
        subprocess.run([python, "-m", "venv", prefix], check=True)
        this = cls(prefix)
        if packages:
            this.run("python", "-m", "pip", "install", "--quiet", *packages, cwd=prefix)
        return this

    def run(
        self, program: str, *words: str | Path, cwd: Path, expects: int = 0, **variables: str
    ) -> str:
        """Run a program of this environment and return what it printed, stderr included."""
        done = subprocess.run(
            [self.prefix / "bin" / program, *words],
            cwd=cwd, env=dict(self.variables) | variables, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=1200,
        )  # fmt: skip
        assert done.returncode == expects, f"{program} ended with {done.returncode}: {done.stdout}"
        return done.stdout


def write_texts(path: Path, n_rows: int = 200) -> None:
    """Write short texts as JSON lines: id, text, topic; few topics hold most of them."""
    topics = ("bread", "tax", "moon", "football")
    with path.open("w") as lines:
        for i in range(n_rows):
            topic = topics[min(i % 10 // 3, 3)]
            text = f"{topic} number {i} of {i * 7 % 31} with {topic}s and {i * 11 % 17} others"
            lines.write(json.dumps({"id": i, "text": text, "topic": topic}) + "\n")

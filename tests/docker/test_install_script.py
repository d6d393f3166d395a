"""The image's install steps are scripts that run without Docker, as they do here."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from jobs.spark.class_data import KEEP_CLASSES
from tests.install.environments import bare_environment

PROJECT = Path(__file__).parents[2]
DOCKER = PROJECT / "docker"


def test_the_image_installs_only_through_the_scripts():
    dockerfile = (DOCKER / "Dockerfile").read_text().replace("\\\n", " ")
    dockerfile = dockerfile.replace(f"&& .venv/bin/{KEEP_CLASSES}", "")  # installs nothing
    steps = [
        shlex.split(step)[0]
        for run in re.findall(r"^RUN (.+)$", dockerfile, re.MULTILINE)
        for step in re.split(r"&&|\|\||[;|]", run)
    ]
    assert {Path(step).name for step in steps} <= {"install.sh", "apt.sh", "useradd", "rm"}
    assert "docker/install.sh" in steps


def test_compose_services_run_the_image_and_install_nothing():
    services = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
    assert set(services) == {"demo", "test"}
    for service in services.values():
        assert service["build"]["dockerfile"] == "docker/Dockerfile"
        words = " ".join(service["entrypoint"] + service["command"])
        assert not re.search(r"\b(pip|apt|apt-get|curl|wget)\b", words)


@pytest.mark.install
@pytest.mark.timeout(1800)
def test_an_empty_prefix_becomes_a_working_installation(tmp_path):
    environment = bare_environment()

    def run(*command: str | Path) -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        return done.stdout.strip()

    run(DOCKER / "install.sh", tmp_path / "prefix")
    assert "curate" in run(tmp_path / "prefix/bin/evenlake", "--help")

    environment["JAVA_HOME"] = run(DOCKER / "java.sh")
    probe = run(tmp_path / "prefix/bin/python", "-m", "jobs.spark.session")
    assert re.fullmatch(r"spark=4\S+ delta=4\S+ java=(17|21|25)\S* ok", probe.splitlines()[-1])

"""Every notebook runs top to bottom: on a laptop, on Connect, and on a standalone cluster."""

import configparser
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.cluster.notebook import HEADER, MAGIC, cells_of
from tests.cluster.servers import bare_python, connect_server, settings, standalone
from tests.cluster.sessions import REPOSITORY, cluster_environment

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.py"))
QUICKSTART = NOTEBOOKS[0]
RUNNER = REPOSITORY / "tests" / "cluster" / "notebook.py"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Python for workers that also has what the example's embedder needs."""
    return bare_python(tmp_path_factory.mktemp("python") / "environment", "pillow")


def run_on(folder: Path, command: list[object], *overrides: str, **environment: str) -> str:
    """Run a notebook in an empty folder, its output in another; return what it prints."""
    (folder / "client").mkdir()
    chosen = overrides or (f"input.table={folder}/digits", f"output.root={folder}/lake")
    mine = {"EVENLAKE_HOME": str(REPOSITORY), "EVENLAKE_OVERRIDES": " ".join(chosen)}
    done = subprocess.run(
        [str(part) for part in command], cwd=folder / "client",
        env=os.environ | mine | environment, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "sample balanced:" in done.stdout
    assert "leaf_id" in done.stdout
    return done.stdout


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_the_first_cells_install_what_a_runtime_lacks(notebook: Path) -> None:
    source = notebook.read_text()
    assert source.startswith(HEADER)
    title, install, restart, *_ = cells_of(source)
    assert title.startswith(f"{MAGIC}%md")
    assert restart == f"{MAGIC}%restart_python"
    lines = [line.split(f"{MAGIC}%pip install --quiet ") for line in install.splitlines()]
    arguments = [part for _, parts in lines for part in parts.replace('"', "").split()]
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    ours = {Requirement(line) for line in setup["options"]["install_requires"].splitlines() if line
            and not line.startswith("#")}  # fmt: skip
    for requirement in map(Requirement, arguments):
        assert requirement in ours
        assert metadata.version(requirement.name) in requirement.specifier
    assert {"plotly", "filelock"} <= {Requirement(argument).name for argument in arguments}


def test_quickstart_runs_as_a_script(tmp_path: Path) -> None:
    run_on(tmp_path, [sys.executable, QUICKSTART])


def test_training_on_what_is_drawn_runs_as_a_script(tmp_path: Path) -> None:
    environment = os.environ | {"EVENLAKE_HOME": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "notebooks" / "02_what_to_train_on.py")],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=800,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    said = re.search(r"updates: (.+) by learnability, (.+) uniformly", done.stdout)
    assert said is not None
    assert float(said[1]) > float(said[2])
    page = tmp_path / "data" / "train" / "lake" / "reports" / "learning-curve.html"
    assert "Accuracy by compute, scoring included" in page.read_text()


def test_notebook_runs_on_connect_by_names(python: Path, tmp_path: Path) -> None:
    names = [
        "input.table=spark_catalog.mine.digits", "input.format=null", "output.root=null",
        "output.catalog=spark_catalog", "output.schema=mine",
    ]  # fmt: skip
    with connect_server(tmp_path / "server", python) as address:
        out = run_on(tmp_path, [sys.executable, RUNNER, QUICKSTART], *names, SPARK_REMOTE=address)
    assert "sample balanced: `spark_catalog`.`mine`.`evenlake_sample_balanced`" in out
    assert out.splitlines()[-1].startswith("displayed: ")


def test_notebook_runs_on_a_standalone_cluster(python: Path, tmp_path: Path) -> None:
    with standalone(tmp_path / "cluster", python) as (master, _):
        environment = cluster_environment()
        mine = settings() | {"spark.executor.memory": "1g", "spark.driver.host": "127.0.0.1"}
        out = run_on(
            tmp_path,
            [
                Path(environment["SPARK_HOME"]) / "bin" / "spark-submit", "--master", master,
                *(part for key, value in mine.items() for part in ("--conf", f"{key}={value}")),
                RUNNER, QUICKSTART,
            ],
            **environment | {"PYSPARK_PYTHON": str(python)},
        )  # fmt: skip
    assert out.splitlines()[-1].startswith("displayed: ")

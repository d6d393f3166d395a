"""Servers as users have them: Spark Connect, and a standalone master with two workers.

Their Python has numpy, pandas and pyarrow, and of Evenlake only what clients send.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import metadata
from pathlib import Path

from jobs.config.model import SparkConfig
from jobs.spark.own_code import WORKERS_PATH
from jobs.spark.session import local_settings
from tests.cluster.sessions import cluster_environment

NEEDED = ("numpy", "pandas", "pyarrow", "python-dateutil", "pytz", "tzdata")
_PATIENCE = 120.0  # seconds until a server listens
_CONNECT = "org.apache.spark.sql.connect.service.SparkConnectServer"
_DEPLOY = "org.apache.spark.deploy"


def bare_python(folder: Path, *more: str) -> Path:
    """Make an environment of these distributions alone; return its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for name in (*NEEDED, *more):
        installed = metadata.distribution(name)
        tops = {Path(str(file)).parts[0] for file in installed.files or ()}
        for top in tops - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(installed.locate_file(top))))
    return folder / "bin" / "python"


def settings() -> dict[str, str]:
    """Return settings for Delta and small tables; the code is on no worker's path."""
    mine = local_settings(SparkConfig(driver_memory="1g", shuffle_partitions=2))
    return {k: v for k, v in mine.items() if k != WORKERS_PATH}


@contextmanager
def connect_server(folder: Path, python: Path) -> Iterator[str]:
    """Run a Connect server with two cores in a folder; yield its address."""
    port = free_port()
    command = ["spark-submit", "--master", "local[2]", "--class", _CONNECT]
    for key, value in (settings() | {"spark.connect.grpc.binding.port": str(port)}).items():
        command += ["--conf", f"{key}={value}"]
    with running([*command, "spark-internal"], folder, python):
        wait_for(port)
        yield f"sc://127.0.0.1:{port}"


@contextmanager
def standalone(folder: Path, python: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Run a master and two workers of one core each; yield its address, and the workers."""
    port, ui = free_port(), free_port()
    at = ["--host", "127.0.0.1", "--port", str(port), "--webui-port", str(ui)]
    workers = []
    with ExitStack() as servers:
        master = ["spark-class", f"{_DEPLOY}.master.Master", *at]
        servers.enter_context(running(master, folder, python))
        wait_for(port)
        for i in range(2):
            worker = [
                "spark-class",
                f"{_DEPLOY}.worker.Worker",
                "--cores",
                "1",
                "--memory",
                "1536m",
            ]
            worker += ["--host", "127.0.0.1", "--work-dir", str(folder / f"work-{i}")]
            worker += ["--webui-port", str(free_port()), f"spark://127.0.0.1:{port}"]
            workers.append(servers.enter_context(running(worker, folder, python)))
        yield f"spark://127.0.0.1:{port}", workers


@contextmanager
def running(
    command: Sequence[str], folder: Path, python: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run one of Spark's programs in its own process group, and end the whole group."""
    environment = cluster_environment() | {"PYSPARK_PYTHON": str(python)}
    environment.pop("PYTHONPATH", None)
    folder.mkdir(exist_ok=True)
    program, *arguments = command
    with (folder / "log").open("ab") as log:
        server = subprocess.Popen(
            [f"{environment['SPARK_HOME']}/bin/{program}", *arguments],
            cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        yield server
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(port: int) -> None:
    """Wait until something listens."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)

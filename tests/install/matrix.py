"""Run Evenlake on every Spark, Python and Java, and print the table for README.md.

Each cell installs the wheel with that pyspark into an empty environment and curates 200 texts
from a folder of its own: a session with the Delta jar of that Spark, tables written and read.

Run: python -m tests.install.matrix --spark 4.0.1 4.2.0 --python python3.11 python3.12 \
         --java /usr/lib/jvm/java-17-openjdk-amd64 ...
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from jobs.spark.jars import delta_package
from jobs.spark.java import java_version
from tests.install.environments import Environment, build_wheel, write_texts

CONFIG = """\
input: {table: texts.jsonl, content: text, metadata: [topic]}
output: {root: lake}
embed: {model: lsa, n_components: 8}
samples: [{name: small, target_size: 20}]
spark: {master: "local[2]", driver_memory: 1g}
"""


def curates(environment: Environment, folder: Path, java: str) -> str:
    """Curate in a folder of its own; return ok, or the last line of what it said."""
    folder.mkdir(parents=True)
    write_texts(folder / "texts.jsonl")
    (folder / "my.yaml").write_text(CONFIG)
    try:
        environment.run("evenlake", "curate", "--config", "my.yaml", cwd=folder, JAVA_HOME=java)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        print(str(error)[-3000:], file=sys.stderr)
        return "no: " + str(error).splitlines()[-1][:100]
    return "ok"


def python_version(python: str) -> str:
    shown = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.check_output([python, "-c", shown], text=True).strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spark", nargs="+", required=True, metavar="VERSION")
    parser.add_argument("--python", nargs="+", default=[sys.executable], metavar="PROGRAM")
    parser.add_argument("--java", nargs="+", required=True, metavar="HOME")
    parser.add_argument("--keep", type=Path, help="folder of environments, used again if there")
    asked = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="matrix"))
    wheel = build_wheel(work)
    homes = {java_version(f"{home}/bin/java"): home for home in asked.java}
    pythons = {python_version(python): python for python in asked.python}
    columns = [f"Python {python}, Java {java}" for python in pythons for java in homes]
    print("| Spark | Delta jar | " + " | ".join(columns) + " |")
    print("|" + "---|" * (len(columns) + 2), flush=True)
    for spark in asked.spark:
        cells = []
        for version, python in pythons.items():
            prefix = (asked.keep or work) / f"py{version}-spark{spark}"
            packages = (f"{wheel}[local]", f"pyspark=={spark}")
            if (prefix / "bin" / "evenlake").exists():
                environment = Environment(prefix)
                again = ("--force-reinstall", "--no-deps", "--quiet", str(wheel))
                environment.run("python", "-m", "pip", "install", *again, cwd=work)
            else:
                environment = Environment.made(prefix, *packages, python=python)
            for java, home in homes.items():
                cells.append(curates(environment, work / f"{spark}-{version}-{java}", home))
        jar = delta_package(spark).removeprefix("io.delta:delta-spark")
        print(f"| {spark} | {jar} | " + " | ".join(cells) + " |", flush=True)
    shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    sys.exit(main())

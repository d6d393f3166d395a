"""Run Evenlake on every Spark, Python and Java, and print the table for README.md.

Each cell names the Pythons with which the wheel, installed with that pyspark into an empty
environment, curates 200 texts from a folder of its own: a session with the Delta jar of that Spark,
Python workers, Delta tables written and read.

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


def curates(environment: Environment, folder: Path, java: str) -> bool:
    """Return whether a run in a folder of its own succeeds; if not, show what it said last."""
    folder.mkdir(parents=True)
    write_texts(folder / "texts.jsonl")
    (folder / "my.yaml").write_text(CONFIG)
    try:
        environment.run("evenlake", "curate", "--config", "my.yaml", cwd=folder, JAVA_HOME=java)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        print(str(error)[-3000:], file=sys.stderr)
        return False
    return True


def environment_of(prefix: Path, wheel: Path, spark: str, python: str) -> Environment:
    """Make an environment, or install the wheel anew into one that is there."""
    if not (prefix / "bin" / "evenlake").exists():
        return Environment.made(prefix, f"{wheel}[local]", f"pyspark=={spark}", python=python)
    again = ("--force-reinstall", "--no-deps", "--quiet", str(wheel))
    Environment(prefix).run("python", "-m", "pip", "install", *again, cwd=prefix)
    return Environment(prefix)


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
    print("| Spark | Delta's jar | " + " | ".join(f"Java {java}" for java in homes) + " |")
    print("|" + "---|" * (len(homes) + 2), flush=True)
    for spark in asked.spark:
        well: dict[int | None, list[str]] = {java: [] for java in homes}
        for version, python in pythons.items():
            prefix = (asked.keep or work) / f"py{version}-spark{spark}"
            environment = environment_of(prefix, wheel, spark, python)
            for java, home in homes.items():
                if curates(environment, work / f"{spark}-{version}-{java}", home):
                    well[java].append(version)
        jar = delta_package(spark).removeprefix("io.delta:")
        cells = [spark, f"`{jar}`", *(", ".join(versions) or "-" for versions in well.values())]
        print("| " + " | ".join(cells) + " |", flush=True)
    shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    sys.exit(main())

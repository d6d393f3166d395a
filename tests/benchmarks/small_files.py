"""Many small files: images embedded from a folder, beside the same bytes in a Delta table.

Both ways in one warm session, in turn, N_REPEATS times; and what a pool five times as large takes,
so that a run's fixed cost can be taken off. The rival is a plain loop on one core: open, convert,
resize; the bytes are in its memory, or in files that it lists and reads.

Run: python -m tests.benchmarks.small_files [N_REPEATS]
"""

import io
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image
from pyspark.sql import SparkSession

from jobs import embed_pool
from jobs.config.loading import parse_config
from jobs.config.model import SparkConfig
from jobs.spark.session import start_local
from tests.benchmarks.machine import keep_to_cores

N_IMAGES, SIDE = 12_000, 32
LARGER = 5  # times as many images tell the cost of one from a run's fixed cost
N_CORES = 2


def images() -> list[bytes]:
    """Return JPEGs of 50 motifs under noise, LARGER times N_IMAGES."""
    rng = np.random.default_rng(0)
    motifs = rng.integers(0, 256, (50, 8, 8, 3)).astype(np.uint8)
    made = []
    for i in range(LARGER * N_IMAGES):
        motif = Image.fromarray(motifs[i % 50]).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        noisy = np.asarray(motif).astype(int) + rng.integers(-30, 30, (SIDE, SIDE, 3))
        file = io.BytesIO()
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
        made.append(file.getvalue())
    return made


def write(spark: SparkSession, folder: Path, contents: list[bytes]) -> None:
    """Write N_IMAGES as files, and as a Delta table; all of them too."""
    rows = [(f"class{i % 10}/{i:05}.jpg", bytearray(c)) for i, c in enumerate(contents)]
    for name, part in {"large": rows, "small": rows[:N_IMAGES]}.items():
        for place, content in part:
            path = folder / f"{name}-files" / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        frame = spark.createDataFrame(part, "id string, content binary")
        frame.coalesce(2).write.format("delta").save(f"{folder}/{name}-delta")


def seconds(spark: SparkSession, folder: Path, pool: str, turn: int) -> float:
    """Return the time to embed a pool, in a root of its own."""
    config = parse_config(
        {
            "input": {"table": f"{folder}/{pool}", "content": "content"},
            "output": {"root": f"{folder}/lake-{pool}-{turn}"},
            "embed": {"model": "pixels", "fit_rows": 1000},
            "samples": [{"name": "s", "target_size": 100}],
        }
    )
    began = time.perf_counter()
    embed_pool.run(spark, config)
    return time.perf_counter() - began


def plain_loop(contents: Iterable[bytes]) -> float:
    """Return images per second of one core that opens, converts and resizes."""
    began, n = time.process_time(), 0
    for content in contents:
        n += 1
        np.asarray(Image.open(io.BytesIO(content)).convert("RGB").resize((SIDE, SIDE)))
    return n / (time.process_time() - began)


def main(n_repeats: int) -> None:
    """Print the medians as a table."""
    keep_to_cores()
    contents = images()
    spark = start_local(SparkConfig(master=f"local[{N_CORES}]"), app_name="small-files")
    pools = ["small-files", "small-delta", "large-files", "large-delta"]
    with tempfile.TemporaryDirectory() as name:
        write(spark, Path(name), contents)
        for pool in pools:
            seconds(spark, Path(name), pool, -1)  # compiles
        times = {
            pool: median(seconds(spark, Path(name), pool, turn) for turn in range(n_repeats))
            for pool in pools
        }
        from_files = plain_loop(
            p.read_bytes() for p in sorted(Path(name, "large-files").rglob("*.jpg"))
        )
    spark.stop()
    print(f"| {N_IMAGES:,} JPEGs of {SIDE} x {SIDE}, median of {n_repeats} | files | Delta |")
    print("|---|---|---|")
    print(f"| embed, s | {times['small-files']:.1f} | {times['small-delta']:.1f} |")
    print(f"| ratio | {times['small-files'] / times['small-delta']:.2f} | 1 |")
    rates = [
        (LARGER - 1) * N_IMAGES / (times[f"large-{kind}"] - times[f"small-{kind}"]) / N_CORES
        for kind in ("files", "delta")
    ]
    print(f"| images a second and core beyond the fixed cost | {rates[0]:.0f} | {rates[1]:.0f} |")
    print(f"| plain loop on a core | {from_files:.0f} | {plain_loop(contents):.0f} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)

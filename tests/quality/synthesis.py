"""The whole loop on a world of drawings: what the pool lacks is planned, rendered and routed.

Of 20 concepts (ten colours of two shapes) the pool holds 40 pictures each of ten, 6 each of five
thin ones, and none of five. Of each missing concept 20 captions are written, of each thin one five,
and four images made of each; those fill up a balanced sample. Judges, by pictures that neither has
seen, 15 of each concept: the share of images in leaves that hold most of their concept's pictures,
and how many pictures five nearest rows of the sample classify, without and with the images.

The pool's pictures are drawn by the generator too, before backgrounds of their own: nothing here
tells how well another generator fits photographs.

Run: python -m tests.quality.synthesis [number of seeds]
"""

import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import SparkSession
from sklearn.neighbors import KNeighborsClassifier

from jobs import (
    check_synthesis,
    cluster_levels,
    curate,
    embed_pool,
    plan_synthesis,
    render_images,
    write_captions,
)
from jobs.config.loading import parse_config
from jobs.runs.opening import open_run
from jobs.runs.run import Run
from udfs.blocks import from_bytes
from udfs.embedders import pixels
from udfs.generators.procedural import draw, encoded
from udfs.generators.scenes import GROUNDS, scene_of

COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "white", "black")
SHAPES = (("square", "ring"), ("circle", "cross"))  # of every other colour
CONCEPTS = [f"{colour} {shape}" for i, colour in enumerate(COLOURS) for shape in SHAPES[i % 2]]
N_RICH, N_THIN, N_HELD_OUT, TARGET = 40, 6, 15, 300
N_CAPTIONS, PER_CAPTION = 125, 4  # 20 of a missing concept, 5 of a thin one; images of each

Vectors = NDArray[np.float32]


class Loop(NamedTuple):
    """What became of the missing concepts.

    Attributes
    ----------
    share_before, share_after : of a missing concept in the sample, over the mean of the others'
    smallest_after : the same of the missing concept that has the fewest
    landed, chance : of the images at home, as the stage says; of the pool's points there
    landed_judged : in leaves where most held-out pictures are of their concept
    accuracy_before, accuracy_after : of five neighbours, on all held-out pictures
    entropy_before, entropy_after : of all concepts in the pool, without and with the images
    """

    share_before: float
    share_after: float
    smallest_after: float
    landed: float
    chance: float
    landed_judged: float
    accuracy_before: float
    accuracy_after: float
    entropy_before: float
    entropy_after: float


def picture(concept: str, rng: np.random.Generator) -> bytes:
    """Draw a concept before any background."""
    ground = [*GROUNDS][rng.integers(len(GROUNDS))]
    pixels_ = draw(scene_of(f"{concept} {ground}", concept), int(2**40 + rng.integers(2**40)))
    return encoded(pixels_).content


def write_world(folder: Path, seed: int) -> tuple[list[str], dict[str, list[bytes]]]:
    """Write the pool and the concepts that it lacks; return the missing ones, and held-out ones."""
    rng = np.random.default_rng(seed)
    order = [CONCEPTS[i] for i in rng.permutation(len(CONCEPTS))]
    sizes = dict(zip(order, [N_RICH] * 10 + [N_THIN] * 5 + [0] * 5, strict=True))
    rows = [
        {"id": f"{name}-{i}", "image": picture(name, rng), "label": name}
        for name, n in sizes.items()
        for i in range(n)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "pool.parquet")
    lacking = pa.table({"concept": order[10:], "weight": [1.0] * 5 + [4.0] * 5})
    pq.write_table(lacking, folder / "concepts.parquet")
    return order[15:], {name: [picture(name, rng) for _ in range(N_HELD_OUT)] for name in CONCEPTS}


def config_of(folder: Path, seed: int) -> Any:
    return parse_config(
        {
            "seed": seed,
            "input": {
                "table": f"{folder}/pool.parquet", "content": "image", "metadata": ["label"],
            },
            "output": {"root": f"{folder}/lake"},
            "embed": {"model": "pixels", "n_components": 32, "image_size": 16, "normalize": False},
            "cluster": {"levels": [100, 20], "resampling": {"rounds": 1}},
            "samples": [{"name": "s", "target_size": TARGET, "share": {"leaves": 0.0}}],
            "report": {"label": "label"},
            "synthesis": {
                "concepts": {"table": f"{folder}/concepts.parquet", "weight": "weight"},
                "n_captions": N_CAPTIONS,
                "images_per_caption": PER_CAPTION,
                "join": {"sample": "s", "max_per_node": 100},
            },
        }
    )  # fmt: skip


def closed_loop(spark: SparkSession, folder: Path, seed: int) -> Loop:
    """Curate, plan, write, render and check; return what became of what was missing."""
    missing, held_out = write_world(folder, seed)
    run = open_run(spark, config_of(folder, seed))
    curate.curate(run)
    for stage in (plan_synthesis.STAGE, write_captions.STAGE):
        run.do(stage)
    render_images.render(run)
    return _judged(run, check_synthesis.check(run), missing, held_out)


def _judged(
    run: Run, done: check_synthesis.Checked, missing: list[str], held_out: dict[str, list[bytes]]
) -> Loop:
    stage, lake = check_synthesis.STAGE, run.lake
    names = lake.read("synthesis_concepts").toPandas().set_index("concept_id")["concept"]
    rows = lake.read("synthetic_samples", run.key(stage)).toPandas()
    labels = (
        rows["id"]
        .str.rpartition("-")[0]
        .where(rows["source"] == "pool", rows["concept_id"].map(names))
    )
    vectors = {**_of_pool(run), **_of_images(run)}
    X = np.stack([vectors[i] for i in rows["id"].fillna(rows["image_id"])])
    is_own = (rows["source"] == "pool").to_numpy()
    tests = [(name, each) for name, of in held_out.items() for each in of]
    T, truth = _embedded(run, [each for _, each in tests]), np.array([name for name, _ in tests])
    before, after = Counter(labels[is_own]), Counter(labels)
    others = [name for name in CONCEPTS if name not in missing]
    mean = np.mean([after[name] for name in others])
    return Loop(
        share_before=float(np.mean([before[name] for name in missing]) / mean),
        share_after=float(np.mean([after[name] for name in missing]) / mean),
        smallest_after=float(min(after[name] for name in missing) / mean),
        landed=done.share_landed,
        chance=done.chance,
        landed_judged=_judged_landing(run, names, T, truth),
        accuracy_before=_accuracy(X[is_own], labels[is_own].to_numpy(), T, truth),
        accuracy_after=_accuracy(X, labels.to_numpy(), T, truth),
        entropy_before=done.entropy_before,
        entropy_after=done.entropy,
    )


def _accuracy(X: Vectors, y: Any, T: Vectors, truth: Any) -> float:
    return float(KNeighborsClassifier(5).fit(X, y.astype(str)).score(T, truth))


def _judged_landing(run: Run, names: pd.Series, T: Vectors, truth: Any) -> float:
    """Return the share of images in leaves where most held-out pictures are of their concept."""
    nodes = run.read(cluster_levels.STAGE, cluster_levels.NODES).where("level = 1")
    leaves = nodes.orderBy("node_id").select("centroid").toPandas()["centroid"]
    C = np.stack([*leaves])
    leaf_of = ((T[:, None] - C[None]) ** 2).sum(axis=2).argmin(axis=1)
    owner = {
        leaf: sorted(Counter(truth[leaf_of == leaf]).items(), key=lambda i: (-i[1], i[0]))[0][0]
        for leaf in {*leaf_of.tolist()}
    }
    points = run.lake.read("synthetic_points", run.key(check_synthesis.STAGE)).toPandas()
    own = [
        owner.get(leaf) == names[concept]
        for leaf, concept in zip(points["leaf_id"], points["concept_id"], strict=True)
    ]
    return float(np.mean(own))


def _of_pool(run: Run) -> dict[str, Vectors]:
    rows = run.read(embed_pool.STAGE, embed_pool.EMBEDDINGS).select("id", "embedding").collect()
    return {row.id: np.array(row.embedding, np.float32) for row in rows}


def _of_images(run: Run) -> dict[str, Vectors]:
    made = run.lake.read("synthetic_images").select("image_id", "image").toPandas()
    return dict(zip(made["image_id"], _embedded(run, [*made["image"]]), strict=True))


def _embedded(run: Run, images: list[bytes]) -> Vectors:
    """Embed by what the run has learned, at its lengths : (n, d)."""
    kept = run.lake.read("artifacts", run.key(embed_pool.STAGE)).where("name = 'pixels.npz'")
    embed = pixels.make_embedder(from_bytes(bytes(kept.first().content)))
    return np.asarray(embed(pd.Series([bytes(image) for image in images])).vectors)


def main(argv: list[str]) -> None:
    """Print each seed's figures."""
    from jobs.config.model import SparkConfig
    from jobs.spark.session import start_local

    config = SparkConfig(master="local[2]", driver_memory="3g", shuffle_partitions=2)
    spark = start_local(config, app_name="synthesis")
    print(f"| seed | {' | '.join(name.replace('_', ' ') for name in Loop._fields)} |")
    print("|---" * (1 + len(Loop._fields)) + "|")
    for seed in range(int(argv[0]) if argv else 3):
        with tempfile.TemporaryDirectory() as folder:
            found = closed_loop(spark, Path(folder), seed)
        print(f"| {seed} | {' | '.join(f'{value:.3f}' for value in found)} |", flush=True)
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1:])

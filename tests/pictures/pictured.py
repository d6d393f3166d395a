"""A believable page with all its pictures: the example run, with a gallery of made-up images."""

from dataclasses import replace
from io import BytesIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
from PIL import Image

from jobs.gallery.exemplars import READ_PER_NODE, largest_nodes, shown_nodes
from jobs.gallery.nodes import Gallery, gallery_of
from jobs.gallery.turned_away import Gone
from jobs.pictures.leaf_map import map_rows, mapped_level
from jobs.pictures.tiles import tile_rows
from jobs.reporting.page import PageContext
from jobs.reporting.rows import Row
from tests.jobs.page_example import SECTIONS, example, example_tree, fill_evenly, row, with_rows
from udfs.examples import PICTURE_SIZE

TARGETS = {"balanced": 20_000, "small": 2000}
N_NODES_OF = (3000, 300, 50)
_KINDS = {"kept": READ_PER_NODE, "left": READ_PER_NODE, "closest": 1, "farthest": 1}


def pictured(n_nodes: tuple[int, ...] = N_NODES_OF, *, examples: int = 4) -> PageContext:
    """Return what a page of such a run shows."""
    context = example(TARGETS, SECTIONS, n_nodes=n_nodes)
    nodes, quotas = tree_tables(n_nodes)
    rows = [*tile_rows(nodes, quotas, "balanced"), *mapped(nodes, quotas, n_nodes)]
    sizes = [
        row(
            "coverage_by_size",
            "coverage_distance",
            9 / x**0.36,
            9 / x**0.31,
            x=x,
            sample="balanced",
        )
        for x in (2500.0, 5000.0, 10_000.0, 20_000.0)
    ]
    more = pd.DataFrame(rows, columns=Row._fields)
    gallery = made_up_gallery(quotas, examples)
    copies = [
        Gone([(point, "cosine similarity 0.991") for point in node.left[:3]], node.kept[0])
        for node in gallery.nodes[:examples]
        if node.kept
    ]
    return replace(
        context,
        rows=pd.concat([context.rows, with_rows(*sizes), more], ignore_index=True),
        gallery=gallery,
        turned_away=[("near duplicate", copies)],
    )


def tree_tables(n_nodes: tuple[int, ...]) -> tuple[pa.Table, pa.Table]:
    """Return the example's nodes, and what the sample takes of each."""
    sizes, place = example_tree(n_nodes, np.random.default_rng(42))
    drawn = fill_evenly(sizes, TARGETS["balanced"])
    nodes, quotas = [], []
    above = (place * n_nodes[1]).astype(int)
    for t, k in enumerate(n_nodes, start=1):
        is_top = t == len(n_nodes)
        parent = above if not is_top else np.zeros(k, int)
        columns = {"level": np.full(k, t), "node_id": np.arange(k)}
        nodes.append(pa.table(columns | {"parent_id": parent, "n_points": sizes}))
        quota = {"n_points": sizes, "quota": drawn}
        quotas.append(pa.table({"sample": ["balanced"] * k} | columns | quota))
        if not is_top:
            sizes, drawn = (np.bincount(above, x, n_nodes[t]).astype(int) for x in (sizes, drawn))
            if t + 1 < len(n_nodes):
                above = np.arange(n_nodes[t]) * n_nodes[t + 1] // n_nodes[t]
    return pa.concat_tables(nodes), pa.concat_tables(quotas)


def mapped(nodes: pa.Table, quotas: pa.Table, n_nodes: tuple[int, ...]) -> list[Row]:
    """Return the map's rows, of centroids around a few places."""
    rng, level = np.random.default_rng(7), mapped_level(n_nodes)
    mine = nodes.filter(pa.compute.equal(nodes["level"], level))
    centres = rng.standard_normal((12, 16)) * 3
    C = centres[rng.integers(0, 12, len(mine))] + rng.standard_normal((len(mine), 16))
    centroids = pa.array(list(C.astype(np.float32)))
    return map_rows(level, mine.append_column("centroid", centroids), quotas, "balanced")


def made_up_gallery(allocations: pa.Table, examples: int) -> Gallery:
    """Return a gallery with a picture of every point."""
    shown = shown_nodes(allocations, "balanced")
    nodes = [shown, largest_nodes(allocations, "balanced", shown)]
    pictures = [picture(i) for i in range(40)]

    def of(i: int) -> bytes:
        return pictures[i % 40]

    points = [
        (
            f"p{level}-{node}-{kind}-{i}",
            level,
            node,
            kind,
            i,
            None,
            None,
            pictures[(node * 7 + i) % 40],
        )
        for part in nodes
        for level, node in zip(part["level"], part["node_id"], strict=True)
        for kind, n in _KINDS.items()
        for i in range(n)
    ]
    columns = ["id", "level", "node_id", "kind", "place", "text", "words", "picture"]
    table = pd.DataFrame(points, columns=columns)
    return gallery_of("balanced", allocations, nodes, table, examples)


def picture(i: int) -> bytes:
    """Return a picture as large as a photograph's: shapes, and some noise."""
    rng = np.random.default_rng(i)
    at = np.linspace(-1, 1, PICTURE_SIZE)
    x, y = np.meshgrid(at, at)
    shape = np.sin(6 * x * rng.uniform(0.2, 1) + i) * np.cos(7 * y * rng.uniform(0.2, 1))
    colours = rng.uniform(60, 200, 3) + 50 * shape[..., None] + rng.normal(0, 9, (*x.shape, 3))
    buffer = BytesIO()
    Image.fromarray(colours.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()

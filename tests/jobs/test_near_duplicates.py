"""Near duplicates: who is turned away, for whom, and that it depends on nothing else."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from jobs import embed_pool, find_duplicates
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig
from jobs.duplicates import finding
from jobs.explain_point import explain
from jobs.points import surviving as door
from jobs.runs import run as runs
from jobs.runs.opening import open_run
from jobs.runs.run import Run
from udfs.kernels.exact.grid import to_grid
from udfs.kernels.near.pairs import cosines
from udfs.near import UNIT

pytestmark = pytest.mark.whole

N_FEATURES = 32
THRESHOLD = 0.95
N_PLANTED, N_CHAIN, N_BLOB, N_COPIES = 900, 1000, 700, 20
Found = dict[str, tuple[str, int, float]]  # id -> keeper, group, similarity


def unit(X: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(X / np.linalg.norm(X, axis=-1, keepdims=True))


def tilted(x: NDArray[np.float64], cosine: Any, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return directions at given cosines to others."""
    noise = rng.standard_normal(x.shape)
    noise = unit(noise - (noise * x).sum(axis=-1, keepdims=True) * x)
    cosine = np.asarray(cosine)[..., None]
    return np.asarray(cosine * x + np.sqrt(1 - cosine**2) * noise)


def planted(seed: int) -> tuple[list[str], NDArray[np.float32]]:
    """Return unrelated points, each with one at cosine .9 to 1, a chain, a blob, exact copies."""
    rng = np.random.default_rng(seed)
    some = unit(rng.standard_normal((N_PLANTED, N_FEATURES)))
    pairs = tilted(some, rng.uniform(0.9, 1, N_PLANTED), rng)
    chain = [some[0]]
    for _ in range(N_CHAIN - 1):
        chain.append(tilted(chain[-1], 0.96, rng))
    blob = tilted(np.repeat(some[:1] * -1, N_BLOB, axis=0), 0.995, rng)
    X = np.concatenate([some, pairs, chain, blob, some[:N_COPIES]]).astype(np.float32)
    names = [("some", N_PLANTED), ("pair", N_PLANTED), ("chain", N_CHAIN), ("blob", N_BLOB)]
    ids = [f"{name}{i:04}" for name, n in [*names, ("copy", N_COPIES)] for i in range(n)]
    return ids, X


def write(folder: Path, ids: list[str], X: NDArray[np.float32], **more: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.table({"id": ids, "vector": [*X], **more})
    pq.write_table(table, folder / "part.parquet", row_group_size=400)


def config_of(folder: Path, *overrides: str, root: str = "lake") -> RunConfig:
    plain: dict[str, Any] = {
        "input": {"table": f"{folder}/pool", "embedding": "vector"},
        "output": {"root": f"{folder}/{root}"},
        "dedup": {"exact": True, "threshold": THRESHOLD},
        "samples": [{"name": "s", "target_size": 10}],
    }
    return parse_config(plain, overrides)


def done(spark: SparkSession, config: RunConfig) -> Run:
    run = open_run(spark, config)
    for stage in (embed_pool.STAGE, find_duplicates.STAGE):
        run.do(stage)
    return run


def found(run: Run) -> Found:
    stored = run.read(find_duplicates.STAGE, find_duplicates.DUPLICATES).collect()
    return {r.id: (r.keeper_id, r.group_id, r.cosine_similarity) for r in stored}


class Pool(NamedTuple):
    ids: list[str]
    X: NDArray[np.float32]  # on the grid
    run: Run
    found: Found


@pytest.fixture(scope="module")
def pool(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Pool:
    folder = tmp_path_factory.mktemp("near")
    ids, X = planted(42)
    write(folder / "pool", ids, X)
    run = done(spark, config_of(folder))
    stored = run.read(embed_pool.STAGE, embed_pool.EMBEDDINGS).select("id", "embedding").toArrow()
    of = dict(zip(stored["id"].to_pylist(), stored["embedding"].to_pylist(), strict=True))
    read = np.array([of[id_] for id_ in ids], np.float32)
    return Pool(ids, to_grid(read, UNIT), run, found(run))


def test_every_point_turned_away_is_similar_to_the_one_that_stays_for_it(pool: Pool) -> None:
    at = {id_: i for i, id_ in enumerate(pool.ids)}
    gone = np.array([at[id_] for id_ in pool.found])
    keepers = np.array([at[keeper] for keeper, *_ in pool.found.values()])
    exact = cosines(pool.X, pool.X, gone, keepers)
    assert exact.min() >= THRESHOLD
    assert np.array_equal(exact.astype(np.float32), [cosine for *_, cosine in pool.found.values()])
    assert not {keeper for keeper, *_ in pool.found.values()} & set(pool.found)
    groups = {(keeper, group) for keeper, group, _ in pool.found.values()}
    assert len(groups) == len({keeper for keeper, _ in groups}) == len({g for _, g in groups})


def test_hardly_any_similar_points_stay_both(pool: Pool) -> None:
    row, other = np.tril_indices(len(pool.ids), -1)
    scores = pool.X / np.linalg.norm(pool.X, axis=1, keepdims=True)
    near = np.flatnonzero((scores @ scores.T)[row, other] >= THRESHOLD)
    row, other = row[near], other[near]
    stays = np.array([id_ not in pool.found for id_ in pool.ids])
    assert len(row) > N_BLOB**2 / 3
    pairs = ~np.char.startswith(np.array(pool.ids), "blob")[row]  # the blob's are nearly all
    missed = (stays[row] & stays[other])[pairs]
    assert missed.mean() <= 0.01


def test_a_chain_is_cut_and_a_blob_leaves_one(pool: Pool) -> None:
    chain = [id_ for id_ in pool.ids if id_.startswith("chain") and id_ not in pool.found]
    assert N_CHAIN / 3 - 5 <= len(chain) <= N_CHAIN / 2 + 50
    blob = [id_ for id_ in pool.ids if id_.startswith("blob") and id_ not in pool.found]
    assert len(blob) <= 1
    assert pool.run.outcome(find_duplicates.STAGE).n_turned_away == len(pool.found)


def test_exact_copies_follow_their_keeper(pool: Pool) -> None:
    for i in range(N_COPIES):
        original = f"some{i:04}"
        keeper, _, cosine = pool.found[original]
        if keeper == f"copy{i:04}":  # it has the smaller id
            assert cosine == 1
        else:
            assert pool.found[f"copy{i:04}"] == pool.found[original]


def test_an_explanation_says_how_similar_it_is(pool: Pool) -> None:
    id_, (keeper, _, cosine) = next(
        (id_, what) for id_, what in sorted(pool.found.items()) if what[2] < 0.99
    )
    gate = str(explain(pool.run, point=id_).gate)
    assert gate == (
        f"rejected: duplicate, cosine similarity {cosine:.4f} to {keeper!r}, which stays"
    )


@pytest.fixture
def on_executors(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(finding, "LOCAL_BYTES", 0)
    for module in (door, runs, finding):
        monkeypatch.setattr(module, "HANDED_BYTES", 0)
    yield


def test_files_and_where_points_are_searched_change_nothing(
    spark: SparkSession, tmp_path: Path, pool: Pool, on_executors: None
) -> None:
    ids, X = planted(42)
    order = np.random.default_rng(7).permutation(len(ids))
    for i in range(7):
        mine = order[i::7]
        write(tmp_path / "pool" / f"part={i}", [ids[j] for j in mine], X[mine])
    assert found(done(spark, config_of(tmp_path))) == pool.found


# --- which one stays ------------------------------------------------------------------------------

# two groups of three similar points, the last two of each equal; and what they are worth
IDS = ["a", "b", "c", "p", "q", "r"]
GROUPS = np.repeat(unit(np.random.default_rng(5).standard_normal((2, 8))), 3, axis=0)


def ranked(spark: SparkSession, folder: Path, quality: list[str | None], keep: str) -> Found:
    X = GROUPS.astype(np.float32)
    X[[0, 3], 0] += 0.01
    write(folder / "pool", IDS, X, quality=pa.array(quality, pa.string()))
    told = ["input.metadata=[quality]", f"dedup.keep={keep}", "embed.normalize=false"]
    return found(done(spark, config_of(folder, *told)))


def test_a_column_of_numbers_says_who_stays(spark: SparkSession, tmp_path: Path) -> None:
    quality = ["9", "10", "10", None, "nan", "-1"]
    copies = ranked(spark, tmp_path, quality, "{by: quality, order: desc}")
    assert {id_: keeper for id_, (keeper, *_) in copies.items()} == {
        "a": "b", "c": "b", "p": "r", "q": "r",
    }  # fmt: skip


def test_a_column_of_texts_says_who_stays_wherever_it_is_searched(
    spark: SparkSession, tmp_path: Path, on_executors: None
) -> None:
    quality = ["9", "10", "11", None, "x", "w"]
    copies = ranked(spark, tmp_path, quality, "{by: quality}")
    assert {id_: keeper for id_, (keeper, *_) in copies.items()} == {
        "a": "b", "c": "b", "p": "r", "q": "r",
    }  # fmt: skip

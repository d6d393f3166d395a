"""Points in evaluation sets: of the same content or similar, named with the row that they match."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pyspark.sql import SparkSession

from jobs import embed_pool, find_duplicates
from jobs.config.errors import ConfigError, GuardError, InputError
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig
from jobs.duplicates import finding
from jobs.explain_point import explain
from jobs.points import surviving as door
from jobs.recipe import RECIPE
from jobs.runs import run as runs
from jobs.runs.opening import open_run
from jobs.runs.run import Run
from jobs.tables.shared import REJECTS

pytestmark = pytest.mark.whole

N_POINTS, N_FEATURES = 60, 16
X = np.random.default_rng(8).standard_normal((N_POINTS, N_FEATURES)).astype(np.float32)
X /= np.linalg.norm(X, axis=1, keepdims=True)
X[7] = X[2]  # a copy


def at(i: int, cosine: float) -> np.ndarray:
    """Return a direction at a cosine to a point."""
    other = X[i + 1] - (X[i + 1] @ X[i]) * X[i]
    return cosine * X[i] + np.sqrt(1 - cosine**2) * other / np.linalg.norm(other)


def write(path: Path, ids: list[str], vectors: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    vectors = [np.asarray(x, np.float32) for x in vectors]
    pq.write_table(pa.table({"id": ids, "vector": vectors}), path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "pool" / "a.parquet", [f"p{i:02}" for i in range(N_POINTS)], X)
    write(tmp_path / "eval" / "a.parquet", ["same", "far"], [X[2], at(20, 0.9)])
    write(tmp_path / "more" / "a.parquet", ["near", "out"], [at(30, 0.97), -X[40]])
    return tmp_path


def config_of(folder: Path, *overrides: str, root: str = "lake", **sections: Any) -> RunConfig:
    plain: dict[str, Any] = {
        "input": {"table": f"{folder}/pool", "embedding": "vector"},
        "output": {"root": f"{folder}/{root}"},
        "dedup": {"against": [f"{folder}/eval", {"table": f"{folder}/more"}]},
        "samples": [{"name": "s", "target_size": 10}],
    }
    return parse_config(plain | sections, overrides)


def done(spark: SparkSession, config: RunConfig) -> Run:
    run = open_run(spark, config)
    for stage in (embed_pool.STAGE, find_duplicates.STAGE):
        run.do(stage)
    return run


def rejects(run: Run) -> dict[str, str]:
    stored = run.read(find_duplicates.STAGE, REJECTS).collect()
    assert {(row.stage, row.reason) for row in stored} == {("find_duplicates", "contaminated")}
    return {row.id: row.detail for row in stored}


def test_what_is_in_an_evaluation_set_goes_wherever_it_is_compared(
    spark: SparkSession, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = done(spark, config_of(folder))
    found = rejects(run)
    same = f"the content of 'same' of {folder}/eval"
    assert found == {
        "p02": same, "p07": same, "p30": f"cosine similarity 0.9700 to 'near' of {folder}/more",
    }  # fmt: skip
    outcome = run.outcome(find_duplicates.STAGE)
    assert (outcome.n_contaminated, outcome.n_copies, outcome.n_turned_away) == (3, 0, 3)
    reported = find_duplicates.STAGE.report(run)
    assert [(r.key, r.value) for r in reported if r.section == "rejects"] == [("contaminated", 3)]
    assert door.size_of(run).n_points == door.surviving(run).count() == N_POINTS - 3
    assert str(explain(run, point="p07").gate) == f"rejected: contaminated, {same}"

    monkeypatch.setattr(finding, "LOCAL_BYTES", 0)
    for module in (door, runs, finding):
        monkeypatch.setattr(module, "HANDED_BYTES", 0)
    assert rejects(done(spark, config_of(folder, root="executors"))) == found
    # at another threshold, which near copies have too
    looser = done(spark, config_of(folder, "dedup.threshold=0.85", root="looser"))
    assert set(rejects(looser)) == {*found, "p20"}


def test_what_an_evaluation_set_is_at_is_part_of_the_key_and_of_no_lineage(
    spark: SparkSession, folder: Path
) -> None:
    config = config_of(folder)
    before = open_run(spark, config)
    write(folder / "more" / "b.parquet", ["new"], [X[50]])
    after = open_run(spark, config)
    assert before.key(embed_pool.STAGE) == after.key(embed_pool.STAGE)
    assert before.key(find_duplicates.STAGE) != after.key(find_duplicates.STAGE)
    assert RECIPE.lineage(before.written) == RECIPE.lineage(after.written)
    pinned = before.written.dedup.against[1].fingerprint
    with pytest.raises(ConfigError, match=rf"dedup.against.1.fingerprint='{pinned}', but .* now"):
        open_run(spark, config_of(folder, f"dedup.against.1.fingerprint={pinned}"))
    with pytest.raises(GuardError, match="all 60 points are in evaluation sets"):
        done(spark, config_of(folder, f"dedup.against=['{folder}/pool']", root="all"))
    with pytest.raises(InputError, match=r"dedup\.against\.0\.table='.*nothing' cannot be read"):
        open_run(spark, config_of(folder, f"dedup.against=['{folder}/nothing']"))


# --- real files -----------------------------------------------------------------------------------


def jpeg(i: int, quality: int = 90) -> bytes:
    pixels = np.random.default_rng(i).integers(0, 255, (4, 4, 3), np.uint8)
    into = io.BytesIO()
    Image.fromarray(pixels).resize((40, 40), 3).save(into, "JPEG", quality=quality)
    return into.getvalue()


def test_copies_of_files_go_and_files_of_an_evaluation_set(
    spark: SparkSession, tmp_path: Path
) -> None:
    files = {f"{i:02}.jpg": jpeg(i) for i in range(20)} | {"copy.jpg": jpeg(3)}
    files["worse.jpg"] = jpeg(5, quality=60)
    for name, content in files.items():
        (tmp_path / "pool").mkdir(exist_ok=True)
        (tmp_path / "pool" / name).write_bytes(content)
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval" / "x.jpg").write_bytes(jpeg(9))
    (tmp_path / "eval" / "y.jpg").write_bytes(jpeg(30))
    run = done(
        spark,
        config_of(
            tmp_path,
            input={
                "table": f"{tmp_path}/pool", "id": "substring_index(path, '/', -1)",
                "content": "content",
            },
            embed={"model": "pixels", "image_size": 8, "n_components": 16},
            dedup={"against": [f"{tmp_path}/eval"], "threshold": 0.98},
        ),
    )  # fmt: skip
    assert rejects(run) == {"09.jpg": f"the content of 'x.jpg' of {tmp_path}/eval"}
    copies = run.read(find_duplicates.STAGE, find_duplicates.DUPLICATES).collect()
    groups = [{row.id, row.keeper_id} for row in copies]
    assert sorted(map(sorted, groups)) == [["03.jpg", "copy.jpg"], ["05.jpg", "worse.jpg"]]


def test_copies_of_texts_go_and_texts_of_an_evaluation_set(
    spark: SparkSession, tmp_path: Path
) -> None:
    words = "river stone bridge market apple engine winter orange letter violin garden".split()
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(words, 8)) for _ in range(30)]
    texts[11] = texts[4]
    (tmp_path / "pool").mkdir()
    table = pa.table({"id": [*range(30)], "text": texts})
    pq.write_table(table, tmp_path / "pool" / "a.parquet")
    (tmp_path / "eval.jsonl").write_text(f'{{"key": "q1", "question": "{texts[17]}"}}\n')
    known = {"table": f"{tmp_path}/eval.jsonl", "id": "key", "content": "question"}
    run = done(
        spark,
        config_of(
            tmp_path,
            input={"table": f"{tmp_path}/pool", "content": "text"},
            embed={"model": "lsa", "n_components": 8},
            dedup={"against": [known]},
        ),
    )
    found = run.read(find_duplicates.STAGE, REJECTS).collect()
    assert (17, f"the content of 'q1' of {tmp_path}/eval.jsonl") in [
        (row.id, row.detail) for row in found
    ]
    copies = run.read(find_duplicates.STAGE, find_duplicates.DUPLICATES).collect()
    assert [(row.id, row.keeper_id) for row in copies] == [(11, 4)]

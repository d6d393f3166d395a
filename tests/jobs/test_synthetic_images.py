"""Images of captions: exactly so many, all different, once; where they land, and who joins."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs import check_synthesis, curate, plan_synthesis, render_images, write_captions
from jobs.config.errors import ConfigError, GuardError
from jobs.config.model import RunConfig
from jobs.runs.opening import open_run
from jobs.runs.run import Run
from tests.imaging import small
from tests.imaging.small import CONCEPTS, N_CAPTIONS, N_EACH, PER_CAPTION
from udfs.generate import Rendering, make_render
from udfs.generators import procedural
from udfs.generators.contract import Settings

pytestmark = pytest.mark.whole

IMAGES, CHECK = render_images.STAGE, check_synthesis.STAGE
FLAKY = "python:flaky_generator:make"


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Curate a pool of pictures, and write captions."""
    folder = small.write_inputs(tmp_path_factory.mktemp("images"))
    run = open_run(spark, small.config_of(folder, folder / "lake"))
    curate.curate(run)
    run.do(plan_synthesis.STAGE)
    run.do(write_captions.STAGE)
    return folder


@pytest.fixture(scope="module")
def rendered(spark: SparkSession, folder: Path) -> Path:
    """Return a root with images."""
    render_images.run(spark, small.config_of(folder, folder / "lake"))
    return folder / "lake"


@pytest.fixture
def flaky(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Put a generator of a user's where code is looked for."""
    (tmp_path / "flaky_generator.py").write_text(FLAKY_CODE)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("flaky_generator", None)


FLAKY_CODE = """
import numpy as np

def make():
    def generate(prompts):
        if any("red circle" in prompt.text for prompt in prompts):
            raise RuntimeError("out of red")
        grey = [0 if "square" in p.text and p.seed % 2 else p.seed % 251 for p in prompts]
        return [np.full((8, 8, 3), g, np.uint8) for g in grey]

    return generate
"""


def rows_of(run: Run, table: str, stage: Any = IMAGES) -> list[dict[str, Any]]:
    rows = run.lake.read(table, run.key(stage)).drop("chunk")
    return sorted((row.asDict() for row in rows.collect()), key=str)


# --- rendering ------------------------------------------------------------------------------------


def test_each_caption_has_exactly_so_many_different_images_and_they_are_what_the_kernel_draws(
    spark: SparkSession, folder: Path, rendered: Path
) -> None:
    run = open_run(spark, small.config_of(folder, rendered))
    rows = rows_of(run, "synthetic_images")
    assert len({(r["caption_id"], r["k"]) for r in rows}) == len(rows) == N_CAPTIONS * PER_CAPTION
    assert len({(r["caption_id"], r["sha256"]) for r in rows}) == len(rows)
    captions = run.lake.read("captions").join(run.lake.read("synthesis_concepts"), on="concept_id")
    texts = {row.caption_id: (row.text, row.concept) for row in captions.collect()}
    for row in rows:
        scene = procedural.scene_of(*texts[row["caption_id"]])
        drawn = procedural.encoded(procedural.draw(scene, row["seed"]))
        assert (bytes(row["image"]), row["width"]) == (drawn.content, drawn.width)


def test_the_manifest_has_every_caption_once_with_all_its_images(
    spark: SparkSession, folder: Path, rendered: Path
) -> None:
    run = open_run(spark, small.config_of(folder, rendered))
    rows = rows_of(run, "synthesis_manifest")
    assert sorted(row["caption_id"] for row in rows) == list(range(N_CAPTIONS))
    for row in rows:
        assert row["image_ids"] == [f"{row['caption_id']}-{k}" for k in range(PER_CAPTION)]
        assert len(row["is_masked"]) == PER_CAPTION
    assert sorted(row["position"] for row in rows) == list(range(N_CAPTIONS))


def test_a_rerun_writes_nothing(spark: SparkSession, folder: Path, rendered: Path) -> None:
    run = open_run(spark, small.config_of(folder, rendered))
    tables = [table.name for table in IMAGES.tables]
    before = [spark.sql(f"DESCRIBE HISTORY {run.lake.sql_name(t)}").count() for t in tables]
    render_images.render(run)
    assert run.reused == [IMAGES.name]
    after = [spark.sql(f"DESCRIBE HISTORY {run.lake.sql_name(t)}").count() for t in tables]
    assert after == before


def test_a_generator_that_fails_is_tried_again_and_then_told(
    spark: SparkSession, folder: Path, tmp_path: Path, flaky: Path
) -> None:
    root = shutil.copytree(folder / "lake", tmp_path / "lake")
    run = open_run(spark, small.config_of(folder, root, generator=FLAKY, tries=5))
    done = render_images.render(run)
    n_red = N_CAPTIONS // len(CONCEPTS)
    assert (done.n_short, done.n_failed) == (n_red, n_red * PER_CAPTION)
    jobs = rows_of(run, "image_jobs")
    failed = [job for job in jobs if job["status"] == "failed"]
    assert {(job["error"], job["n_tries"]) for job in failed} == {
        ("failed: RuntimeError: out of red", 5)
    }
    assert len(jobs) == N_CAPTIONS * PER_CAPTION
    images = rows_of(run, "synthetic_images")
    assert len({(r["caption_id"], r["sha256"]) for r in images}) == len(images)
    assert max(row["n_tries"] for row in images) > 1  # doubled ones were made anew
    late = small.config_of(folder, root, generator=FLAKY, tries=5, on_shortfall="fail")
    with pytest.raises(GuardError, match="fewer than 3 images; raise synthesis.tries"):
        render_images.run(spark, late)  # of what is stored
    strict = small.config_of(
        folder, root, "seed=1", generator=FLAKY, on_shortfall="fail", concepts=concepts_of(folder)
    )
    with pytest.raises(ConfigError, match="has not finished"):  # captions of another seed
        render_images.run(spark, strict)


def concepts_of(folder: Path) -> dict[str, str]:
    return {"table": f"{folder}/concepts.parquet"}


def test_a_shortfall_ends_with_exit_code_3_where_the_config_says_so_and_keeps_what_was_made(
    spark: SparkSession, folder: Path, tmp_path: Path, flaky: Path
) -> None:
    root = shutil.copytree(folder / "lake", tmp_path / "lake")
    config = small.config_of(folder, root, generator=FLAKY, tries=5, on_shortfall="fail")
    run = open_run(spark, config)
    with pytest.raises(GuardError, match="2 of 8 captions have fewer than 3 images") as found:
        render_images.render(run)
    assert found.value.exit_code == 3
    before = rows_of(run, "synthetic_images")
    again = open_run(spark, config.model_copy(update={}))
    with pytest.raises(GuardError):
        render_images.render(again)
    assert rows_of(again, "synthetic_images") == before  # none was made again


def test_images_made_later_are_in_the_manifest(
    spark: SparkSession, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    down = tmp_path / "down"
    code = FLAKY_CODE.replace('if any("red circle" in', f'if __import__("os").path.exists("{down}"'
                              ') and any("red circle" in')  # fmt: skip
    (tmp_path / "passing_generator.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    down.touch()
    root = shutil.copytree(folder / "lake", tmp_path / "lake")
    given = {"generator": "python:passing_generator:make", "tries": 5, "on_shortfall": "fail"}
    config = small.config_of(folder, root, **given)
    with pytest.raises(GuardError, match="2 of 8 captions have fewer than 3 images"):
        render_images.render(run := open_run(spark, config))
    assert len(rows_of(run, "synthesis_manifest")) == N_CAPTIONS - 2
    down.unlink()
    done = render_images.render(run := open_run(spark, config))
    assert done.n_short == 0
    assert {job["status"] for job in rows_of(run, "image_jobs")} == {"done"}
    assert sorted(row["caption_id"] for row in rows_of(run, "synthesis_manifest")) == list(
        range(N_CAPTIONS)
    )
    event = run.ledger.finished(run.key(IMAGES))
    for table in (render_images.JOBS, render_images.MANIFEST):
        digest = run.lake.describe(table, run.key(IMAGES)).digest
        assert event is not None and event.digests[table.name] == digest
    sys.modules.pop("passing_generator", None)


@pytest.mark.parametrize("n_batches", [1, 7])
def test_images_do_not_depend_on_how_captions_are_spread(n_batches: int) -> None:
    captions = [
        {"caption_id": i, "text": f"a {c}", "concept": c, "wanted": [0, 2], "known": []}
        for i, c in enumerate(CONCEPTS)
    ]
    import pyarrow as pa

    how = Rendering(lambda: procedural.make(Settings()), seed=3, n_tries=2, n_at_once=n_batches)
    table = pa.Table.from_pylist(captions)
    batches = iter(table.to_batches(max_chunksize=-(-len(captions) // n_batches)))
    rows = [row for batch in make_render(how)(batches) for row in batch.to_pylist()]
    alone = [
        row
        for caption in captions[::-1]
        for batch in make_render(how)(iter(pa.Table.from_pylist([caption]).to_batches()))
        for row in batch.to_pylist()
    ]
    assert sorted(rows, key=str) == sorted(alone, key=str)
    assert [row["image_id"] for row in rows] == [f"{i}-{k}" for i in range(4) for k in (0, 2)]


# --- where they land ------------------------------------------------------------------------------


def with_join(folder: Path, root: Path, **join: Any) -> RunConfig:
    return small.config_of(folder, root, join={"sample": "s", "max_per_node": 20} | join)


@pytest.fixture(scope="module")
def checked(spark: SparkSession, folder: Path, rendered: Path) -> Run:
    run = open_run(spark, with_join(folder, rendered))
    check_synthesis.check(run)
    return run


def test_images_land_where_the_nearest_leaf_is(checked: Run) -> None:
    """By the pool's own points: an image's leaf has the nearest of all centroids."""
    points = rows_of(checked, "synthetic_points", CHECK)
    assert len(points) == N_CAPTIONS * PER_CAPTION
    assert all(row["reason"] is None and row["path"][0] == row["leaf_id"] for row in points)
    assert all(row["is_landed"] == (row["intended_node"] is not None) for row in points)


def test_real_pictures_of_the_pool_would_land_where_they_are(
    spark: SparkSession, checked: Run, folder: Path, tmp_path: Path
) -> None:
    """The pool's own images as if they had been rendered: the assignments, once more."""
    from jobs import cluster_levels, embed_pool
    from jobs.imaging.landing import embedded
    from jobs.runs.work import Work

    pool = spark.read.parquet(f"{folder}/pool.parquet")
    images = pool.select(F.col("id").alias("image_id"), F.col("image").alias("value"))
    work = Work(checked, CHECK, None)  # type: ignore[arg-type]  # nothing is written
    gated = embedded(work, images, embed_pool.STAGE)
    found = cluster_levels.landed(work, gated).collect()
    own = checked.read(cluster_levels.STAGE, cluster_levels.ASSIGNMENTS).collect()
    assert {r.id: (r.leaf_id, r.path, r.sq_distance) for r in found} == {
        r.id: (r.leaf_id, r.path, r.sq_distance) for r in own
    }


def test_a_sample_keeps_its_rows_and_images_fill_up_what_it_lacks(checked: Run) -> None:
    rows = rows_of(checked, "synthetic_samples", CHECK)
    own = [row for row in rows if row["source"] == "pool"]
    more = [row for row in rows if row["source"] == "synthetic"]
    assert len(own) == 24
    assert {row["id"] for row in own} == {
        row.id for row in checked.lake.read("sample_s").select("id").collect()
    }
    assert sorted(row["position"] for row in rows) == list(range(len(rows)))
    points = rows_of(checked, "synthetic_points", CHECK)
    landed = {row["image_id"]: row["concept_id"] for row in points if row["is_landed"]}
    assert {row["image_id"] for row in more} <= {*landed}
    outcome = checked.outcome(CHECK)
    assert outcome.n_joined == len(more)
    assert outcome.entropy >= outcome.entropy_before == pytest.approx(0.792, abs=0.001)


def test_refusals_name_what_was_found_and_what_is_wanted(
    spark: SparkSession, folder: Path, rendered: Path
) -> None:
    def refused(*overrides: str, job: Any = check_synthesis, **join: Any) -> str:
        with pytest.raises(ConfigError) as found:
            job.run(spark, with_join(folder, rendered, **join).model_copy(update=dict(overrides)))
        return str(found.value)

    assert refused(sample="t") == "synthesis.join.sample='t': want the name of a sample: s"
    off = small.config_of(folder, rendered, "synthesis.concepts=null")
    with pytest.raises(ConfigError, match="synthesis.concepts is null"):
        render_images.run(spark, off)
    none_yet = small.config_of(folder, rendered, n_captions=9)
    with pytest.raises(ConfigError, match="run evenlake synthesis (plan|captions) first"):
        render_images.run(spark, none_yet)
    later = small.config_of(folder, rendered, images_per_caption=9)
    with pytest.raises(ConfigError, match="run evenlake synthesis images first"):
        check_synthesis.run(spark, later)


def test_the_page_shows_pictures_by_concept(checked: Run) -> None:
    said = check_synthesis._show(checked)
    (line,) = [line for line in said.splitlines() if line.startswith("page: ")]
    html = Path(line.removeprefix("page: ")).read_text()
    assert "blue square: at home" in html
    assert html.count("data:image/jpeg;base64") >= N_EACH

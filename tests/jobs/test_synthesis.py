"""A plan of captions, and the captions: quotas by scarcity, nothing asked twice, refusals."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pyspark.sql import SparkSession

from jobs import curate, plan_synthesis, run_synthesis, write_captions
from jobs.config.errors import ConfigError, CurationError, GuardError, InputError
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig, as_dict
from jobs.recipe import RECIPE
from jobs.runs.opening import open_run
from jobs.runs.run import Run
from jobs.synthesis.asking import ANSWERS
from tests.jobs.tiny import new_events
from tests.synthesis.servers import Asked, echo, server

pytestmark = pytest.mark.whole

PLAN, CAPTIONS = plan_synthesis.STAGE, write_captions.STAGE
KEY = "sk-not-to-be-shown"
SIZES = {"cat": 24, "ship": 12, "tree": 3}
WORDS = {
    "cat": "purring whiskers kitten",
    "ship": "harbour anchor sailing",
    "tree": "leaves branches roots",
}
MODULE = '''
"""Captioners of a user's own: they note what they are asked, and are not reliable."""


def make(notes, bad="nothing"):
    def write(prompts):
        with open(notes, "a") as log:
            log.writelines(text.splitlines()[-1] + "\\n" for text in prompts)
        return [answer(text) for text in prompts]

    def answer(text):
        *_, last = text.splitlines()
        asked = last.removesuffix(" =>").replace(", ", " ")
        draw = hash_of(text) % 10
        if bad in last:
            return None
        if draw < 1:
            return None
        if draw < 2:
            return f"A {asked} that was written before"
        if draw < 3:
            return "rubbish of some length all the same"
        return f"A {asked} with " + " ".join(f"w{d}{i}" for i, d in enumerate(str(hash_of(text))))

    return write


def hash_of(text):
    value = 7
    for each in text.encode():
        value = (value * 31 + each) % 999_999_937
    return value
'''
Configure = Callable[..., RunConfig]


@pytest.fixture(scope="module")
def curated(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Curate a pool of three clouds with texts and labels."""
    folder, rng = tmp_path_factory.mktemp("synthesis"), np.random.default_rng(3)
    rows = []
    for i, (label, n) in enumerate(SIZES.items()):
        for j in range(n):
            vector = (4 * np.eye(4)[i] + 0.2 * rng.standard_normal(4)).tolist()
            rows.append((f"{label}-{j}", vector, WORDS[label], label))
    frame = spark.createDataFrame(
        rows, "id string, vector array<double>, text string, label string"
    )
    frame.coalesce(1).write.format("delta").save(f"{folder}/pool")
    curate.run(spark, parse_config(plain_of(folder)))
    return folder


def plain_of(folder: Path) -> dict[str, Any]:
    return {
        "input": {
            "table": f"{folder}/pool", "embedding": "vector", "content": "text",
            "metadata": ["label"],
        },
        "output": {"root": f"{folder}/lake"},
        "cluster": {"levels": [6, 3], "resampling": {"rounds": 1}},
        "samples": [{"name": "s", "target_size": 9, "share": {"leaves": 0.0}}],
    }  # fmt: skip


@pytest.fixture
def configure(curated: Path, tmp_path: Path) -> Configure:
    """Configure runs on a copy of the curated root."""
    root = shutil.copytree(curated / "lake", tmp_path / "lake")

    def configured(*overrides: str, label: str | None = None, **synthesis: Any) -> RunConfig:
        plain = plain_of(curated) | {"synthesis": {"n_captions": 30} | synthesis}
        plain["report"] = {"label": label}
        return parse_config(plain, [f"output.root={root}", *overrides])

    return configured


def captioned(spark: SparkSession, config: RunConfig) -> tuple[Run, list[dict[str, Any]]]:
    """Write captions; return the run, and the captions by their ids."""
    run = open_run(spark, config)
    write_captions.write(run)
    return run, rows_of(run)


def rows_of(run: Run) -> list[dict[str, Any]]:
    rows = run.lake.read("captions", run.key(CAPTIONS)).orderBy("caption_id").collect()
    return [row.asDict() for row in rows]


def planned(spark: SparkSession, config: RunConfig) -> dict[str, tuple[int | None, int]]:
    """Plan; return each concept's points and quota."""
    run = open_run(spark, config)
    plan_synthesis.plan(run)
    return {each.name: (each.n_points, each.quota) for each in plan_synthesis.concepts_of(run)}


# --- the plan -------------------------------------------------------------------------------------


def test_nodes_are_concepts_named_by_their_words_or_labels_and_thin_ones_get_most(
    spark: SparkSession, configure: Configure
) -> None:
    by_label = planned(spark, configure(concepts="tree", label="label", n_captions=112))
    # 112 by 1/25, 1/13, 1/4
    want = {"cat": (24, 12), "ship": (12, 24), "tree": (3, 76)}
    assert by_label == want
    by_words = planned(spark, configure(concepts="tree", n_captions=112))
    named = {word: label for label, words in WORDS.items() for word in words.split()}
    assert {named[word]: figures for word, figures in by_words.items()} == want
    assert planned(spark, configure(concepts="label", label="label", n_captions=112)) == want


def test_a_concept_that_the_pool_has_none_of_gets_the_most(
    spark: SparkSession, configure: Configure, tmp_path: Path
) -> None:
    rows = [("owl", ["night bird"], 1.0), ("kitten", ["cat"], 1.0), ("ship", None, 0.0)]
    frame = spark.createDataFrame(rows, "name string, others array<string>, w double")
    frame.write.parquet(f"{tmp_path}/concepts")
    table = {"table": f"{tmp_path}/concepts", "concept": "name", "aliases": "others", "weight": "w"}
    known = planned(spark, configure(concepts=table, label="label", n_captions=26))
    assert known == {"owl": (0, 25), "kitten": (24, 1), "ship": (12, 0)}
    unknown = planned(spark, configure(concepts=table, n_captions=26))
    assert unknown == {"owl": (None, 13), "kitten": (None, 13), "ship": (None, 0)}


@pytest.mark.parametrize("n_partitions", ["1", "7"])
def test_partitions_change_no_prompt_and_no_caption(
    spark: SparkSession, configure: Configure, n_partitions: str
) -> None:
    before = spark.conf.get("spark.sql.shuffle.partitions")
    spark.conf.set("spark.sql.shuffle.partitions", n_partitions)
    try:
        run, _ = captioned(spark, configure(concepts="tree"))
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", before)
    found = {
        table.name: run.lake.describe(table, run.key(stage)).digest
        for stage, table in (
            (PLAN, plan_synthesis.CONCEPTS),
            (PLAN, plan_synthesis.CAPTION_PROMPTS),
            (CAPTIONS, write_captions.CAPTIONS),
        )
    }
    assert found == DIGESTS.setdefault("first", found)


DIGESTS: dict[str, dict[str, str]] = {}  # of the first layout


# --- the captions ---------------------------------------------------------------------------------


def test_captions_meet_their_quotas_and_a_second_run_writes_nothing(
    spark: SparkSession, configure: Configure
) -> None:
    config = configure(concepts="label", label="label", occupancy=0)
    run, rows = captioned(spark, config)
    assert all(row["is_ok"] for row in rows)
    assert Counter(row["concept_id"] for row in rows) == {0: 10, 1: 10, 2: 10}
    assert [row["caption_id"] for row in rows] == [row["n"] for row in rows] == [*range(30)]
    commits = spark.sql(f"DESCRIBE HISTORY {run.lake.sql_name('captions')}").count()
    with new_events(run.lake) as events:
        again, same = captioned(spark, config)
    assert again.reused == ["plan_synthesis", "write_captions"]
    assert {row.event for row in events} == {"reused"}
    assert same == rows
    assert spark.sql(f"DESCRIBE HISTORY {run.lake.sql_name('captions')}").count() == commits


def test_another_plan_has_captions_of_its_own_and_the_run_stays_as_it_is(
    configure: Configure,
) -> None:
    one, other = configure(concepts="tree"), configure(concepts="tree", n_captions=31)
    mine, theirs = (RECIPE.keys(config, "input@0") for config in (one, other))
    changed = [name for name in mine if mine[name] != theirs[name]]
    assert changed == ["plan_synthesis", "write_captions", "render_images", "check_synthesis"]
    checks = configure(concepts="tree", checks={"max_words": 9})
    assert RECIPE.keys(checks, "input@0")["plan_synthesis"] == mine["plan_synthesis"]
    assert RECIPE.keys(checks, "input@0")["write_captions"] != mine["write_captions"]
    plain = configure()
    assert RECIPE.run_id(one, "input@0") == RECIPE.run_id(plain, "input@0")
    assert RECIPE.lineage(one) == RECIPE.lineage(plain)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Write a captioner of the user's own; return the keys that name it."""
    (tmp_path / "my_captioner.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    notes = str(tmp_path / "notes.txt")
    return {"captioner": "python:my_captioner:make", "captioner_options": {"notes": notes}}


def test_a_captioner_that_fails_repeats_and_rambles_ends_with_exact_quotas(
    spark: SparkSession, configure: Configure, own: dict[str, Any]
) -> None:
    config = configure(concepts="label", label="label", occupancy=0, n_captions=120, **own)
    run, rows = captioned(spark, config)
    done = run.outcome(CAPTIONS)
    assert (done.n_captions, done.n_short) == (120, 0)
    assert done.evenness == pytest.approx(1.0)
    assert Counter(row["concept_id"] for row in rows if row["is_ok"]) == {0: 40, 1: 40, 2: 40}
    reasons = Counter(row["reject_reason"] for row in rows if not row["is_ok"])
    assert {"no_answer", "concept_missing", "duplicate"} <= {*reasons}
    asked = Path(own["captioner_options"]["notes"]).read_text().splitlines()
    assert len(asked) == done.n_asked == len(rows) > 120
    assert not run.lake.read(ANSWERS, run.key(CAPTIONS)).count()  # they have gone
    captioned(spark, config)
    assert len(Path(own["captioner_options"]["notes"]).read_text().splitlines()) == len(asked)


def test_a_concept_that_never_works_is_told_and_fails_if_asked_to(
    spark: SparkSession, configure: Configure, own: dict[str, Any]
) -> None:
    own["captioner_options"]["bad"] = "ship"
    given = {"concepts": "label", "occupancy": 0, "max_rounds": 6, **own}
    run, rows = captioned(spark, configure(label="label", **given))
    counts = Counter(row["concept_id"] for row in rows if row["is_ok"])
    assert counts == {0: 10, 2: 10}
    assert run.outcome(CAPTIONS).n_short == 10
    said = write_captions._show(run)
    assert "10 captions are missing after 6 rounds, of 1 concepts: ship 0 of 10; raise" in said
    assert "turned away, no_answer: " in said
    with pytest.raises(GuardError, match="ship 0 of 10") as error:  # of what is stored
        captioned(spark, configure(label="label", **given, on_shortfall="fail"))
    assert error.value.exit_code == 3


def test_a_captioner_that_only_fails_is_given_up_early(
    spark: SparkSession, configure: Configure, own: dict[str, Any]
) -> None:
    own["captioner_options"]["bad"] = " =>"
    config = configure(concepts="label", label="label", n_captions=500, **own)
    with pytest.raises(CurationError, match="failed for 20 prompts in a row, the last with no_ans"):
        captioned(spark, config)
    asked = Path(own["captioner_options"]["notes"]).read_text().splitlines()
    assert 20 <= len(asked) < 200


def test_stored_answers_are_not_asked_for_again_and_the_key_is_nowhere(
    spark: SparkSession,
    configure: Configure,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)

    def gives_up(body: dict[str, Any], n: int) -> tuple[int, str]:
        return (401, f"no more for {KEY}") if is_tired and n > 25 else echo(body, n)

    def written(asked: Asked) -> list[dict[str, Any]]:
        options = {"base_url": asked.base_url, "key_variable": "MY_KEY"}
        return captioned(
            spark,
            configure(
                concepts="label", label="label", captioner="openai:m", captioner_options=options,
                calls={"at_once": 1},
            ),
        )[1]  # fmt: skip

    is_tired = True
    with caplog.at_level("DEBUG", logger="jobs"), server(gives_up) as asked:
        with pytest.raises(ConfigError, match="answers 401 no more for") as error:
            written(asked)
        n_before = len(asked.bodies)
        assert n_before in (26, 27)  # one more may be on its way
        is_tired = False
        rows = written(asked)
    assert sum(row["is_ok"] for row in rows) == 30
    assert len(asked.bodies) == n_before + 5
    times = Counter(asked.prompts)
    assert {times[prompt] for prompt in asked.prompts[:25]} == {1}
    assert {*asked.keys} == {f"Bearer {KEY}"}
    assert KEY not in str(error.value) + caplog.text
    kept = [path for path in (tmp_path / "lake").rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if KEY.encode() in path.read_bytes()]


# --- the command ----------------------------------------------------------------------------------


def test_the_command_has_steps_and_pages(
    spark: SparkSession, configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = as_dict(configure(concepts="tree"))
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(config))
    assert run_synthesis.main(["plan", "--config", str(tmp_path / "my.yaml")]) == 0
    said = capsys.readouterr().out
    assert "30 captions of 3 concepts, 3 to 21 each; the most: " in said
    assert run_synthesis.main(["captions", "-c", str(tmp_path / "my.yaml")]) == 0
    said = capsys.readouterr().out
    assert "30 captions of 30 prompts in 1 rounds\nevery quota is met" in said
    page = Path(said.splitlines()[-1].removeprefix("page: ")).read_text()
    assert "Captions for what the pool has little of" in page
    assert "points of the pool" in page
    assert run_synthesis.main(["sing"]) == 2


@pytest.mark.parametrize(
    ("label", "synthesis", "error", "said"),
    [
        (None, {}, ConfigError, "synthesis.concepts is missing; want tree, label, or a table"),
        (None, {"concepts": "label"}, ConfigError, "label reads report.label, which is missing"),
        (None, {"concepts": "tree", "level": 9}, ConfigError, "level=9, but the tree has 2 levels"),
        (
            None,
            {"concepts": {"table": "/nowhere/c"}},
            InputError,
            "synthesis.concepts.table='/nowhere/c'",
        ),
        (
            None,
            {"concepts": {"table": "{pool}", "concept": "name"}},
            InputError,
            "synthesis.concepts.concept='name' is no column or expression",
        ),
        (
            None,
            {"concepts": {"table": "{pool}", "concept": "label", "aliases": "vector"}},
            InputError,
            "synthesis.concepts.aliases='vector' is array<double>; want an array of texts",
        ),
        (
            None,
            {"concepts": {"table": "{pool}", "concept": "label"}},
            InputError,
            "'cat' and 'cat' are one name; want each concept once",
        ),
        (
            "label",
            {"concepts": "label", "captioner": "python:no_such_captioner:make"},
            ConfigError,
            "synthesis.captioner='python:no_such_captioner:make': there is no module",
        ),
        (
            "label",
            {"concepts": "label", "captioner_version": "v7"},
            ConfigError,
            "synthesis.captioner_version='v7', but grammar is None now; null takes",
        ),
        (
            "label",
            {"concepts": "label", "captioner": "transformers:/nowhere/model"},
            ConfigError,
            "synthesis.captioner='transformers:/nowhere/model': ",
        ),
    ],
)
def test_what_cannot_be_planned_is_refused(
    spark: SparkSession,
    configure: Configure,
    curated: Path,
    label: str | None,
    synthesis: dict[str, Any],
    error: type[CurationError],
    said: str,
) -> None:
    concepts = synthesis.get("concepts")
    if isinstance(concepts, dict):
        at = {"table": concepts["table"].format(pool=curated / "pool")}
        synthesis = synthesis | {"concepts": concepts | at}
    with pytest.raises(error) as found:
        captioned(spark, configure(label=label, **synthesis))
    assert said in str(found.value)

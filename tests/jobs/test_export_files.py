"""Exports through Spark: ids, columns, order and files; refusals; crashes and repeats."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs import export_files, score_learnability
from jobs.__main__ import main as evenlake
from jobs.config.errors import ConfigError, CurationError, InputError
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig, as_dict
from jobs.export_files import export
from jobs.exporting import writing
from jobs.exporting.folder import Folder
from jobs.exporting.wanted import Exported, Wanted
from jobs.recipe import RECIPE
from jobs.runs.opening import open_run
from jobs.runs.outcomes import Outcome
from jobs.runs.run import Run
from jobs.runs.stage import Recipe, Stage
from jobs.tables.table import Table
from jobs.training.batches import Batches
from jobs.training.index import INDEX, UNFINISHED, Index, read_index
from tests.jobs.tiny import N_POINTS, config_of, write_curated

pytestmark = pytest.mark.whole

SIZE = 4
STAGE = score_learnability.STAGE


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Curate a tiny pool, and draw from it in two rounds."""
    folder = write_curated(spark, tmp_path_factory.mktemp("export"))
    rng = np.random.default_rng(5)
    ids = [f"{N_POINTS}-{i}" for i in range(N_POINTS)]
    for name in ("online", "reference"):
        pq.write_table(
            pa.table({"id": ids, "loss": rng.gamma(2.0, size=N_POINTS)}), folder / f"{name}.parquet"
        )
    score_learnability.run(spark, config(folder))
    return folder


def config(folder: Path) -> RunConfig:
    losses = {n: {"table": f"{folder}/{n}.parquet"} for n in ("online", "reference")}
    drawn = {"source": "pool", "rounds": 2, "keep": 0.45} | losses  # 27 of 60 in each round
    return parse_config(as_dict(config_of(folder)) | {"learnability": drawn}, ())


@pytest.fixture(scope="module")
def opened(spark: SparkSession, folder: Path) -> Run:
    return open_run(spark, config(folder))


@pytest.fixture(scope="module")
def whole(opened: Run, folder: Path) -> Exported:
    """Export everything; tests leave it as it is."""
    wanted = Wanted(of="learnability", batch_size=SIZE, columns=("label", "vector"))
    return export(opened, f"{folder}/whole", wanted)


@pytest.fixture
def to(opened: Run, tmp_path: Path) -> Callable[..., Exported]:
    """Export to a folder of the test's own."""

    def exported(name: str = "export", **wanted: Any) -> Exported:
        given = {"of": "learnability", "batch_size": SIZE, "columns": ("label", "vector")} | wanted
        return export(opened, str(tmp_path / name), Wanted(**given))

    return exported


def drawn(run: Run) -> dict[int, list[str]]:
    """Return the drawn ids of each round, in the order of the shuffle."""
    found = {}
    for each in score_learnability.selections(run):
        key = F.xxhash64("id", F.lit("export"), F.lit(0), F.lit(each.round))
        rows = sorted(tuple(row) for row in each.rows.select(key, "id").collect())
        found[each.round] = [id_ for _, id_ in rows]
    return found


def content(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in place.iterdir()}


# --- what is exported -----------------------------------------------------------------------------


def test_rows_are_those_drawn_in_the_order_of_a_hash(opened: Run, whole: Exported) -> None:
    parts = [pq.read_table(path) for path in sorted(Path(whole.folder).glob("part-*.parquet"))]
    table = pa.concat_tables(parts)
    assert table.column_names == ["batch_id", "position", "id", "label", "vector"]
    assert [str(kind) for kind in table.schema.types[:2]] == ["int64", "int32"]
    shuffled = drawn(opened)
    assert [len(ids) for ids in shuffled.values()] == [27, 27]
    assert table["id"].to_pylist() == shuffled[0] + shuffled[1]
    numbers = [i // SIZE for i in range(27)]
    assert table["batch_id"].to_pylist() == numbers + [7 + n for n in numbers]
    assert table["position"].to_pylist() == 2 * [i % SIZE for i in range(27)]
    pool = {row.id: row for row in opened.pool.rows.collect()}
    for row in table.to_pylist():
        assert (row["label"], row["vector"]) == (pool[row["id"]].label, pool[row["id"]].vector)


def test_a_trainer_reads_what_was_drawn(opened: Run, whole: Exported) -> None:
    batches = [*Batches(whole.folder)]
    assert [len(b["id"]) for b in batches] == 2 * [*[SIZE] * 6, 3]
    assert [b["batch_id"] for b in batches] == list(range(14))
    assert [id_ for b in batches for id_ in b["id"]] == sum(drawn(opened).values(), [])
    assert batches[0]["vector"].shape == (SIZE, 4)
    index = read_index(whole.folder)
    assert (index.n_batches, index.n_rows) == (14, 54)
    assert [tuple(one.values()) for one in index.rounds] == [(0, 0, 7, 27), (1, 7, 7, 27)]
    keys = [each.name for each in score_learnability.selections(opened)]
    assert index.source["stage_keys"] == keys
    assert str(whole).endswith(
        "the last batch of round 0 has 3 rows\nthe last batch of round 1 has 3 rows"
    )


def test_files_are_bounded_hold_whole_batches_and_whole_row_groups(
    to: Callable[..., Exported], whole: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_GROUP_BYTES", 0)  # a row group each
    done = to(file_mb=900 / 2**20)  # rows take some 70 bytes
    files = read_index(done.folder).files
    assert len(files) == len([*Path(done.folder).glob("part-*.parquet")])
    spans = [file.last_batch - file.first_batch + 1 for file in files]
    assert 2 <= max(spans) <= 4
    assert sum(spans) == 14
    for file in files:
        metadata = pq.read_metadata(f"{done.folder}/{file.path}")
        assert metadata.num_rows == file.n_rows
        sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        assert len(sizes) == file.last_batch - file.first_batch + 1
        assert set(sizes[:-1]) <= {SIZE}
    assert len(read_index(whole.folder).files) == 2  # one a round
    assert [b["id"] for b in Batches(done.folder)] == [b["id"] for b in Batches(whole.folder)]


def test_the_layout_of_rows_changes_no_byte(
    opened: Run, to: Callable[..., Exported], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    drawn_of, named = export_files._drawn, export_files.named_columns
    for n in (1, 7):
        monkeypatch.setattr(
            export_files, "_drawn", lambda run, n=n: (drawn_of(run)[0].repartition(n), ["key"])
        )
        monkeypatch.setattr(
            export_files, "named_columns", lambda *given, n=n: named(*given).repartition(n)
        )
        found.append(content(Path(to(f"by{n}", file_mb=900 / 2**20).folder)))
    assert found[0] == found[1]
    assert len(found[0]) > 3


def test_rounds_can_be_chosen(opened: Run, to: Callable[..., Exported]) -> None:
    done = to(rounds=(1,), columns=())
    assert [*Batches(done.folder)][0]["batch_id"] == 0
    assert [id_ for b in Batches(done.folder) for id_ in b["id"]] == drawn(opened)[1]


def test_of_a_points_copies_one_row_is_exported(
    spark: SparkSession, opened: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def doubled(*given: Any) -> Any:
        once = named(*given)
        return once.unionByName(once.withColumn("label", F.lit("copy")))

    named = export_files.named_columns
    monkeypatch.setattr(export_files, "named_columns", doubled)
    wanted = Wanted(of="learnability", batch_size=SIZE, columns=("label",))
    done = export(opened, str(tmp_path / "export"), wanted)
    assert [id_ for b in Batches(done.folder) for id_ in b["id"]] == sum(drawn(opened).values(), [])


# --- batches that were selected as such -----------------------------------------------------------


SELECTED = Table("batches", "round INT, batch_id BIGINT, position INT, id {id}")


def _select(this: Any) -> Outcome:
    """Select batches of 3, 2 and 3 rows: their numbers have gaps, the rounds overlap."""
    rows = [
        (r, b, p, f"{N_POINTS}-{10 * r + b + p}")
        for r, b, n in ((0, 2, 3), (0, 9, 2), (1, 2, 3))
        for p in range(n)
    ]
    frame = this.spark.createDataFrame(
        rows[::-1], "round int, batch_id bigint, position int, id string"
    )
    this.write(SELECTED, frame)
    return Outcome()


SELECT = Stage(
    name="select_batches",
    version=1,
    after=(STAGE,),
    reads=("seed",),
    is_side=True,
    outcome=Outcome,
    work=_select,
    tables=(SELECTED,),
    command="batches",
)


def test_selected_batches_are_exported_as_they_are(
    spark: SparkSession, folder: Path, tmp_path: Path
) -> None:
    others = [stage for stage in RECIPE.stages if stage.name != SELECT.name]
    this = open_run(spark, config(folder), recipe=Recipe((*others, SELECT)))
    wanted = Wanted(of="batches", columns=("label",))
    with pytest.raises(ConfigError, match="select_batches has not finished"):
        export(this, str(tmp_path / "export"), wanted)
    this.do(SELECT)
    done = export(this, str(tmp_path / "export"), wanted)
    assert [b["id"] for b in Batches(done.folder)] == [
        ["60-2", "60-3", "60-4"],
        ["60-9", "60-10"],
        ["60-12", "60-13", "60-14"],
    ]
    with pytest.raises(ConfigError, match="--of batches --batch-size 3: batches are exported as"):
        export(this, str(tmp_path / "other"), Wanted(of="batches", batch_size=3))


@pytest.mark.parametrize("name", ["a b", "a%20b", "a#b", "link/../above"])
def test_a_trainer_finds_a_folder_where_the_export_went(
    opened: Run, whole: Exported, tmp_path: Path, name: str
) -> None:
    (tmp_path / "far" / "target").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far" / "target")
    place = f"file://{tmp_path}/{name}"
    wanted = Wanted(of="learnability", batch_size=SIZE, columns=("label", "vector"))
    assert export(opened, place, wanted).is_new
    assert content(tmp_path / name) == content(Path(whole.folder))
    for same in (place, f"{tmp_path}/{name}"):
        assert [b["id"] for b in Batches(same)] == [b["id"] for b in Batches(whole.folder)]
        assert not export(opened, same, wanted).is_new


# --- the folder: repeats, crashes, strangers ------------------------------------------------------


def test_a_repeat_does_nothing_and_says_so(opened: Run, whole: Exported) -> None:
    times = {path: path.stat().st_mtime_ns for path in Path(whole.folder).iterdir()}
    wanted = Wanted(of="learnability", batch_size=SIZE, columns=("label", "vector"))
    again = export(opened, whole.folder, wanted)
    assert (whole.is_new, again.is_new) == (True, False)
    assert str(again).startswith("nothing to do, this export is there already:\n54 rows of learn")
    assert {path: path.stat().st_mtime_ns for path in Path(whole.folder).iterdir()} == times
    assert {path.name for path in times} == {INDEX, "part-00000.parquet", "part-00001.parquet"}


def test_after_any_crash_the_same_command_makes_the_same_files(
    to: Callable[..., Exported], whole: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, place, remove = tmp_path / "broken", Folder.place, Folder._remove_unfinished

    def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    def place_but(name: str) -> Callable[[Folder, str, str], None]:
        return lambda self, path, to: crash() if to == name else place(self, path, to)

    def remove_unless_finished(self: Folder) -> None:
        crash() if (broken / INDEX).exists() else remove(self)

    crashes = (
        ("write_text", crash, set()),
        ("place", place_but("part-00001.parquet"), {"part-00000.parquet"}),
        ("place", place_but(INDEX), {"part-00000.parquet", "part-00001.parquet"}),
        ("_remove_unfinished", remove_unless_finished, {*content(Path(whole.folder))}),
    )
    for name, instead, left in crashes:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Folder, name, instead)
            to("broken")
        assert {path.name for path in broken.iterdir()} == {UNFINISHED, *left}
        if INDEX not in left:
            with pytest.raises(ValueError, match="not finished"):
                Batches(str(broken))
    assert not to("broken").is_new  # the last crash came after the index
    assert content(broken) == content(Path(whole.folder))


def test_a_folder_that_holds_anything_else_is_refused(
    spark: SparkSession, whole: Exported, tmp_path: Path
) -> None:
    source = {**whole.index.source}

    def refused(name: str, said: str, **other: Any) -> None:
        with pytest.raises(ConfigError, match=said) as error:
            Folder(spark, str(tmp_path / name), Index).claim(source | other)
        want = "want a folder that is empty, new, or an earlier export of the same: name another"
        assert want in str(error.value)

    shutil.copytree(whole.folder, tmp_path / "export")
    refused("export", "an export of something else: batch_size=4, not 5", batch_size=5)
    (tmp_path / "export" / "part-00001.parquet").unlink()
    refused("export", "holds this export, but has lost part-00001.parquet")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "part-00000.parquet").write_text("mine")
    refused("other", "holds part-00000.parquet, which is no export")
    (tmp_path / "other" / UNFINISHED).mkdir()
    refused("other", "an unfinished export of who knows what")
    (tmp_path / "other" / UNFINISHED / "source.json").write_text(json.dumps(source))
    refused("other", "an unfinished export of something else: of='lear", of="batches")
    (tmp_path / "other" / "notes.txt").touch()
    refused("other", "holds notes.txt beside an unfinished export")
    assert (tmp_path / "other" / "part-00000.parquet").read_text() == "mine"
    (tmp_path / "other" / INDEX).write_text("{}")
    refused("other", "holds an index that cannot be read")
    (tmp_path / "file").touch()
    refused("file", "is a file")
    with pytest.raises(ConfigError, match="that pyarrow.fs knows, such as s3://"):
        Folder(spark, "nowhere://x/y", Index)


def test_a_refused_export_leaves_its_folder_as_it_was(spark: SparkSession, tmp_path: Path) -> None:
    for is_new in (True, False):
        at = tmp_path / f"{is_new}"
        for error in (InputError("a row is lacking"), ConfigError("no such column")):
            if not is_new:
                at.mkdir(exist_ok=True)
            folder = Folder(spark, str(at), Index)
            with pytest.raises(type(error)), folder.claimed({"of": "batches"}):
                folder.write_text("part-00000.parquet", "some rows")
                raise error
            assert at.exists() != is_new
            assert is_new or not [*at.iterdir()]
    other = Folder(spark, str(at), Index)
    with pytest.raises(ConfigError, match="no such"), folder.claimed({"of": "batches"}):
        other.claim({"of": "batches"})  # the same export, by another process
        other.write_text("part-00000.parquet", "its rows")
        raise ConfigError("no such column")
    assert (at / "part-00000.parquet").exists()
    with pytest.raises(KeyboardInterrupt), folder.claimed({"of": "batches"}):
        raise KeyboardInterrupt
    with pytest.raises(ConfigError, match="an unfinished export of something else"):
        folder.claim({"of": "negatives"})  # nobody has refused it: it may still be under way


@pytest.mark.parametrize(
    ("wanted", "error", "said"),
    [
        ({"of": "sample"}, ConfigError, "--of sample: want one of learnability, batches"),
        ({"batch_size": None}, ConfigError, "want --batch-size N"),
        ({"batch_size": 0}, ConfigError, "--batch-size 0: want 1 or more"),
        ({"columns": ("labels",)}, InputError, "'labels' is not a column of .*'label'"),
        ({"columns": ("Batch_Id",)}, ConfigError, "Batch_Id is there already; id, batch_id, posi"),
        ({"columns": ("label", "Label")}, ConfigError, "Label is there already"),
        ({"rounds": (1, 2)}, InputError, "--rounds 1,2: learnability has no selected row there"),
        ({"of": "batches", "batch_size": None}, ConfigError, "batches.learner is null, so"),
        ({"of": "negatives", "batch_size": None}, ConfigError, "contrast.source is null, so"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    to: Callable[..., Exported],
    tmp_path: Path,
    wanted: dict[str, Any],
    error: type[CurationError],
    said: str,
) -> None:
    with pytest.raises(error, match=said):
        to(**wanted)
    assert not (tmp_path / "export").exists()


def test_ids_that_the_pool_has_not_are_counted(
    to: Callable[..., Exported], monkeypatch: pytest.MonkeyPatch
) -> None:
    named = export_files.named_columns
    monkeypatch.setattr(
        export_files, "named_columns", lambda *given: named(*given).where("label = 'a'")
    )
    with pytest.raises(InputError, match="of 54 rows have no row of their id in the pool"):
        to()


def test_learnability_that_is_off_is_refused(
    spark: SparkSession, folder: Path, tmp_path: Path
) -> None:
    this = open_run(spark, config_of(folder))
    with pytest.raises(ConfigError, match="learnability.source is null, so"):
        export(this, str(tmp_path / "export"), Wanted(of="learnability", batch_size=2))


# --- the command ----------------------------------------------------------------------------------


def test_the_command_exports_and_says_what(
    spark: SparkSession, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, place, result = tmp_path / "my.yaml", tmp_path / "to" / "here", tmp_path / "result.json"
    path.write_text(yaml.safe_dump(as_dict(config(folder))))
    words = ["export", str(place), "--of", "learnability", "--config", str(path)]
    words += ["--columns", "label", "--batch-size", "10", "--rounds", "1,0"]
    assert evenlake([*words, "--result", str(result)]) == 0
    said, *rest = capsys.readouterr().out.splitlines()
    assert said == f"54 rows of learnability in 6 batches of 10, 2 files: {place}"
    assert rest == [f"the last batch of round {r} has 7 rows" for r in (0, 1)]
    assert json.loads(result.read_text())["export"]["n_batches"] == 6
    assert evenlake(words) == 0
    assert capsys.readouterr().out.startswith("nothing to do")
    assert evenlake([*words[:-1], "one"]) == 2
    assert "--rounds one: want numbers, such as 0,1" in capsys.readouterr().err
    assert evenlake([*words, "learnability.source=null"]) == 2

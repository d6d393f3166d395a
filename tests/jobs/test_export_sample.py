"""Samples that leave the lake: rows, order, splits and formats; refusals, crashes and repeats."""

import gzip
import json
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs import (
    balance_sample,
    cluster_levels,
    curate,
    embed_pool,
    export_sample,
    find_duplicates,
)
from jobs.__main__ import main as evenlake
from jobs.config.errors import ConfigError, CurationError, InputChangedError, InputError
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig, as_dict
from jobs.export_sample import export_sample as export
from jobs.exporting import formats
from jobs.exporting.folder import Folder
from jobs.exporting.slots import row_bytes
from jobs.exporting.wanted_sample import OWN, ExportedSample, WantedSample, parse_splits
from jobs.pool.inputs import Pool
from jobs.runs.opening import open_run
from jobs.runs.run import Run
from jobs.sampling.counts import all_points
from jobs.sampling.planned import plan_sample
from jobs.sampling.shares import read_levels
from jobs.training.index import INDEX, UNFINISHED, Index, read_index
from tests.jobs.bad_configs import EXPORTS

pytestmark = pytest.mark.whole

N, SIZE = 72, 40
JPG, PNG = b"\xff\xd8\xff jpg", b"\x89PNG\r\n\x1a\n png"
SMALL = 2000 / 2**20  # MB: rows take some 200 bytes


def write_pool(folder: Path) -> None:
    """Write rows of text, image and vector; of the last 12, two each have the same vector."""
    X = np.random.default_rng(3).standard_normal((N, 4))
    X[N - 12 :: 2] = X[N - 11 :: 2]
    columns = {
        "id": [f"p{i:02}" for i in range(N)],
        "vector": X.tolist(),
        "text": [f"text of {i}, näïve" for i in range(N)],
        "image": [None if i % 9 == 0 else (JPG, PNG)[i % 2] for i in range(N)],
        "label": [None if i % 7 == 0 else "ab"[i % 2] for i in range(N)],
        "odd name": [*range(N)],
    }
    pq.write_table(pa.table(columns), folder / "pool.parquet")


def config_of(folder: Path, *overrides: str) -> RunConfig:
    sample = {"name": "s", "target_size": SIZE, "share": {"leaves": 0.0}}
    plain = {
        "input": {"table": f"{folder}/pool.parquet", "embedding": "vector"},
        "output": {"root": f"{folder}/lake"},
        "dedup": {"exact": False},
        "cluster": {"levels": [8, 3], "resampling": {"rounds": 1}},
        "samples": [sample, sample | {"name": "twice", "target_size": 2 * N, "replicas": 2}],
    }
    return parse_config(plain, overrides)


@pytest.fixture(scope="module")
def opened(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Curate a small pool, and open the run again."""
    folder = tmp_path_factory.mktemp("export_sample")
    write_pool(folder)
    curate.run(spark, config_of(folder))
    return open_run(spark, config_of(folder))


@pytest.fixture(scope="module")
def sample(opened: Run) -> dict[int, dict[str, Any]]:
    """Return the rows of the sample with the pool's columns, by position."""
    drawn = opened.read(balance_sample.STAGE, balance_sample.SAMPLES).where("sample = 's'")
    paths = opened.read(cluster_levels.STAGE, cluster_levels.ASSIGNMENTS).select("id", "path")
    rows = drawn.join(paths, "id").join(opened.pool.rows, "id").toArrow()
    names = [*OWN, "vector", "text", "image", "label", "odd name"]
    return {row["position"]: row for row in rows.select(names).to_pylist()}


@pytest.fixture(scope="module")
def whole(opened: Run, tmp_path_factory: pytest.TempPathFactory) -> ExportedSample:
    """Export everything as Parquet; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("whole") / "to" / "here"
    return export(opened, str(folder), WantedSample(sample="s", file_mb=SMALL))


@pytest.fixture
def to(opened: Run, tmp_path: Path) -> Callable[..., ExportedSample]:
    """Export to a folder of the test's own."""

    def exported(name: str = "export", **wanted: Any) -> ExportedSample:
        given = {"sample": "s", "file_mb": SMALL} | wanted
        return export(opened, str(tmp_path / name), WantedSample(**given))

    return exported


def content(place: Path) -> dict[str, bytes]:
    files = [path for path in place.rglob("*") if path.is_file()]
    return {str(path.relative_to(place)): path.read_bytes() for path in files}


def shards(done: ExportedSample) -> list[list[dict[str, Any]]]:
    """Return the rows of every Parquet file, in the index's order."""
    return [pq.read_table(f"{done.folder}/{f.path}").to_pylist() for f in done.index.files]


# --- rows and their order -------------------------------------------------------------------------


def test_rows_are_the_samples_with_all_columns_of_the_pool(
    whole: ExportedSample, sample: dict[int, dict[str, Any]]
) -> None:
    rows = [row for shard in shards(whole) for row in shard]
    assert {row["position"]: row for row in rows} == sample
    assert len(rows) == whole.index.n_rows == SIZE
    assert whole.index.columns == [*rows[0]]
    assert [*rows[0]] == [*OWN, "vector", "text", "image", "label", "odd name"]


def test_files_are_bands_of_positions_shuffled_inside(whole: ExportedSample) -> None:
    bands = [[row["position"] for row in shard] for shard in shards(whole)]
    assert [file.path for file in whole.index.files] == [
        f"part-{i:05}.parquet" for i in range(len(bands))
    ]
    assert [file.n_rows for file in whole.index.files] == [len(band) for band in bands]
    assert len(bands) >= 3 and max(map(len, bands)) - min(map(len, bands)) <= 1
    assert [p for band in bands for p in sorted(band)] == [*range(SIZE)]
    assert all(band != sorted(band) for band in bands)


def test_the_first_files_are_a_balanced_sample_of_their_size(
    opened: Run, whole: ExportedSample
) -> None:
    columns = ("level", "node_id", "parent_id", "n_leaves", "n_points")
    nodes = opened.fetch(cluster_levels.STAGE, cluster_levels.NODES, columns)
    levels, found = read_levels(nodes), Counter[int]()
    for shard in shards(whole):
        found.update(row["leaf_id"] for row in shard)
        sample, seed = opened.config.samples[0], opened.config.seed
        share = plan_sample(sample, levels, all_points(levels), found.total(), seed=seed)
        wanted = share.strata[0].quotas[0]
        assert dict(found) == {leaf: n for leaf, n in enumerate(wanted.tolist()) if n}


def test_shuffled_rows_are_in_the_order_of_a_hash(
    to: Callable[..., ExportedSample], sample: dict[int, dict[str, Any]], opened: Run
) -> None:
    done = to(format="jsonl.gz", order="shuffle", columns=("label", "text"))
    lines = [
        line
        for file in done.index.files
        for line in gzip.open(f"{done.folder}/{file.path}", "rt").read().splitlines()
    ]
    rows = [json.loads(line) for line in lines]
    assert [[*row] for row in rows] == SIZE * [[*OWN, "label", "text"]]
    assert all(row.items() <= sample[row["position"]].items() for row in rows)
    key = F.xxhash64("id", F.lit("export"), F.lit(opened.config.seed), "replica")
    ids = opened.read(balance_sample.STAGE, balance_sample.SAMPLES).where("sample = 's'")
    in_order = ids.select(key.alias("key"), "id").toArrow().sort_by("key")["id"].to_pylist()
    assert [row["id"] for row in rows] == in_order


# --- splits ---------------------------------------------------------------------------------------


def of_splits(done: ExportedSample, rows: list[list[dict[str, Any]]]) -> dict[str, list[Any]]:
    """Return the rows of the files of every split."""
    found: dict[str, list[Any]] = {name: [] for name in done.index.splits}
    for file, shard in zip(done.index.files, rows, strict=True):
        found[str(file.split)].append(shard)
    return found


def test_splits_have_exact_sizes_keep_copies_together_and_their_order(
    to: Callable[..., ExportedSample], sample: dict[int, dict[str, Any]]
) -> None:
    done = to(format="jsonl", columns=("vector",), splits=parse_splits("train=.8,val=.2"))
    texts = [Path(done.folder, file.path).read_text() for file in done.index.files]
    rows = [[json.loads(line) for line in text.splitlines()] for text in texts]
    splits = of_splits(done, rows)
    assert done.index.splits == {"train": 32, "val": 8}
    assert done.index.files[0].path == "train/part-00000.jsonl"
    positions = {n: [r["position"] for band in s for r in band] for n, s in splits.items()}
    assert {name: len(found) for name, found in positions.items()} == done.index.splits
    assert sorted(positions["train"] + positions["val"]) == [*range(SIZE)]
    for bands in splits.values():
        in_bands = [p for band in bands for p in sorted(row["position"] for row in band)]
        assert in_bands == sorted(in_bands)
    vectors = [{tuple(sample[p]["vector"]) for p in found} for found in positions.values()]
    assert not vectors[0] & vectors[1]
    assert len(vectors[0] | vectors[1]) < SIZE  # some are copies


def test_replicas_of_a_row_are_in_one_split_of_a_delta_table(
    spark: SparkSession, to: Callable[..., ExportedSample]
) -> None:
    done = to(sample="twice", format="delta", columns=(), splits=parse_splits("a=.5,b=.25,c=1/4"))
    read = spark.read.format("delta")
    ids = {name: read.load(f"{done.folder}/{name}").toArrow() for name in "abc"}
    assert {name: len(rows) for name, rows in ids.items()} == done.index.splits
    assert done.index.splits == {"a": N, "b": N // 2, "c": N // 2}
    assert ids["a"].column_names == [*OWN]
    found = {name: Counter(rows["id"].to_pylist()) for name, rows in ids.items()}
    assert [set(counts.values()) for counts in found.values()] == 3 * [{2}]
    assert len(found["a"] | found["b"] | found["c"]) == N


# --- formats --------------------------------------------------------------------------------------


def members(done: ExportedSample) -> dict[str, bytes]:
    found = {}
    for file in done.index.files:
        with tarfile.open(f"{done.folder}/{file.path}") as tar:
            found |= {m.name: file.read() for m in tar if (file := tar.extractfile(m))}
    return found


def test_webdataset_reads_what_was_exported_the_same_on_any_layout(
    to: Callable[..., ExportedSample],
    sample: dict[int, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn_of, named = export_sample._drawn, export_sample.named_columns
    done = []
    for n in (1, 7):
        monkeypatch.setattr(
            export_sample, "_drawn", lambda *given, n=n: drawn_of(*given).repartition(n)
        )
        monkeypatch.setattr(
            export_sample, "named_columns", lambda *given, n=n: named(*given).repartition(n)
        )
        splits = parse_splits("train=.8,val=.2")
        done.append(to(f"by{n}", format="webdataset", splits=splits, endings={"text": "txt"}))
    found = [content(Path(each.folder)) for each in done]
    assert found[0] == found[1]
    assert len(found[0]) > 4
    files = members(done[0])
    for position, row in sample.items():
        key = f"{position:010}"
        assert files[f"{key}.txt"].decode() == row["text"]
        image = files.get(f"{key}.jpg", files.get(f"{key}.png"))
        assert image == row["image"]
        rest = {name: row[name] for name in (*OWN, "vector", "label", "odd name")}
        assert json.loads(files[f"{key}.json"]) == rest
    last = done[0].index.files[0].path.replace("00000", f"{{00000..{_last(done[0]):05}}}")
    assert f"32 rows in {last}" in str(done[0])
    webdataset = pytest.importorskip("webdataset")
    urls = f"{done[0].folder}/{last}"
    read = [*webdataset.WebDataset(urls, shardshuffle=False).decode()]
    assert len(read) == done[0].index.splits["train"]
    assert all(r["json"] == json.loads(files[f"{r['__key__']}.json"]) for r in read)


def _last(done: ExportedSample) -> int:
    return sum(file.split == "train" for file in done.index.files) - 1


def test_streaming_reads_what_was_exported(
    to: Callable[..., ExportedSample], sample: dict[int, dict[str, Any]], tmp_path: Path
) -> None:
    streaming = pytest.importorskip("streaming")
    wanted = {"columns": ("vector", "text", "odd name"), "splits": parse_splits("train=.8,val=.2")}
    done = to(format="mds", **wanted)
    found, in_order = {}, []
    for split, n_rows in done.index.splits.items():
        dataset = streaming.StreamingDataset(
            local=str(tmp_path / "cache" / split),
            remote=f"{done.folder}/{split}",
            batch_size=1,
            shuffle=False,
        )
        rows = [dataset[i] for i in range(n_rows)]
        in_order.append([row["position"] for row in rows])
        found |= {int(row["position"]): row for row in rows}
    for position, row in sample.items():
        vectors = {name: found[position].pop(name).tolist() for name in ("path", "vector")}
        assert found[position] | vectors == {n: row[n] for n in (*OWN, *wanted["columns"])}
    shards = [file for file in done.index.files if file.split == "train"]
    assert len(shards) >= 3
    first = shards[0].n_rows  # the first shard holds the first of its split, in another order
    assert sorted(in_order[0][:first]) == sorted(in_order[0])[:first] != in_order[0][:first]
    again = to("again", format="mds", **wanted)
    assert content(Path(again.folder)) == content(Path(done.folder))


def test_a_row_without_a_value_cannot_be_in_mds(to: Callable[..., ExportedSample]) -> None:
    pytest.importorskip("streaming")
    with pytest.raises(InputError, match=r"the row 'p\d\d' has no image, and MDS has no nulls"):
        to(format="mds")


def test_a_format_without_its_library_says_how_to_get_it(
    to: Callable[..., ExportedSample], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    for name, package in (("lance", r"evenlake\[lance\]"), ("mds", "mosaicml-streaming")):
        with pytest.raises(ConfigError, match=f"--format {name}: .* pip install '{package}'"):
            to(format=name)


def test_lance_reads_what_was_exported(
    to: Callable[..., ExportedSample], sample: dict[int, dict[str, Any]]
) -> None:
    lance = pytest.importorskip("lance")
    done = to(format="lance")
    dataset = lance.dataset(done.folder)
    rows = dataset.to_table().to_pylist()
    assert {row["position"]: row for row in rows} == sample
    bands = [fragment.to_table()["position"].to_pylist() for fragment in dataset.get_fragments()]
    assert len(bands) >= 3
    assert [p for band in bands for p in sorted(band)] == [*range(SIZE)]
    assert done.index.files[0].path == "."
    assert not to(format="lance").is_new


@pytest.mark.parametrize("format_", ["parquet", "jsonl.gz", "webdataset", "delta", "lance"])
def test_files_are_in_the_folder_that_is_written(opened: Run, tmp_path: Path, format_: str) -> None:
    if format_ == "lance":
        pytest.importorskip("lance")
    wanted = WantedSample(sample="s", columns=("text",), file_mb=SMALL, format=format_)
    name = "a%20b #1"
    done = export(opened, f"file://{tmp_path}/{name}", wanted)
    assert done.is_new and [path.name for path in tmp_path.iterdir()] == [name]
    assert all((tmp_path / name / file.path).exists() for file in done.index.files)
    assert not export(opened, f"{tmp_path}/{name}", wanted).is_new


# --- the folder: repeats, crashes, strangers ------------------------------------------------------


def test_after_any_crash_the_same_command_makes_the_same_files(
    to: Callable[..., ExportedSample], whole: ExportedSample, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Folder.place

    def crash_at(name: str) -> Callable[[Any, str, str], None]:
        def placed(self: Any, path: str, to: str) -> None:
            if to == name:
                raise KeyboardInterrupt
            place(self, path, to)

        return placed

    for name in ("part-00001.parquet", INDEX):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Folder, "place", crash_at(name))
            to()
    with pytest.raises(ConfigError, match="unfinished export of something else: format='parquet'"):
        to(format="jsonl")
    done = to()
    assert done.is_new
    assert content(Path(done.folder)) == content(Path(whole.folder))


def test_a_table_that_was_not_finished_is_written_anew(
    spark: SparkSession, to: Callable[..., ExportedSample], monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Folder, "finish", crash)
        to(format="delta", columns=("label", "odd name"))
    done = to(format="delta", columns=("label", "odd name"))
    rows = spark.read.format("delta").load(done.folder).toArrow()
    assert sorted(rows["position"].to_pylist()) == [*range(SIZE)]
    assert rows.column_names == [*OWN, "label", "odd name"]
    assert not (Path(done.folder) / UNFINISHED).exists()


def test_a_repeat_does_nothing_and_another_export_is_refused(
    opened: Run, whole: ExportedSample
) -> None:
    before = content(Path(whole.folder))

    def again(**other: Any) -> ExportedSample:
        given = {"sample": "s", "file_mb": SMALL} | other
        return export(opened, whole.folder, WantedSample(**given))

    assert not again().is_new
    assert str(again()).splitlines()[0] == "nothing to do, this export is there already:"
    for other, said in (
        ({"format": "jsonl"}, "format='parquet', not 'jsonl'"),
        ({"order": "shuffle"}, "order='position', not 'shuffle'"),
        ({"splits": parse_splits("a=1")}, "split={}, not {'a': '1'}"),
        ({"sample": "twice"}, "sample='s', not 'twice'"),
        ({"columns": ("label",)}, "columns=.*, not .'label'."),
    ):
        with pytest.raises(ConfigError, match=f"holds an export of something else: {said}"):
            again(**other)
    with pytest.raises(ConfigError, match="of='sample', not 'batches'"):
        Folder(opened.spark, whole.folder, Index).claim({"of": "batches"})
    with pytest.raises(ValueError, match="is no index of exported batches"):
        read_index(whole.folder)
    assert content(Path(whole.folder)) == before


def test_ids_that_the_pool_has_not_are_counted(
    to: Callable[..., ExportedSample], monkeypatch: pytest.MonkeyPatch
) -> None:
    named = export_sample.named_columns
    monkeypatch.setattr(
        export_sample, "named_columns", lambda *given: named(*given).where("label = 'a'")
    )
    for form in ("webdataset", "jsonl", "delta"):
        with pytest.raises(InputError, match="of 40 rows have no row of their id in the pool"):
            to(format=form, columns=("label",))
    monkeypatch.undo()
    assert to(format="jsonl", columns=("label",)).is_new  # the folder was left free


def test_of_a_pool_that_changed_meanwhile_nothing_is_finished(
    to: Callable[..., ExportedSample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pool, "_listed_now", lambda self: "other")
    with pytest.raises(InputChangedError, match="got files of fingerprint other"):
        to(format="jsonl", columns=())
    assert not (tmp_path / "export").exists()


# --- what cannot be meant -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "error", "said"),
    [
        ({"sample": "t"}, ConfigError, "--sample t: want one of the config's samples: s, twice"),
        ({"columns": ("labels",)}, InputError, "'labels' is not a column of .*'label'"),
        ({"columns": ("Rank",)}, ConfigError, "Rank is there already; id, replica, rank"),
        ({"columns": ("label", "Label")}, ConfigError, "Label is there already"),
        (
            {"format": "webdataset", "endings": {"vector": "npy"}},
            ConfigError,
            "--extension vector=npy: want an exported column of text or bytes: text, image, label",
        ),
        (
            {"splits": parse_splits("train=.999,val=.001")},
            InputError,
            "--split: val gets none of the 40 rows of s; want a larger share",
        ),
    ],
)
def test_what_cannot_be_exported_is_refused_and_leaves_no_claim(
    to: Callable[..., ExportedSample],
    tmp_path: Path,
    wanted: dict[str, Any],
    error: type[CurationError],
    said: str,
) -> None:
    with pytest.raises(error, match=said):
        to(**wanted)
    assert not (tmp_path / "export").exists()


def test_a_library_that_is_missing_is_named_before_any_work(
    to: Callable[..., ExportedSample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"--format lance: .* pip install 'evenlake\[lance\]'"):
        to(format="lance")
    assert not (tmp_path / "export").exists()


# --- the command ----------------------------------------------------------------------------------


def test_the_command_exports_and_says_what(
    opened: Run, whole: ExportedSample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, result = tmp_path / "my.yaml", tmp_path / "result.json"
    path.write_text(yaml.safe_dump(as_dict(opened.written)))
    words = ["export", whole.folder, "--sample", "s", "--file-mb", str(SMALL)]
    assert evenlake([*words, "--config", str(path), "--result", str(result)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("nothing to do")
    assert lines[1] == f"40 rows of s as parquet: {whole.folder}"
    last = len(whole.index.files) - 1
    assert lines[2] == f"40 rows in part-{{00000..{last:05}}}.parquet"
    told = json.loads(result.read_text())["export"]
    assert (told["n_rows"], told["n_files"], told["splits"]) == (SIZE, last + 1, {})


@pytest.mark.parametrize("words", EXPORTS)
def test_bad_options_are_refused_before_any_work(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evenlake(["export", "/data/out", *words.split(), "--config", "nowhere.yaml"]) == 2
    assert EXPORTS[words] in capsys.readouterr().err


def test_a_pool_whose_files_have_changed_since_the_draw_is_named(
    spark: SparkSession, tmp_path: Path
) -> None:
    write_pool(tmp_path)
    config = config_of(tmp_path)
    curate.run(spark, config)
    drawn_by = open_run(spark, config).run_id
    rows = pq.read_table(tmp_path / "pool.parquet")
    pq.write_table(rows.slice(1), tmp_path / "pool.parquet")
    with pytest.raises(InputError, match=rf"has changed since run {drawn_by} \(.*evenlake curate"):
        export(open_run(spark, config), f"{tmp_path}/out", WantedSample(sample="s"))


def test_a_column_called_id_leaves_beside_another_id(spark: SparkSession, tmp_path: Path) -> None:
    write_pool(tmp_path)
    pool = pq.read_table(tmp_path / "pool.parquet")
    pool = pool.append_column("name", pa.array([f"n{id_}" for id_ in pool["id"].to_pylist()]))
    pq.write_table(pool, tmp_path / "pool.parquet")
    config = config_of(tmp_path, "input.id=name")
    curate.run(spark, config)
    export(open_run(spark, config), f"{tmp_path}/out", WantedSample(sample="s"))
    rows = pq.read_table(f"{tmp_path}/out").to_pylist()
    assert rows
    for row in rows:
        assert row["id"] == f"n{row['pool_id']}"


def test_all_columns_of_a_folder_of_images_may_leave(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for i, pixels in enumerate(np.random.default_rng(0).integers(0, 255, (20, 8, 8, 3), "uint8")):
        Image.fromarray(pixels).save(tmp_path / f"images/{i}.png")
    sample = {"name": "s", "target_size": 6, "share": {"leaves": 0.0}}
    plain = {
        "input": {"table": f"{tmp_path}/images", "content": "content"},
        "output": {"root": f"{tmp_path}/lake"},
        "embed": {"model": "pixels"},
        "cluster": {"levels": [4], "resampling": {"rounds": 0}},
        "samples": [sample],
    }
    run = open_run(spark, parse_config(plain, ()))
    for stage in (embed_pool, find_duplicates, cluster_levels, balance_sample):
        run.do(stage.STAGE)
    export(run, f"{tmp_path}/out", WantedSample(sample="s"))
    rows = pq.read_table(f"{tmp_path}/out").to_pylist()
    assert len(rows) == 6
    for row in rows:
        assert row["pool_path"].endswith(f"images/{row['id']}")
        assert isinstance(row["path"], list)
        assert row["content"] == (tmp_path / "images" / row["id"]).read_bytes()


def test_the_bytes_of_a_row_are_those_of_its_columns(spark: SparkSession) -> None:
    rows = [(i, f"r{i}", None if i % 5 == 0 else b"x" * (i * 37), [i] * i) for i in range(60)]
    frame = spark.createDataFrame(
        rows, "id bigint, text string, `an image` binary, list array<int>"
    )
    whole = frame.toArrow()
    one = pa.Table.from_pylist(whole.to_pylist(), schema=whole.schema)
    assert row_bytes(frame.repartition(3), None, 0) == one.nbytes / 60

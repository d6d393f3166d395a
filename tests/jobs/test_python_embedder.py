"""The user's own code as an embedder: shipped, part of the key, never from a command line."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from pyspark.sql import SparkSession

from jobs import embed_pool
from jobs.config.errors import ConfigError, GuardError
from jobs.config.loading import load_config, parse_config
from jobs.config.model import RunConfig, as_dict
from jobs.embedding.chosen import chosen, pinned
from jobs.past.history import read_history
from jobs.points.surviving import sample_points
from jobs.recipe import RECIPE
from jobs.runs.opening import open_run
from jobs.runs.work import Work
from jobs.tables.lake import Lake
from tests.jobs.bad_configs import CODE
from tests.jobs.bad_input_page import CODE_MODULE

pytestmark = pytest.mark.whole

SOURCE = '''
import hashlib

import numpy as np


class Hashed:
    """Bytes of a hash, as vectors."""

    def __init__(self, *, n_features=4, scale=1.0):
        self.n_features, self.scale = n_features, scale

    def __call__(self, contents):
        return [self.embed(content) for content in contents]

    def embed(self, content):
        if content == "none":
            return None
        digest = hashlib.sha256(content.encode()).digest()
        vector = np.frombuffer(digest, np.uint8)[: self.n_features].astype(np.float32)
        if content == "nan":
            vector[1] = np.nan
        return vector[:2] if content == "short" else vector * np.float32(self.scale)


def plain():
    return Hashed()


def on_a_worker():
    from pyspark import TaskContext

    if TaskContext.get() is not None:
        raise OSError("no model at /models/7")
    return Hashed()
'''
BAD = {
    "null": (None, "null_content", None),
    "empty": ("", "empty_content", None),
    "none": ("none", "undecodable", "the embedder gave None"),
    "short": ("short", "wrong_length", "length 2, the embedder gave 4 before"),
    "nan": ("nan", "nan", "nan at index 1"),
}
N_GOOD = 40


@pytest.fixture
def module(tmp_path: Path) -> str:
    """Write a module beside the config, under a name that no other test has imported."""
    name = f"embedder_{uuid4().hex}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    return name


@pytest.fixture(scope="module")
def pools(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a pool of texts as one file, and as seven."""
    folder = tmp_path_factory.mktemp("pools")
    rows = [(f"good-{i}", f"text {i}") for i in range(N_GOOD)]
    rows += [(id_, bad[0]) for id_, bad in BAD.items()]
    frame = spark.createDataFrame(rows, "id string, text string")
    for n in (1, 7):
        frame.repartition(n).write.parquet(str(folder / f"pool_{n}"))
    return folder


@pytest.fixture(autouse=True)
def unchanged_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget the folders of configs that a test has loaded."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield


def write_config(folder: Path, pools: Path, model: str, n: int = 1, **embed: Any) -> Path:
    path = folder / "my.yaml"
    config = {
        "input": {"table": f"{pools}/pool_{n}", "content": "text"},
        "output": {"root": f"{folder}/lake_{n}"},
        "embed": {"model": model, **embed},
        "hygiene": {"max_reject_fraction": 0.5},
        "samples": [{"name": "s", "target_size": 5}],
    }
    path.write_text(yaml.safe_dump(config))
    return path


def embedded(spark: SparkSession, config: RunConfig) -> dict[str, list[float]]:
    embed_pool.run(spark, config)
    key = open_run(spark, config).key(embed_pool.STAGE)
    rows = Lake(spark, config.output).read(embed_pool.EMBEDDINGS, key)
    assert {row.column for row in rows.select("column").collect()} == {"text"}
    return {row.id: list(row.embedding) for row in rows.select("id", "embedding").collect()}


def test_a_pool_is_embedded_by_a_module_beside_the_config_however_it_is_partitioned(
    spark: SparkSession, tmp_path: Path, pools: Path, module: str
) -> None:
    found, rejects = {}, {}
    for n in (1, 7):
        config = load_config(
            write_config(tmp_path, pools, f"python:{module}:Hashed", n, normalize=False)
        )
        found[n] = embedded(spark, config)
        rows = Lake(spark, config.output).read("rejects").collect()
        rejects[n] = {row.id: (row.reason, row.detail) for row in rows}
    assert found[7] == found[1]
    assert found[1].keys() == {f"good-{i}" for i in range(N_GOOD)}
    assert {len(vector) for vector in found[1].values()} == {4}
    assert rejects[7] == rejects[1] == {id_: bad[1:] for id_, bad in BAD.items()}


def test_changed_code_makes_another_key_and_other_vectors(
    spark: SparkSession, tmp_path: Path, pools: Path, module: str
) -> None:
    path = write_config(tmp_path, pools, f"python:{module}:plain", normalize=False)
    before = embedded(spark, load_config(path))
    (run,) = read_history(Lake(spark, load_config(path).output), RECIPE).runs
    keys = RECIPE.keys(pinned(load_config(path)), "f")

    changed = SOURCE.replace("digest()", "digest()[::-1]")  # of a different length
    for source in (changed, SOURCE.replace("sha256", "sha512")):  # of the same length
        (tmp_path / f"{module}.py").write_text(source)
        other = RECIPE.keys(pinned(load_config(path)), "f")
        assert other["embed_pool"] != keys["embed_pool"]
        assert other["cluster_levels"] != keys["cluster_levels"]
        assert RECIPE.lineage(pinned(load_config(path))) == RECIPE.lineage(load_config(path))
    after = embedded(spark, load_config(path))
    assert after.keys() == before.keys()
    assert all(after[id_] != before[id_] for id_ in before)

    # the ledger knows which code a run used, even if it is gone
    (tmp_path / f"{module}.py").unlink()
    history = read_history(Lake(spark, load_config(path).output), RECIPE)
    old, new = (history.find(r.run_id) for r in (run, history.runs[0]))
    assert old.run_id != new.run_id
    assert old.last.stage_key in history.keys_of(old) - history.keys_of(new)
    assert not history.is_superseded(old)  # no whole run came after it


def test_what_fails_on_a_worker_is_told_as_the_embedders(
    spark: SparkSession, tmp_path: Path, pools: Path, module: str
) -> None:
    path = write_config(tmp_path, pools, f"python:{module}:on_a_worker")
    with pytest.raises(ConfigError) as raised:
        embed_pool.run(spark, load_config(path))
    assert str(raised.value) == (
        f"embed.model='python:{module}:on_a_worker': on_a_worker() failed with OSError: no model "
        "at /models/7; fix it, or its embed.options"
    )


def test_a_package_is_shipped_whole_and_named_by_all_of_its_files(
    spark: SparkSession, tmp_path: Path, pools: Path, module: str
) -> None:
    package = tmp_path / f"package_{module}"
    package.mkdir()
    (tmp_path / f"{module}.py").rename(package / "hashed.py")
    (package / "__init__.py").write_text("")
    (package / "made.py").write_text("from .hashed import Hashed as make\n")
    config = load_config(write_config(tmp_path, pools, f"python:package_{module}.made:make"))
    assert embedded(spark, config).keys() == {f"good-{i}" for i in range(N_GOOD)}
    version = pinned(config).embed.version
    (package / "hashed.py").write_text(SOURCE + "\n")
    assert pinned(config).embed.version != version


def test_options_reach_the_factory_and_the_key_but_no_credential_does(
    tmp_path: Path, pools: Path, module: str
) -> None:
    source = SOURCE.replace("scale=1.0)", "scale=1.0, api_key=None)")
    (tmp_path / f"{module}.py").write_text(source)
    keys = []
    for options in ({}, {"n_features": 6}, *({"api_key": secret} for secret in "ab")):
        path = write_config(tmp_path, pools, f"python:{module}:Hashed", options=options)
        keys.append(RECIPE.keys(pinned(load_config(path)), "f")["embed_pool"])
    assert len(set(keys)) == 3
    assert keys[2] == keys[3]
    path = write_config(tmp_path, pools, f"python:{module}:Hashed", options={"n_features": 6})
    embedder = chosen(load_config(path))
    assert embedder.spec.n_features(embedder.spec.fit(["a", "b"], embedder.options, 0)) == 6


def test_a_version_of_its_own_goes_before_the_source(
    tmp_path: Path, pools: Path, module: str
) -> None:
    source = SOURCE.replace("    def __init__", '    version = "7"\n\n    def __init__')
    (tmp_path / f"{module}.py").write_text(source)
    config = load_config(write_config(tmp_path, pools, f"python:{module}:Hashed"))
    assert pinned(config).embed.version == "7"
    (tmp_path / f"{module}.py").write_text(source + "\n# changed\n")
    assert pinned(pinned(config)).embed.version == "7"
    made = load_config(write_config(tmp_path, pools, f"python:{module}:plain"))
    assert pinned(made).embed.version == "7"  # from what the factory returns


def test_code_of_another_version_than_the_configs_is_refused(
    tmp_path: Path, pools: Path, module: str
) -> None:
    path = write_config(tmp_path, pools, f"python:{module}:plain", version="sha256:0")
    with pytest.raises(ConfigError, match="embed.version='sha256:0', but .* is 'sha256:[0-9a-f]+'"):
        pinned(load_config(path))


# --- what is wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize("what", CODE)
def test_code_that_will_not_do_is_told_before_any_work(
    tmp_path: Path, pools: Path, what: str
) -> None:
    bad = CODE[what]
    name = f"embedder_{uuid4().hex}"
    if bad.source is not None:
        (tmp_path / f"{name}.py").write_text(bad.source)
    model = bad.model.replace(CODE_MODULE, name)
    path = write_config(tmp_path, pools, model, **bad.embed)
    with pytest.raises(ConfigError) as raised:
        embedder = chosen(load_config(path))
        embedder.spec.fit(["a", "b"], embedder.options, 0)
    assert str(raised.value).replace(name, CODE_MODULE) == bad.message


@pytest.mark.parametrize(
    "override",
    [
        "embed.model=python:{module}:plain",
        "--embed.model=python:{module}:plain",
        "embed.options.scale=2",
        "embed={{model: python:{module}:Hashed}}",
        "embed.options={{}}",
    ],
)
def test_a_command_line_chooses_no_code(
    tmp_path: Path, pools: Path, module: str, override: str
) -> None:
    path = write_config(tmp_path, pools, f"python:{module}:Hashed", options={"scale": 3})
    with pytest.raises(ConfigError, match="not from the command line.*into the config file"):
        load_config(path, [override.format(module=module)])


def test_a_command_line_may_leave_the_code_or_repeat_it(
    tmp_path: Path, pools: Path, module: str
) -> None:
    model = f"python:{module}:Hashed"
    path = write_config(tmp_path, pools, model)
    assert load_config(path, [f"embed.model={model}", "seed=3"]).embed.is_code
    assert not load_config(path, ["embed.model=lsa"]).embed.is_code


def test_a_config_is_read_and_kept_without_importing_its_code(tmp_path: Path, pools: Path) -> None:
    path = write_config(tmp_path, pools, "python:nowhere:make")
    config = load_config(path)
    assert parse_config(as_dict(config)) == config


def test_what_is_installed_is_not_packed_up(tmp_path: Path, pools: Path, module: str) -> None:
    installed = write_config(tmp_path, pools, "python:contextlib:ContextDecorator")
    assert chosen(load_config(installed)).spec.archive is None
    beside = write_config(tmp_path, pools, f"python:{module}:Hashed")
    assert Path(str(chosen(load_config(beside)).spec.archive)).name.startswith("evenlake-code-")


def test_vectors_are_read_where_the_embedder_reads_them(
    tmp_path: Path, pools: Path, module: str
) -> None:
    source = SOURCE.replace("    def __init__", '    reads = "embedding"\n\n    def __init__')
    (tmp_path / f"{module}.py").write_text(source)
    path = write_config(tmp_path, pools, f"python:{module}:Hashed")
    with pytest.raises(ConfigError, match="input.embedding is missing"):
        chosen(load_config(path))
    both = load_config(path, ["input.embedding=vector"])
    assert (chosen(both).key, chosen(both).column) == ("input.embedding", "vector")
    assert chosen(both).spec.makes == "embedding"


def test_after_too_many_rejects_a_mended_worker_is_enough(
    spark: SparkSession, tmp_path: Path, pools: Path, module: str
) -> None:
    broken = tmp_path / "broken"
    worse = f"""from pyspark import TaskContext
        is_broken = TaskContext.get() is not None and pathlib.Path({str(broken)!r}).exists()
        if content == "none" or is_broken:"""
    source = SOURCE.replace('if content == "none":', worse)
    source = source.replace("import hashlib", "import hashlib\nimport pathlib")
    (tmp_path / f"{module}.py").write_text(source)
    config = load_config(write_config(tmp_path, pools, f"python:{module}:plain"))
    broken.touch()
    with pytest.raises(GuardError, match="45 of 45 rows were rejected"):
        embed_pool.run(spark, config)
    run = open_run(spark, config)
    assert run.read(embed_pool.STAGE, embed_pool.REJECTS).count() == N_GOOD + len(BAD)  # to look at
    broken.unlink()
    assert len(embedded(spark, config)) == N_GOOD
    run = open_run(spark, config)
    assert run.read(embed_pool.STAGE, embed_pool.REJECTS).count() == len(BAD)


def test_after_a_crash_past_the_commit_the_points_in_memory_are_those_stored(
    spark: SparkSession,
    tmp_path: Path,
    pools: Path,
    module: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flag = tmp_path / "another_machine"  # whose vectors are not quite the same
    other = f"vector[::-1] if pathlib.Path({str(flag)!r}).exists() else vector"
    source = SOURCE.replace("import hashlib", "import hashlib\nimport pathlib")
    source = source.replace("vector * np.float32(self.scale)", f"({other}) * np.float32(1)")
    (tmp_path / f"{module}.py").write_text(source)
    config = load_config(write_config(tmp_path, pools, f"python:{module}:plain"))

    def crash(_: Work) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Work, "finish", property(crash))
        with pytest.raises(KeyboardInterrupt):
            open_run(spark, config).do(embed_pool.STAGE)
    flag.touch()
    run = open_run(spark, config)
    run.do(embed_pool.STAGE)
    rows = run.read(embed_pool.STAGE, embed_pool.EMBEDDINGS).collect()
    stored = {row.id: row.embedding for row in rows}
    (points,) = sample_points(run, [("all", len(stored))])
    ids, vectors = points["id"].to_pylist(), points["embedding"].to_pylist()
    assert dict(zip(ids, vectors, strict=True)) == stored

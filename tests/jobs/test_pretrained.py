"""Pretrained models through the product: embedded on workers, identified by their content."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from jobs import embed_pool, plan_run
from jobs.config.errors import ConfigError
from jobs.config.loading import parse_config
from jobs.config.model import RunConfig
from jobs.embedding import gating, pretrained
from jobs.embedding.chosen import chosen, pinned
from jobs.recipe import RECIPE
from jobs.runs.opening import open_run
from jobs.tables.lake import Lake
from tests.udfs import tiny_models
from udfs.embedders import onnx

WORDS = ("sun", "moon", "sea", "sand")
TEXTS = {f"t{i:02d}": " ".join(WORDS[: 1 + i % 4]) for i in range(40)}
BAD = {"x-null": None, "x-empty": "", "x-bad": "sun bad"}


def config_of(folder: Path, model: str, **embed: Any) -> RunConfig:
    return parse_config(
        {
            "input": {"table": str(folder / "pool"), "content": "text"},
            "output": {"root": str(folder / "lake")},
            "embed": {"model": model, **embed},
            "hygiene": {"max_reject_fraction": 0.5},
            "samples": [{"name": "s", "target_size": 5}],
        }
    )


def key_of(config: RunConfig) -> str:
    return RECIPE.keys(pinned(config), "f")["embed_pool"]


@pytest.fixture(scope="module")
def folder(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a pool of texts and a model."""
    folder = tmp_path_factory.mktemp("pretrained")
    rows = [*TEXTS.items(), *BAD.items()]
    frame = spark.createDataFrame(rows, "id string, text string")
    frame.coalesce(1).write.parquet(str(folder / "pool"))
    tiny_models.write_text_model(folder / "model")
    return folder


def test_a_pool_gets_the_models_vectors_and_what_it_fails_on_is_rejected(
    spark: SparkSession, folder: Path
) -> None:
    config = config_of(folder, f"onnx:{folder}/model", normalize=False, options={"batch": 3})
    this = open_run(spark, config)
    problem = plan_run.problem_of(this)
    assert (problem.n_points, problem.n_features) == (43, tiny_models.N_FEATURES)
    assert problem.row_seconds > 0
    assert problem.model_bytes == (folder / "model" / "model.onnx").stat().st_size
    embed_pool.run(spark, config)
    lake, key = Lake(spark, config.output), this.key(embed_pool.STAGE)
    rows = lake.read(embed_pool.EMBEDDINGS, key).collect()
    found = {row.id: row.embedding for row in rows}
    assert found.keys() == TEXTS.keys()
    want = tiny_models.vectors_of([TEXTS[id_] for id_ in found])
    np.testing.assert_allclose(np.stack([*found.values()]), want, atol=1e-5)
    rejects = {row.id: row.reason for row in lake.read("rejects").collect()}
    assert rejects == {
        "x-null": "null_content", "x-empty": "empty_content", "x-bad": "undecodable",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("n_rows", "row_seconds", "want"),
    [
        (43, 0.001, 1),  # not worth a second task
        (10_000, 0.001, 8),  # four for each of two slots
        (1_000_000, 0.01, 2000),  # of five seconds
        (10_000, 10.0, 156),  # of 64 rows
        (10**9, 1.0, gating.MAX_TASKS),
    ],
)
def test_tasks_take_seconds_and_hold_some_batches(
    n_rows: int, row_seconds: float, want: int
) -> None:
    assert gating.n_tasks(n_rows, row_seconds, n_slots=2) == want


# --- what a model is called -----------------------------------------------------------------------


def test_another_model_under_the_same_name_has_another_key(tmp_path: Path) -> None:
    model = tiny_models.write_text_model(tmp_path / "model")
    config = config_of(tmp_path, f"onnx:{model}")
    first = key_of(config)
    assert first == key_of(config_of(tmp_path, f"onnx:{model}"))
    lineage = RECIPE.lineage(pinned(config))
    tiny_models.write_text_model(model, seed=1)  # of the same size
    assert key_of(config) != first
    assert RECIPE.lineage(pinned(config)) == lineage
    tiny_models.write_text_model(model)
    assert key_of(config) == first
    (model / "tokenizer_config.json").write_text('{"model_max_length": 4}')
    assert key_of(config) != first
    (model / "README.md").write_text("what the model does not read")
    tiny_models.write_text_model(model)
    assert key_of(config) == first


def test_weights_beside_the_model_count_and_go_with_it(tmp_path: Path) -> None:
    model = tiny_models.write_text_model(tmp_path / "model")
    (model / "model.onnx.data").write_bytes(b"weights")
    files = pretrained._files_of_onnx(onnx.find(str(model)))
    assert {*files} == {"model.onnx", "model.onnx.data", "tokenizer.json", "tokenizer_config.json"}
    place = b"\x0a\x08location\x12\x0bweights.bin"
    with (model / "model.onnx").open("ab") as file:
        file.write(place)
    (model / "weights.bin").write_bytes(b"weights")
    assert "weights.bin" in pretrained._files_of_onnx(onnx.find(str(model)))


@pytest.mark.parametrize(
    ("sizes", "n_bytes"),
    [
        ({"model.onnx": 5, "model.onnx.data": 70, "tokenizer.json": 3}, 75),
        ({"a-1.safetensors": 40, "2_Dense/model.safetensors": 2, "pytorch_model.bin": 42}, 42),
        ({"pytorch_model.bin": 42, "onnx/model.onnx": 41, "config.json": 1}, 42),
        ({"config.json": 1, "modules.json": 2}, 0),
    ],
)
def test_weights_are_those_of_one_format(
    tmp_path: Path, sizes: dict[str, int], n_bytes: int
) -> None:
    for name, size in sizes.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(bytes(size))
    assert pretrained.weights(pretrained.files_of_folder(tmp_path)) == n_bytes


def test_options_enter_the_key_and_a_version_pins_the_model(tmp_path: Path) -> None:
    model = f"onnx:{tiny_models.write_text_model(tmp_path / 'model')}"
    config = config_of(tmp_path, model)
    assert key_of(config) != key_of(config_of(tmp_path, model, options={"pooling": "cls"}))
    version = pinned(config).embed.version
    assert key_of(config_of(tmp_path, model, version=version)) == key_of(config)
    with pytest.raises(ConfigError, match="embed.version='sha256:0', but .* put the model back"):
        pinned(config_of(tmp_path, model, version="sha256:0"))


def test_a_model_of_the_hub_is_its_commit_found_in_the_cache_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path))
    cached = tmp_path / "models--sentence-transformers--tiny"
    for commit in ("a" * 40, "b" * 40):
        (cached / "snapshots" / commit).mkdir(parents=True)
        (cached / "snapshots" / commit / "modules.json").write_text("[]")
    (cached / "refs").mkdir()
    keys = set()
    for commit in ("a" * 40, "b" * 40):
        (cached / "refs" / "main").write_text(commit)
        config = config_of(tmp_path, "sentence-transformers:tiny")
        assert pinned(config).embed.version == commit
        keys.add(key_of(config))
    old = config_of(tmp_path, "sentence-transformers:tiny", options={"revision": "a" * 40})
    assert pinned(old).embed.version == "a" * 40
    assert len(keys) == 2
    with pytest.raises(ConfigError, match="other is no folder, and on the .* hub or in its local"):
        chosen(config_of(tmp_path, "sentence-transformers:other"))


# --- what is wrong --------------------------------------------------------------------------------


def test_a_library_that_is_missing_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    model = tiny_models.write_text_model(tmp_path / "model")
    spec = chosen(config_of(tmp_path, f"onnx:{model}")).spec
    assert spec.fit is not None
    with pytest.raises(ValueError, match=r"onnxruntime is not installed; pip install 'evenlake\[o"):
        spec.fit(["sun"], None, 0)


def test_a_revision_is_for_the_hub_alone(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    options = {"revision": "main"}
    config = config_of(tmp_path, f"sentence-transformers:{tmp_path}/model", options=options)
    with pytest.raises(ConfigError, match="revision='main' is for models of the hub"):
        chosen(config)

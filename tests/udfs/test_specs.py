"""What embedders declare: specs the driver can rely on, and workers that load only one."""

import subprocess
import sys
from dataclasses import dataclass, fields, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from jobs.config.embed_options import options_of
from jobs.config.loading import parse_config
from jobs.config.model import EmbedConfig
from udfs.embedders.built_in import BUILT_IN
from udfs.embedders.contract import EmbedderError
from udfs.embedders.python import Code, make_embedder, spec_of

HERE = Path(__file__).parents[2]


def image(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


SAMPLES = {
    "lsa": [f"text {i} of concept {i % 3}" for i in range(12)],
    "pixels": [image(i) for i in range(12)],
}


@pytest.mark.parametrize("name", BUILT_IN)
def test_what_a_spec_has_learned_makes_an_embedder_of_the_told_length(name: str, seed: int) -> None:
    spec = BUILT_IN[name]
    if spec.fit is None:
        arrays, values = {"n_features": np.array(2)}, [np.array([1.0, 2.0])]
    else:
        options = options_of(spec, EmbedConfig(n_components=4).shared, {})
        values = SAMPLES[name]
        sample = [spec.reduce(v, options) if spec.reduce else v for v in values]
        arrays = spec.fit(sample, options, seed)
        assert spec.n_features(arrays) <= spec.n_expected(options) == 4
    embedded = spec.make(arrays)(pd.Series(values))
    assert embedded.vectors.shape == (len(values), spec.n_features(arrays))
    assert not any(embedded.reasons)


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_options_of_what_is_built_in_are_keys_of_the_config(name: str) -> None:
    assert {field.name for field in fields(BUILT_IN[name].options)} <= set(EmbedConfig().shared)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_worker_imports_the_chosen_embedder_alone(name: str) -> None:
    module = BUILT_IN[name].make.__module__
    program = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=HERE)
    imported = set(done.stdout.split())
    assert module in imported
    others = {f"udfs.embedders.{other}" for other in (*BUILT_IN, "built_in", "python")}
    assert not imported & (others - {module})
    assert not imported & {"jobs", "pydantic", "sklearn", "PIL", "pyspark"}


# --- a new embedder's own options -----------------------------------------------------------------


@dataclass(frozen=True)
class Options:
    n_components: int
    depth: int
    kind: str = "plain"

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise ValueError(f"options.depth={self.depth}: want at least 1")


NEW = replace(BUILT_IN["lsa"], name="new", options=Options)


def test_options_are_taken_from_the_config_and_the_rest_from_embed_options() -> None:
    shared = EmbedConfig(n_components=7).shared
    assert options_of(NEW, shared, {"depth": 3}) == Options(7, 3, "plain")


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({}, "options.depth: missing; embed.model='new' needs it"),
        ({"depth": "x"}, "options.depth='x': want a valid integer"),
        ({"depth": 0}, "options.depth=0: want at least 1"),
        (
            {"depth": 1, "width": 2},
            "options.width: unknown key; embed.options of embed.model='new' are: depth, kind",
        ),
    ],
)
def test_wrong_options_are_named(own: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match="options") as raised:
        options_of(NEW, EmbedConfig().shared, own)
    assert str(raised.value) == said


def test_a_new_embedder_is_a_line_in_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILT_IN, "new", NEW)
    config = parse_config(
        {
            "input": {"table": "pool", "content": "text"},
            "output": {"root": "lake"},
            "embed": {"model": "new", "options": {"depth": 2}},
            "samples": [{"name": "s", "target_size": 1}],
        }
    )
    assert options_of(NEW, config.embed.shared, config.embed.options).depth == 2


# --- the user's own code --------------------------------------------------------------------------


def embedder_of(gives: object) -> object:
    """Return the embedder of a factory whose function returns this, with two components."""
    sys.modules["given"] = module = type(sys)("given")
    module.make = lambda: lambda contents: gives(contents) if callable(gives) else gives
    return make_embedder(Code("given", "make"), {"n_features": np.array(2)})


def test_the_users_function_sees_neither_nulls_nor_empty_contents() -> None:
    seen: list[object] = []

    def gives(contents: list[object]) -> np.ndarray:
        seen.extend(contents)
        return np.ones((len(contents), 2), np.float32)

    values = pd.Series(["a", None, "", bytearray(b"b")], dtype=object)
    embedded = embedder_of(gives)(values)
    assert seen == ["a", b"b"]
    assert embedded.reasons.tolist() == [None, "null_content", "empty_content", None]
    assert embedded.vectors.tolist() == [[1, 1], [0, 0], [0, 0], [1, 1]]


def test_vectors_of_another_length_and_none_at_all_are_rejects() -> None:
    embedded = embedder_of([np.ones(2), np.ones(3), None])(pd.Series(["a", "b", "c"]))
    assert embedded.reasons.tolist() == [None, "wrong_length", "undecodable"]
    assert embedded.details.tolist()[1:] == [
        "length 3, the embedder gave 2 before",
        "the embedder gave None",
    ]


WRONG = {
    "a list too short": (
        [np.ones(2)],
        "it gave 1 vectors for 2 contents; want (2, n_features) float32, in the contents' order",
    ),
    "one vector": (
        np.ones(2),
        "it gave an array of shape (2,) for 2 contents; want (2, n_features) float32",
    ),
    "nothing": (None, "it gave NoneType for 2 contents; want (2, n_features) float32"),
    "whole numbers": (
        np.ones((2, 2), int),
        "it gave a vector of shape (2,) and type int64; want (2, n_features) float32",
    ),
    "an error": (
        lambda contents: 1 / 0,
        "it failed on a batch of 2 contents with ZeroDivisionError: division by zero; fix it, and "
        "return None for a content that cannot be embedded",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_vectors_is_told(what: str) -> None:
    gives, said = WRONG[what]
    with pytest.raises(EmbedderError) as raised:
        embedder_of(gives)(pd.Series(["a", "b"]))
    assert str(raised.value) == said


def test_a_factory_that_carries_its_version_is_not_called_to_learn_it() -> None:
    sys.modules["given"] = module = type(sys)("given")

    class Make:
        version, reads = "7", "embedding"

    module.Make = Make

    def call(code: Code) -> object:
        raise AssertionError("called")

    spec = spec_of(Code("given", "Make"), call, "of its source")
    assert (spec.version, spec.reads, spec.makes) == ("7", "embedding", "embedding")

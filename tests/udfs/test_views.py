"""Views of embeddings and contents: by rows' seeds alone, of the length asked for; refusals."""

import io

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from udfs.content_views import make_image_view, text_view
from udfs.embedders.contract import EmbedderError
from udfs.embedders.python import Code
from udfs.joint import coordinates_of
from udfs.kernels.joint.dots import scale_of
from udfs.views import Noise, UserCode, make_views

N, N_FEATURES = 300, 9


def shifting(by: float = 1.0) -> object:
    """Return views that are the embeddings moved by their seeds."""
    return lambda X, seeds: X + by * seeds[:, None]


def failing() -> object:
    return lambda X, seeds: X[0]


def rows(n: int = N) -> pa.RecordBatch:
    rng = np.random.default_rng(0)
    vectors = [x.astype(np.float32) for x in rng.standard_normal((n, N_FEATURES))]
    seeds = rng.integers(-(2**63), 2**63, (2, n))
    columns = [pa.array(range(n)), pa.array(vectors), *map(pa.array, seeds)]
    return pa.RecordBatch.from_arrays(columns, names=["id", "embedding", "seed_a", "seed_b"])


def made(augment: Noise | UserCode, batches: list[pa.RecordBatch]) -> pa.Table:
    return pa.Table.from_batches(list(make_views(augment)(iter(batches))))


def test_noise_depends_on_a_rows_own_seed_whatever_the_batches() -> None:
    whole = made(Noise(0.5), [rows()])
    cut = made(Noise(0.5), [rows().slice(i, 37) for i in range(0, N, 37)] + [rows().slice(0, 0)])
    assert cut.combine_chunks() == whole.combine_chunks()
    assert whole["id"].to_pylist() == list(range(N))
    assert whole["reason"].null_count == N


def test_noise_has_the_length_asked_for_and_views_have_length_1() -> None:
    found = made(Noise(0.5), [rows()])
    a, b = (coordinates_of(found[name]) / scale_of(N_FEATURES) for name in "ab")
    for view in (a, b):
        np.testing.assert_allclose(np.linalg.norm(view, axis=1), 1, atol=1e-3)
    # two views with noise of half a vector's length each: a cosine of about 1 / (1 + .5^2)
    assert (a * b).sum(axis=1).mean() == pytest.approx(0.8, abs=0.03)
    view = Noise(0.5)()
    zeros = np.zeros((2000, 4))
    drawn = view(zeros, np.arange(2000))
    assert np.linalg.norm(drawn, axis=1).mean() == pytest.approx(0.5, rel=0.1)
    assert abs(np.corrcoef(drawn.T) - np.eye(4)).max() < 0.1


def test_images_are_cropped_mirrored_and_noisy_by_their_seed_alone() -> None:
    half = np.zeros((20, 30, 3), np.uint8)
    half[:, :15] = 200
    buffer = io.BytesIO()
    Image.fromarray(half).save(buffer, "PNG")
    view = make_image_view("RGB")
    found = [
        np.asarray(Image.open(io.BytesIO(view(buffer.getvalue(), np.random.default_rng(i)) or b"")))
        for i in range(40)
    ]
    shapes = {each.shape for each in found}
    assert all(16 <= h <= 20 and 24 <= w <= 30 for h, w, _ in shapes) and len(shapes) > 3
    is_mirrored = [each[:, 0].mean() < each[:, -1].mean() for each in found]
    assert 10 < sum(is_mirrored) < 30
    assert all(each.std(axis=(1, 2)).min() > 80 for each in found)  # both halves are there
    again = view(buffer.getvalue(), np.random.default_rng(3))
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(again or b""))), found[3])
    assert view(b"no image", np.random.default_rng(0)) is None


@given(st.text(), st.integers(0, 2**32))
def test_a_texts_view_is_some_of_its_words_in_their_order(text: str, seed: int) -> None:
    found = text_view(text, np.random.default_rng(seed)) or ""
    words, kept = text.split(), found.split()
    if len(words) > 1:
        left = iter(words)
        assert kept and all(word in left for word in kept)
    elif words:
        left = iter(words[0])
        assert found and all(character in left for character in found)


def test_three_words_of_ten_are_left_out() -> None:
    text = " ".join(map(str, range(1000)))
    rng = np.random.default_rng(0)
    assert len((text_view(text, rng) or "").split()) == pytest.approx(700, abs=50)
    assert text_view(text.encode(), np.random.default_rng(1)) == text_view(
        text, np.random.default_rng(1)
    )
    assert text_view(b"\xff", rng) is None


def test_the_users_code_is_called_on_embeddings_and_seeds() -> None:
    view = UserCode(Code(__name__, "shifting", '{"by": 2.0}'))()
    np.testing.assert_array_equal(view(np.ones((2, 3)), np.array([0, 5]))[:, 0], [1, 11])
    with pytest.raises(EmbedderError, match=r"failing gave views of shape \(3,\) for 2 rows; want"):
        UserCode(Code(__name__, "failing"))()(np.ones((2, 3)), np.zeros(2, np.int64))

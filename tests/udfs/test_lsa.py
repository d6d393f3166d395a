import re
from functools import cache
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.pipeline import make_pipeline, make_union

from udfs.embedders.lsa import (
    COMPONENT_UNIT,
    MAX_CHARS,
    MAX_WEIGHT,
    N_AT_ONCE,
    N_COLUMNS,
    N_VIEWS,
    WEIGHT_UNIT,
    WORD,
    _make_counter,
    _weigh,
    fit,
    make_embedder,
)

ANIMALS = ["the cat sat on the mat", "the dog sat on the mat", "a cat and a dog on the mat"]
MARKETS = ["stock prices fell today", "prices of stock rose today", "today stock fell and rose"]
WORDS = " ".join(ANIMALS + MARKETS).split() + ["unseen", "Übermut", "!!!", "日本語", "\n", "42"]

texts = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join),
    st.text(max_size=20),
    st.none(),
)


@cache
def small_fit():
    return fit(ANIMALS + MARKETS, n_components=4, seed=0)


@cache
def small_embedder():
    return make_embedder(small_fit())


def embed(*values):
    return small_embedder()(pd.Series(list(values), dtype=object))


def test_a_new_text_is_closest_to_those_it_shares_words_with():
    cat, other_cat, stock = embed("a cat sat", "the cat sat on a dog", "stock rose").vectors
    assert cat @ other_cat > 0.3
    assert abs(cat @ stock) < 0.1


def test_case_does_not_matter():
    lower, upper = embed("the cat sat", "The CAT sat").vectors
    assert (lower == upper).all()


def test_bytes_are_read_as_utf_8():
    text, encoded = embed("Übermut on the mat", "Übermut on the mat".encode()).vectors
    assert (text == encoded).all()


@pytest.mark.parametrize(
    ("value", "reason", "detail"),
    [
        (None, "null_content", None),
        ("", "empty_content", None),
        (" \n\t", "empty_content", "3 white space characters"),
        (b"", "empty_content", None),
        ("日本語", "zero_norm", "shares no n-gram with the texts fitted on"),
        (b"cat \xff", "undecodable", "not UTF-8 at byte 4: invalid start byte"),
        ("cat \ud800", "undecodable", "not Unicode at character 4: surrogates not allowed"),
        (3, "undecodable", "int is neither text nor bytes"),
    ],
)
def test_a_bad_value_has_a_reason_and_its_neighbours_do_not(value, reason, detail):
    embedded = embed("the cat", value, "the dog")
    assert embedded.reasons.tolist() == [None, reason, None]
    assert embedded.details.tolist() == [None, detail, None]
    assert embedded.vectors.any(axis=1).tolist() == [True, False, True]


def test_an_empty_column_gives_an_empty_matrix():
    assert embed().vectors.shape == (0, 4)


def test_only_the_beginning_of_a_very_long_text_is_read():
    beginning = "cat " * (MAX_CHARS // 4)
    short, long = embed(beginning, beginning + "stock prices fell").vectors
    assert (short == long).all()


def test_a_batch_larger_than_what_is_embedded_at_once_keeps_its_order():
    n_times = N_AT_ONCE  # so that the parts end inside a repetition
    many = embed(*ANIMALS * n_times).vectors
    np.testing.assert_array_equal(many, np.tile(embed(*ANIMALS).vectors, (n_times, 1)))


@settings(max_examples=60)
@given(st.lists(texts, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_a_vector_does_not_depend_on_the_rest_of_the_batch(values, random):
    order = list(range(len(values)))
    random.shuffle(order)
    shuffled = embed(*(values[i] for i in order))
    for position, i in enumerate(order):
        alone = embed(values[i])
        assert alone.vectors[0].tobytes() == shuffled.vectors[position].tobytes()
        assert alone.reasons[0] == shuffled.reasons[position]


def test_projections_are_exact_sums_of_integers():
    arrays = fit([*ANIMALS, "x", "日本語", "日本の x"], n_components=4, seed=0)
    texts = [*ANIMALS, "x", "日本"]  # "x" has no word
    components = np.rint(arrays["components"].astype(float) / COMPONENT_UNIT).astype(np.int64)
    expected = 0
    views = _weigh(_make_counter()(texts), arrays["idf"])
    for view, view_components in zip(views, components, strict=True):
        weights = np.rint(view.toarray() / WEIGHT_UNIT).astype(np.int64)
        sums = weights @ view_components  # integers: no rounding, whatever the order
        sq_norms = np.maximum((weights * weights).sum(axis=1) * WEIGHT_UNIT**2, 1)
        expected = expected + sums * (WEIGHT_UNIT * COMPONENT_UNIT) / np.sqrt(sq_norms)[:, None]
    vectors = make_embedder(arrays)(pd.Series(texts)).vectors
    np.testing.assert_array_equal(vectors, expected.astype(np.float32))


def test_the_stated_bounds_fit_into_the_53_bits_of_float64():
    longest = MAX_WEIGHT * np.sqrt(N_COLUMNS)  # a view of the largest weights
    assert longest**2 / WEIGHT_UNIT**2 <= 2**53
    assert 2 * longest / (WEIGHT_UNIT * COMPONENT_UNIT) <= 2**53  # 2: of a rounded unit vector


def test_components_are_on_the_grid_and_at_most_one():
    units = small_fit()["components"].astype(float) / COMPONENT_UNIT
    assert (units == np.rint(units)).all()
    assert np.abs(units).max() <= 1 / COMPONENT_UNIT
    assert not np.signbit(units[units == 0]).any()


def reference_fitted_on(texts):
    """Return the two views by scikit-learn, each tf-idf row of length 1."""
    plain = {"alternate_sign": False, "norm": None, "n_features": N_COLUMNS}
    tfidf = {"sublinear_tf": True, "smooth_idf": True, "norm": "l2"}
    return make_union(
        make_pipeline(HashingVectorizer(token_pattern=WORD, **plain), TfidfTransformer(**tfidf)),
        make_pipeline(
            HashingVectorizer(ngram_range=(3, 5), analyzer="char_wb", **plain),
            TfidfTransformer(**tfidf),
        ),
    ).fit(texts)


def test_vectors_agree_with_scikit_learns_pipeline():
    components = small_fit()["components"].reshape(N_VIEWS * N_COLUMNS, -1).astype(float)
    new = ["the cat rose", "stock of mats", "dog dog dog"]
    expected = reference_fitted_on(ANIMALS + MARKETS).transform(new) @ components
    # a weight of 1 or more is rounded to 2^-10: an error of at most 2^-11 of itself
    np.testing.assert_allclose(embed(*new).vectors, expected, rtol=0, atol=2**-10)


def test_components_are_those_of_an_exact_svd_of_both_views():
    texts = [*ANIMALS, *MARKETS, "日本語", "日本の猫"]
    components = fit(texts, n_components=4, seed=0)["components"].reshape(N_VIEWS * N_COLUMNS, -1)
    weights = reference_fitted_on(texts).transform(texts).toarray()
    exact = np.linalg.svd(weights, full_matrices=False)[2][:4]
    np.testing.assert_allclose(np.abs(exact @ components), np.eye(4), rtol=0, atol=2**-10)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("the cat, a 2nd cat_1", ["the", "cat", "2nd", "cat_1"]),
        ("GNU・Linux用カーネル", ["GNU", "Linux", *"用カーネル"]),
        ("佐々木二〇二四年", [*"佐々木二〇二四年"]),
        ("𠮷野家abc", [*"𠮷野家", "abc"]),
        ("ｶｰﾈﾙ", [*"ｶｰﾈﾙ"]),
        ("Übermut 3 日", ["Übermut", "日"]),
        ("한국어 текст", ["한국어", "текст"]),
        ("!? x", []),
    ],
)
def test_words_are_runs_of_letters_and_single_characters_where_none_are_spaced(text, words):
    assert re.findall(WORD, text) == words
    counted = _make_counter()([text])[0]  # hashed
    assert counted.sum() == len(words)


def test_an_accent_is_part_of_its_letter_however_it_is_written():
    whole, parts = embed("Übermut on the mat", "U\u0308bermut on the mat").vectors
    assert (whole == parts).all()


def test_a_text_without_a_word_is_told_by_its_characters():
    once = fit(["x y z", "x y z!", "p q r", "p q r!"], n_components=2, seed=0)
    near, like, far = make_embedder(once)(pd.Series(["x y", "x y z", "p q"])).vectors
    assert near @ like > 0.5 > abs(near @ far)


@pytest.mark.parametrize(
    ("sample", "n_kept"),
    [
        (["the cat"], 1),
        (["the cat", "stock fell", "prices rose"], 3),
        (["the cat", "stock fell", "the cat", None, ""], 2),
        (ANIMALS + MARKETS, 4),
    ],
)
def test_no_more_components_are_kept_than_the_sample_spans(sample, n_kept):
    arrays = fit(sample, n_components=4, seed=0)
    assert arrays["components"].shape == (N_VIEWS, N_COLUMNS, n_kept)
    assert make_embedder(arrays)(pd.Series(sample)).vectors.shape == (len(sample), n_kept)


def test_the_same_seed_fits_the_same_arrays(seed):
    once, again = (fit(ANIMALS + MARKETS, n_components=2, seed=seed) for _ in range(2))
    assert all((once[name] == again[name]).all() for name in once)


def test_arrays_survive_npz_without_pickles():
    file = BytesIO()
    np.savez(file, **small_fit())
    file.seek(0)
    loaded = dict(np.load(file, allow_pickle=False))
    again = make_embedder(loaded)(pd.Series(ANIMALS))
    np.testing.assert_array_equal(again.vectors, embed(*ANIMALS).vectors)


def test_a_sample_without_a_usable_text_is_refused():
    with pytest.raises(ValueError, match="none of the 3 texts"):
        fit([None, "", b"\xff"], n_components=2, seed=0)


def test_bad_options_and_arrays_are_refused():
    with pytest.raises(ValueError, match="n_components=0"):
        fit(ANIMALS, n_components=0, seed=0)
    with pytest.raises(ValueError, match=r"components \(3, 2\)"):
        make_embedder({"idf": np.ones(3), "components": np.ones((3, 2), np.float32)})

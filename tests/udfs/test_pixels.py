from functools import cache
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.decomposition import PCA

from udfs.embedders.pixels import COMPONENT_UNIT, MAX_VALUES, count_values, fit, make_embedder

# Two images that differ in one pixel only: their first principal component is that pixel.
DARK = np.array([[9, 0], [0, 0]], dtype=np.uint8)
LIGHT = np.array([[9, 0], [0, 200]], dtype=np.uint8)


def encode(pixels, format="PNG", **options):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    file = BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def column(*values):
    return pd.Series(list(values), dtype=object)


def draw_digits(rng, n=40):
    return rng.integers(0, 17, size=(n, 8, 8), dtype=np.uint8)


@cache
def digit_arrays():
    digits = draw_digits(np.random.default_rng(0))
    return fit([encode(d) for d in digits], n_components=5, size=8, mode="L", seed=0)


@cache
def digit_embedder():
    return make_embedder(digit_arrays())


def see(value, mode="L", size=2):
    """Return the pixels that the embedder sees, using an identity projection."""
    n_values = count_values(size, mode)
    embedded = make_embedder(
        {
            "components": np.eye(n_values, dtype=np.float32),
            "offset": np.zeros(n_values),
            "size": np.array(size),
            "mode": np.array(mode),
        }
    )(column(value))
    assert embedded.reasons.tolist() == [None], embedded.details
    return embedded.vectors[0].tolist()


def test_the_component_is_what_differs_by_hand():
    arrays = fit([encode(DARK), encode(LIGHT)], n_components=3, size=2, mode="L", seed=0)
    assert arrays["components"].tolist() == [[0], [0], [0], [1]]
    assert arrays["offset"].tolist() == [100]
    vectors = make_embedder(arrays)(column(encode(DARK), encode(LIGHT))).vectors
    assert vectors.tolist() == [[-100], [100]]


def test_an_image_of_the_right_size_is_not_resampled(seed):
    digit = draw_digits(np.random.default_rng(seed), 1)[0]
    assert see(encode(digit), size=8) == digit.ravel().tolist()


def test_a_larger_image_is_averaged_down():
    halves = np.repeat(np.array([[0, 200]], dtype=np.uint8), 4, axis=0).repeat(4, axis=1)
    left, right = see(encode(halves))[:2]
    assert 0 <= left < 50 < 150 < right <= 200


def test_a_16_bit_image_is_scaled_to_the_range_that_it_fills():
    deep = np.array([[0, 256], [32768, 65535]], dtype=np.uint16)
    assert see(encode(deep)) == [0, 1, 128, 255]
    assert see(encode(deep, "TIFF")) == [0, 1, 128, 255]
    dark = np.array([[7, 10], [13, 67]], dtype=np.uint16)  # of 12 bits, hardly exposed
    assert see(encode(dark)) == [0, 13, 26, 255]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_turned_photo_is_seen_as_its_turned_copy(kind: str):
    upright = Image.fromarray(np.repeat(np.arange(0, 256, 16, np.uint8), 16).reshape(16, 16))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    lying = BytesIO()
    upright.rotate(90).save(lying, kind, exif=exif)
    copy = BytesIO()
    upright.save(copy, kind)
    np.testing.assert_allclose(see(lying.getvalue()), see(copy.getvalue()), atol=2)
    plain = BytesIO()
    upright.rotate(90).save(plain, kind)
    assert np.abs(np.subtract(see(plain.getvalue()), see(copy.getvalue()))).max() > 50


SEEN = {  # EXIF orientation -> how the pixels 1 2 / 3 4 are seen
    0: "1234", 1: "1234", 2: "2143", 3: "4321", 4: "3412",
    5: "1324", 6: "3142", 7: "4231", 8: "2413", 9: "1234",
}  # fmt: skip


@pytest.mark.parametrize("orientation", SEEN)
def test_every_orientation_is_seen_as_exif_has_it(orientation: int):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.array([[10, 20], [30, 40]], np.uint8)
    want = [10 * int(digit) for digit in SEEN[orientation]]
    for kind in ("PNG", "TIFF"):
        assert see(encode(stored, kind, exif=exif)) == want


def test_exif_that_is_broken_turns_nothing():
    stored = np.array([[10, 20], [30, 40]], np.uint8)
    for broken in (b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"no EXIF"):
        assert see(encode(stored, exif=broken)) == [10, 20, 30, 40]


@pytest.mark.parametrize(
    ("mode", "kind", "options"),
    [
        ("L", "PNG", {"transparency": 0}),
        ("RGB", "PNG", {"transparency": (0, 0, 0)}),
        ("P", "PNG", {"transparency": 0}),
        ("P", "PNG", {"transparency": b"\0\xff"}),  # an alpha for each colour
        ("P", "GIF", {"transparency": 0}),
        ("LA", "TIFF", {}),
        ("RGBA", "WEBP", {"lossless": True}),
    ],
)
def test_transparency_of_every_kind_shows_white(mode: str, kind: str, options: dict):
    if mode == "P":
        image = Image.fromarray(np.array([[1, 0], [0, 0]], np.uint8)).convert("P")
        image.putpalette([0, 0, 0, 50, 50, 50])
    else:
        grey = np.array([[50, 0], [0, 0]], np.uint8)
        image = Image.fromarray(np.stack([grey, 255 * (grey > 0)], 2).astype(np.uint8), "LA")
        image = image.convert(mode)
    assert see(encode(image, kind, **options)) == [50, 255, 255, 255]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_shows_white(mode: str):
    logo = np.zeros((2, 2, 4), np.uint8)  # black, and transparent but for one corner
    logo[0, 0, 3] = 255
    image = Image.fromarray(logo, "RGBA").convert(mode)
    assert see(encode(image)) == [0, 255, 255, 255]


def test_a_palette_image_is_converted_by_its_palette():
    palette = Image.fromarray(np.array([[0, 1], [1, 1]], dtype=np.uint8))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    expected = [10, 20, 30] + 3 * [200, 100, 50]
    assert see(encode(palette), mode="RGB") == expected


def test_a_cmyk_image_is_converted():
    ink = Image.new("CMYK", (2, 2), (0, 0, 0, 0))
    ink.putpixel((0, 0), (0, 0, 0, 255))
    assert see(encode(ink, "TIFF"), mode="RGB") == [0, 0, 0] + 9 * [255]


def test_an_animation_is_seen_by_its_first_frame():
    first, second = (Image.fromarray(pixels).resize((2, 2)) for pixels in (LIGHT, 255 - LIGHT))
    animation = encode(first, "GIF", save_all=True, append_images=[second])
    assert see(animation) == [9, 0, 0, 200]


def test_a_grey_image_becomes_rgb():
    assert see(encode(LIGHT), mode="RGB") == [9, 9, 9, 0, 0, 0, 0, 0, 0, 200, 200, 200]


def test_paths_and_file_uris_are_read(tmp_path):
    path = tmp_path / "an image.png"
    path.write_bytes(encode(LIGHT))
    assert see(str(path)) == see(path.as_uri()) == see(encode(LIGHT))


NOISE = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
BAD = {
    "null": (None, "null_content", None),
    "empty": (b"", "empty_content", None),
    "other bytes": (b"no", "undecodable", "UnidentifiedImageError: cannot identify image file"),
    "half a PNG": (encode(NOISE)[:500], "undecodable", "OSError: image file is truncated"),
    "half a JPEG": (encode(NOISE, "JPEG")[:700], "undecodable", "OSError: image file is truncated"),
    "float pixels": (encode(NOISE / np.float32(9), "TIFF"), "undecodable", "ValueError: float pix"),
    "no file": ("/no/such.png", "undecodable", "FileNotFoundError: no local file at /no/such.png"),
    "bucket": ("s3://a/b.png", "undecodable", "FileNotFoundError: no local file at s3://a/b.png"),
    "device": ("/dev/zero", "undecodable", "FileNotFoundError: no local file at /dev/zero"),
    "list": ([1, 2, 3], "undecodable", "list is neither bytes nor a path"),
    "one grey": (encode(np.full((3, 3), 7, np.uint8)), "constant", "every pixel is 7"),
}


@pytest.mark.parametrize(("value", "reason", "detail"), BAD.values(), ids=BAD)
def test_a_bad_value_has_a_reason_and_its_neighbours_do_not(value, reason, detail):
    digit = encode(draw_digits(np.random.default_rng(0), 1)[0])
    embedded = digit_embedder()(column(digit, value, digit))
    assert embedded.reasons.tolist() == [None, reason, None]
    assert (embedded.details[1] or "").startswith(detail or "")
    assert embedded.vectors.any(axis=1).tolist() == [True, False, True]


def test_an_image_of_one_colour_is_constant():
    red = Image.new("RGB", (4, 4), (255, 0, 0))
    arrays = fit(
        [encode(DARK), encode(LIGHT), encode(red)], n_components=1, size=2, mode="RGB", seed=0
    )
    embedded = make_embedder(arrays)(column(encode(red)))
    assert (embedded.reasons[0], embedded.details[0]) == ("constant", "every pixel is 255, 0, 0")


@pytest.mark.parametrize("limit", [50, 20])  # 64 pixels: a warning of Pillow, and its error
def test_a_decompression_bomb_is_undecodable(monkeypatch, limit):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    embedded = digit_embedder()(column(encode(np.eye(8, dtype=np.uint8))))
    assert embedded.reasons.tolist() == ["undecodable"]
    assert "DecompressionBomb" in embedded.details[0]


def test_a_worker_out_of_memory_does_not_blame_the_image(monkeypatch):
    def open_nothing(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr(Image, "open", open_nothing)
    with pytest.raises(MemoryError):
        digit_embedder()(column(b"any"))


def test_a_program_to_draw_an_image_is_not_run():
    postscript = encode(Image.new("RGB", (8, 8)), "EPS")
    assert digit_embedder()(column(postscript)).reasons.tolist() == ["undecodable"]


def test_an_empty_column_gives_an_empty_matrix():
    assert digit_embedder()(column()).vectors.shape == (0, 5)


@settings(max_examples=30)
@given(st.lists(st.binary(min_size=64, max_size=64), min_size=1, max_size=6))
def test_a_vector_does_not_depend_on_the_rest_of_the_batch(contents):
    images = [encode(np.frombuffer(content, np.uint8).reshape(8, 8)) for content in contents]
    together = digit_embedder()(column(*images))
    for i, image in enumerate(images):
        alone = digit_embedder()(column(image))
        assert alone.vectors[0].tobytes() == together.vectors[i].tobytes()
        assert alone.reasons[0] == together.reasons[i]


def test_projections_are_exact_sums_of_integers(seed):
    digits = draw_digits(np.random.default_rng(seed))
    arrays = digit_arrays()
    components = np.rint(arrays["components"].astype(float) / COMPONENT_UNIT).astype(np.int64)
    offset = np.rint(arrays["offset"] / COMPONENT_UNIT).astype(np.int64)
    sums = digits.reshape(-1, 64).astype(np.int64) @ components - offset  # no rounding
    embedded = digit_embedder()(column(*map(encode, digits)))
    np.testing.assert_array_equal(embedded.vectors, (sums * COMPONENT_UNIT).astype(np.float32))


def test_components_are_on_the_grid_and_at_most_one():
    units = digit_arrays()["components"].astype(float) / COMPONENT_UNIT
    assert (units == np.rint(units)).all()
    assert np.abs(units).max() <= 1 / COMPONENT_UNIT
    assert not np.signbit(units[units == 0]).any()


def test_the_stated_bound_fits_into_the_53_bits_of_float64():
    assert 2 * 2**8 * MAX_VALUES / COMPONENT_UNIT <= 2**53  # 2: the offset is subtracted


def test_vectors_agree_with_scikit_learns_pca():
    digits = draw_digits(np.random.default_rng(0))
    pca = PCA(n_components=5, svd_solver="full").fit(digits.reshape(-1, 64).astype(float))
    expected = pca.transform(digits.reshape(-1, 64).astype(float))
    vectors = digit_embedder()(column(*map(encode, digits))).vectors
    # 64 pixels of at most 16 times a component rounded by 2^-21, and the offset's rounding
    np.testing.assert_allclose(np.abs(vectors), np.abs(expected), atol=64 * 16 * 2**-21 + 2**-21)


def test_the_order_of_the_sample_does_not_matter(seed):
    images = [encode(digit) for digit in draw_digits(np.random.default_rng(seed))]
    once = fit(images, n_components=3, size=8, mode="L", seed=seed)
    again = fit(images[::-1], n_components=3, size=8, mode="L", seed=seed)
    assert all((once[name] == again[name]).all() for name in once)


def test_arrays_survive_npz_without_pickles():
    file = BytesIO()
    np.savez(file, **digit_arrays())
    file.seek(0)
    loaded = dict(np.load(file, allow_pickle=False))
    image = column(encode(np.eye(8, dtype=np.uint8)))
    np.testing.assert_array_equal(
        make_embedder(loaded)(image).vectors, digit_embedder()(image).vectors
    )


def test_a_sample_without_two_different_images_is_refused():
    with pytest.raises(ValueError, match="of the 4 images to fit on 2 are usable"):
        fit([encode(DARK), encode(DARK), None, b"x"], n_components=2, size=2, mode="L", seed=0)
    with pytest.raises(ValueError, match="of the 0 images"):
        fit([], n_components=2, size=2, mode="L", seed=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_components": 0}, "n_components=0"),
        ({"mode": "CMYK"}, "mode='CMYK' should be one of L, RGB"),
        ({"size": 1}, "size=1 should be between 2 and 64 with mode='L'"),
        ({"size": 37, "mode": "RGB"}, "size=37 should be between 2 and 36 with mode='RGB'"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        fit([], **{"n_components": 2, "size": 8, "mode": "L", "seed": 0, **options})


def test_arrays_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"components \(64, 5\) .* should be \(16,"):
        make_embedder({**digit_arrays(), "size": np.array(4)})

"""Treemaps: areas follow sizes, boxes fill the rectangle and do not overlap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.pictures.treemap import Box, squarified


def test_the_example_of_the_paper() -> None:
    # sizes 6, 6, 4, 3, 2, 2, 1 in a rectangle of 6 x 4
    boxes = [
        tuple(np.round([b.left * 6, b.top * 4, b.width * 6, b.height * 4], 6))
        for b in squarified([6, 6, 4, 3, 2, 2, 1], ratio=1.5)
    ]
    assert boxes[:2] == [(0, 0, 3, 2), (0, 2, 3, 2)]
    assert boxes[2] == pytest.approx((3, 0, 12 / 7, 7 / 3))
    assert boxes[3] == pytest.approx((3 + 12 / 7, 0, 9 / 7, 7 / 3))


def test_one_size_fills_all_and_none_fills_nothing() -> None:
    assert squarified([3], ratio=2) == [Box(0, 0, 1, 1)]
    assert squarified([], ratio=2) == []


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=40), st.sampled_from([0.5, 1.0, 2.0]))
def test_areas_follow_sizes_and_boxes_share_no_area(sizes: list[float], ratio: float) -> None:
    sizes.sort(reverse=True)
    boxes = np.array(squarified(sizes, ratio=ratio))
    areas = boxes[:, 2] * boxes[:, 3]
    assert areas == pytest.approx(np.array(sizes) / sum(sizes), rel=1e-6)
    ends = boxes[:, :2] + boxes[:, 2:]
    assert boxes.min() >= -1e-9
    assert ends.max() <= 1 + 1e-9
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(ends[:, None], ends[None])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    assert shared[~np.eye(len(boxes), dtype=bool)].sum() == pytest.approx(0, abs=1e-6)

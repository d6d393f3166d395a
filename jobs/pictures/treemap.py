"""Squarified treemaps: rectangles whose areas follow their sizes, near to squares.

Source: Bruls, Huizing and van Wijk, "Squarified Treemaps" (2000).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle inside another; its edges are fractions of the outer width and height."""

    left: float
    top: float
    width: float
    height: float


def squarified(sizes: Sequence[float], *, ratio: float) -> list[Box]:
    """Fill a rectangle with one box per size, in their order.

    Parameters
    ----------
    sizes : positive; from the largest to the smallest gives the squarest boxes
    ratio : the rectangle's width over its height
    """
    scale = ratio / sum(sizes) if sizes else 0.0  # areas, in a rectangle of height 1
    boxes: list[Box] = []
    space = Box(0.0, 0.0, ratio, 1.0)
    for row in _rows([size * scale for size in sizes], space):
        boxes += _placed(row, space)
        space = _left_over(row, space)
    return [Box(b.left / ratio, b.top, b.width / ratio, b.height) for b in boxes]


def _rows(areas: Sequence[float], space: Box) -> Iterator[list[float]]:
    """Yield areas row by row: a row ends where one more would make its worst box longer."""
    at = 0
    while at < len(areas):
        side, end = min(space.width, space.height), at + 1
        total, worst = areas[at], _worst(areas[at], areas[at], areas[at], side)
        while end < len(areas):
            more = total + areas[end]
            longer = _worst(areas[at], areas[end], more, side)
            if longer > worst:
                break
            total, worst, end = more, longer, end + 1
        yield (row := list(areas[at:end]))
        space, at = _left_over(row, space), end


def _worst(first: float, last: float, total: float, side: float) -> float:
    """Return the largest side ratio of a row's boxes; its first area is the largest."""
    across = (total / side) ** 2
    return max(first / across, across / last) if across and last else float("inf")


def _placed(row: Sequence[float], space: Box) -> Iterator[Box]:
    """Yield a row's boxes, along the shorter side of what is left."""
    thick, at = _thickness(row, space), 0.0
    for area in row:
        long = area / thick
        if space.width >= space.height:
            yield Box(space.left, space.top + at, thick, long)
        else:
            yield Box(space.left + at, space.top, long, thick)
        at += long


def _left_over(row: Sequence[float], space: Box) -> Box:
    thick = _thickness(row, space)
    if space.width >= space.height:
        return Box(space.left + thick, space.top, space.width - thick, space.height)
    return Box(space.left, space.top + thick, space.width, space.height - thick)


def _thickness(row: Sequence[float], space: Box) -> float:
    return max(sum(row) / max(min(space.width, space.height), 1e-12), 1e-12)

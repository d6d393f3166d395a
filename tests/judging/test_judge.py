"""The judge by hand: a draw next to a uniform one of its size, over nodes and communities."""

import numpy as np
import pytest

from jobs.judging.judge import Judge
from jobs.judging.views import Views

POINTS = np.array([[0.0], [1.0], [2.0], [100.0]], np.float32)
APART, TOGETHER = np.array([0, 0, 0, 1]), np.array([0, 0, -1, 1])


def _control(judge: Judge) -> int:
    """Find the point that the uniform draw of one point is."""
    (at,) = (i for i in range(4) if np.isclose(judge.measure(np.array([i])).nodes.mean(), 1))
    return at


def test_the_pool_itself_is_at_no_distance_and_the_control_is_at_one() -> None:
    judge = Judge(POINTS, Views([APART], TOGETHER), POINTS, 1)
    nodes, communities, kl = judge.measure(np.arange(4))
    assert nodes.tolist() == [0, 0]
    assert communities is not None
    assert communities.tolist() == [0, 0]
    # two points in one community, one in the other, one in none
    assert kl == pytest.approx(np.log(2) + 2 / 3 * np.log(2 / 3) + 1 / 3 * np.log(1 / 3))
    one = judge.measure(np.array([_control(judge)]))
    assert one.communities is not None
    assert one.communities.mean() == pytest.approx(1)


def test_points_that_judge_stand_for_those_near_them() -> None:
    points = np.array([[0.0], [100.0], [3.0], [90.0], [95.0]], np.float32)
    judge = Judge(points[:2], Views([np.array([0, 1])], np.array([0, 1])), points, 1)
    assert judge.measure(np.array([2, 3])).kl == pytest.approx(0)
    assert judge.measure(np.array([3, 4])).kl == pytest.approx(np.log(2))


def test_without_communities_nodes_alone_judge() -> None:
    _, communities, kl = Judge(POINTS, Views([APART], None), POINTS, 1).measure(np.arange(2))
    assert (communities, kl) == (None, 0)

"""The multi-positive loss: by hand, as InfoNCE, whatever the order, and the same in PyTorch."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from jobs.training.losses import multi_positive_loss

Floats = NDArray[np.float64]


def unit(seed: int, n: int, d: int = 6) -> Floats:
    X = np.random.default_rng(seed).standard_normal((n, d))
    return np.asarray(X / np.linalg.norm(X, axis=1, keepdims=True))


def test_cross_entropy_by_hand_on_four_images_of_two_captions() -> None:
    """Cosines 1 within the first caption, 0 in the second, 0 between them; temperature 1."""
    X = np.array([[1.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    captions = np.array([5, 5, 9, 9])
    # the first two: own positive at logit 1 beside two at 0; the others: all three at 0
    first = -math.log(math.e / (math.e + 2))
    second = -math.log(1 / 3)
    loss = multi_positive_loss(X, X, captions, captions, temperature=1.0, are_same=True)
    assert loss == pytest.approx((first + second) / 2, rel=1e-12)


def test_cross_entropy_by_hand_of_four_anchors_and_two_others() -> None:
    """4 x 2: two anchors have one positive each, one has both, at half of the weight each."""
    logits = np.array([[2.0, 0], [0, 2], [1, 1], [3, 1]])
    anchors, others = logits, np.eye(2)
    loss = multi_positive_loss(
        anchors[:2], others, np.array([0, 1]), np.array([0, 1]), temperature=1.0
    )
    assert loss == pytest.approx(math.log(1 + math.exp(-2)), rel=1e-12)
    both = multi_positive_loss(
        anchors[2:], others, np.array([0, 0]), np.array([0, 0]), temperature=1.0
    )
    by_hand = (math.log(2) + (math.log(math.exp(3) + math.e) - 2)) / 2
    assert both == pytest.approx(by_hand, rel=1e-12)


def test_one_image_a_caption_in_two_views_is_info_nce() -> None:
    a, b, t = unit(0, 7), unit(1, 7), 0.08
    logits = a @ b.T / t
    of_rows = np.log(np.exp(logits - logits.max()).sum(axis=1)) + logits.max()
    info_nce = float((of_rows - np.diag(logits)).mean())
    captions = np.arange(7)
    assert multi_positive_loss(a, b, captions, captions) == pytest.approx(info_nce, rel=1e-9)


@given(seed=st.integers(0, 2**31), m=st.integers(2, 4), n=st.integers(2, 5))
def test_permuting_the_images_of_a_caption_changes_nothing(seed: int, m: int, n: int) -> None:
    rng, X = np.random.default_rng(seed), unit(seed, m * n)
    captions = np.repeat(np.arange(n), m)
    turned = np.concatenate([m * i + rng.permutation(m) for i in range(n)])
    loss = multi_positive_loss(X, X, captions, captions, are_same=True)
    again = multi_positive_loss(X[turned], X[turned], captions, captions, are_same=True)
    assert again == pytest.approx(loss, rel=1e-9)


def test_an_anchor_without_a_positive_is_refused() -> None:
    X = unit(0, 3)
    with pytest.raises(ValueError, match="anchor 2 has no other image of its caption"):
        multi_positive_loss(X, X, np.array([0, 0, 1]), np.array([0, 0, 1]), are_same=True)


def test_captions_of_other_vectors_are_refused() -> None:
    with pytest.raises(ValueError, match=r"vectors for \(3, 3\) pairs, captions for \(2, 3\)"):
        multi_positive_loss(unit(0, 3), unit(0, 3), np.arange(2), np.arange(3))


@pytest.mark.parametrize("are_same", [False, True])
def test_pytorch_gives_the_same(are_same: bool) -> None:
    torch = pytest.importorskip("torch")
    from jobs.training import torch_losses

    X, captions = unit(3, 12), np.repeat(np.arange(4), 3)
    want = multi_positive_loss(X, X, captions, captions, are_same=are_same)
    for kind, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        x = torch.tensor(X, dtype=kind, requires_grad=True)
        loss = torch_losses.multi_positive_loss(
            x, x, torch.tensor(captions), torch.tensor(captions), are_same=are_same
        )
        assert float(loss) == pytest.approx(want, rel=tolerance, abs=1e-6)
        loss.backward()
        assert torch.isfinite(x.grad).all()

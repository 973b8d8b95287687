"""Losses against the sums in their papers, entry by entry (InfoNCE and cross-entropy: test_training.py)."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from simulator.towers import losses

shapes = st.tuples(st.integers(1, 3), st.integers(2, 7), st.integers(1, 5), st.integers(0, 10**6))


def draw(shape, *extra: int) -> list[torch.Tensor]:
    """I, T (E, B, h) and one more normal tensor (E, *extra)."""
    E, B, h, seed = shape
    rng = torch.Generator().manual_seed(seed)
    return [torch.randn(E, *s, generator=rng, dtype=torch.float64) for s in ((B, h), (B, h), extra)]


@given(shapes)
def test_linearised_is_the_double_sum(shape):
    """[W] Eq. 2 of weighed pairs, both sums over i != j, and the penalty on the d x d matrix itself."""
    E, B, h, _ = shape
    I, T, W = draw(shape, h + 2, h)
    V, w = W.flip(1) * 2, I[..., 0].exp()
    expected = torch.zeros(E, dtype=torch.float64)
    for e in range(E):
        s = I[e] @ T[e].T
        for i in range(B):
            for j in range(B):
                if i != j:
                    expected[e] += (w[e, i] * w[e, j] * (s[i, j] + s[j, i]) - 2 * w[e, i] * s[i, i]) / (2 * B * (B - 1))
        expected[e] += 0.7 / 2 * (W[e] @ V[e].T).pow(2).sum()
    assert torch.allclose(losses.linearised(I, T, W, V, 0.7, w), expected, rtol=1e-10, atol=1e-12)
    ones = torch.ones_like(w)
    assert torch.allclose(losses.linearised(I, T, W, V, 0.7), losses.linearised(I, T, W, V, 0.7, ones), atol=1e-12)


@given(shapes)
def test_siglip_is_a_sum_of_log_sigmoids(shape):
    E, B, _, _ = shape
    I, T, s = draw(shape)
    s, b = s.reshape(-1).exp(), s.reshape(-1) - 3
    expected = torch.zeros(E, dtype=torch.float64)
    for e in range(E):
        for i in range(B):
            for j in range(B):
                sign = 1 if i == j else -1
                expected[e] -= F.logsigmoid(sign * (s[e] * I[e, i] @ T[e, j] + b[e])) / B
    assert torch.allclose(losses.siglip(I, T, s, b), expected, atol=1e-12)


# Weights of pairs: each loss has the minimiser of the weighted law.

# A joint law of (x, t) on three images and three captions, with weights `COUNTS` for its six pairs.
LAW = torch.tensor([[0.30, 0.05, 0.00], [0.10, 0.25, 0.00], [0.00, 0.05, 0.25]], dtype=torch.float64)
COUNTS = torch.tensor([[0.5, 2.0, 1.0], [1.5, 0.8, 1.0], [1.0, 3.0, 0.6]], dtype=torch.float64)
COUNTS = COUNTS / (LAW * COUNTS).sum()
PAIRS = [(x, t) for x, t in itertools.product(range(3), range(3)) if LAW[x, t] > 0]


def expected(loss, B: int) -> torch.Tensor:
    """Expectation of a batch's loss over all batches of B pairs, by listing them: loss(rows x, rows t, weights)."""
    total = 0.0
    for batch in itertools.product(PAIRS, repeat=B):
        x, t = (torch.tensor(part) for part in zip(*batch, strict=True))
        total = total + LAW[x, t].prod() * loss(x[None], t[None], COUNTS[x, t][None])
    return total


@pytest.mark.parametrize("B", [2, 3])
@pytest.mark.parametrize("name", ["infonce", "siglip"])
def test_the_optimum_of_contrastive_losses(name, B):
    """f = log p_w(x, t)/(p(x) p(t)) is stationary for any batch: a critic is a table, I e_x and T its columns."""
    weighted = LAW * COUNTS
    critic = (weighted / LAW.sum(1, keepdim=True) / LAW.sum(0)).clamp(min=1e-13).log()
    table = critic.clone().requires_grad_()
    one = torch.ones(1, dtype=torch.float64)

    def loss(x, t, weights):
        I, T = F.one_hot(x, 3).double(), table.T[t]  # I T' = critic[x, t]
        if name == "infonce":
            return losses.infonce(I, T, one, weights)
        return losses.siglip(I, T, one, -torch.log(one * (B - 1)), weights)

    (gradient,) = torch.autograd.grad(expected(loss, B).sum(), table)
    assert gradient.abs().max() < 1e-10
    off = torch.autograd.grad(expected(lambda x, t, w: loss(x, t, torch.ones_like(w)), B).sum(), table)[0]
    assert off.abs().max() > 1e-3, "without weights it is the minimiser of another law"

"""Losses against the sums in their papers (InfoNCE and cross-entropy: test_training.py); tiled
losses against dense.
"""

import itertools
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from simulator.towers import chunked_losses, losses
from simulator.towers.chunked_losses import tiled_infonce, tiled_siglip

shapes = st.tuples(st.integers(1, 3), st.integers(2, 7), st.integers(1, 5), st.integers(0, 10**6))


def draw(shape, *extra: int) -> list[torch.Tensor]:
    """I, T (E, B, h) and one more normal tensor (E, *extra)."""
    E, B, h, seed = shape
    rng = torch.Generator().manual_seed(seed)
    return [torch.randn(E, *s, generator=rng, dtype=torch.float64) for s in ((B, h), (B, h), extra)]


@given(shapes)
def test_linearised_is_the_double_sum(shape):
    """[W] Eq. 2 of weighed pairs, both sums over i != j, and the penalty on the d x d matrix
    itself.
    """
    E, B, h, _ = shape
    I, T, W = draw(shape, h + 2, h)
    V = W.flip(1) * 2
    w = I[..., 0].exp()
    expected = torch.zeros(E, dtype=torch.float64)
    for e in range(E):
        s = I[e] @ T[e].T
        for i in range(B):
            for j in range(B):
                if i != j:
                    expected[e] += (
                        w[e, i] * w[e, j] * (s[i, j] + s[j, i]) - 2 * w[e, i] * s[i, i]
                    ) / (2 * B * (B - 1))
        expected[e] += 0.7 / 2 * (W[e] @ V[e].T).pow(2).sum()
    assert torch.allclose(losses.linearised(I, T, W, V, 0.7, w), expected, rtol=1e-10, atol=1e-12)
    ones = torch.ones_like(w)
    assert torch.allclose(
        losses.linearised(I, T, W, V, 0.7), losses.linearised(I, T, W, V, 0.7, ones), atol=1e-12
    )


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
LAW = torch.tensor(
    [[0.30, 0.05, 0.00], [0.10, 0.25, 0.00], [0.00, 0.05, 0.25]], dtype=torch.float64
)
COUNTS = torch.tensor([[0.5, 2.0, 1.0], [1.5, 0.8, 1.0], [1.0, 3.0, 0.6]], dtype=torch.float64)
COUNTS = COUNTS / (LAW * COUNTS).sum()
PAIRS = [(x, t) for x, t in itertools.product(range(3), range(3)) if LAW[x, t] > 0]


def expected(loss, B: int) -> torch.Tensor:
    """Expectation of a batch's loss over all batches of B pairs, by listing them: loss(rows x, rows
    t, weights).
    """
    total = 0.0
    for batch in itertools.product(PAIRS, repeat=B):
        x, t = (torch.tensor(part) for part in zip(*batch, strict=True))
        total = total + LAW[x, t].prod() * loss(x[None], t[None], COUNTS[x, t][None])
    return total


@pytest.mark.parametrize("B", [2, 3])
@pytest.mark.parametrize("name", ["infonce", "siglip"])
def test_the_optimum_of_contrastive_losses(name, B):
    """f = log p_w(x, t)/(p(x) p(t)) is stationary for any batch: a critic is a table, I e_x and T
    its columns.
    """
    weighted = LAW * COUNTS
    critic = (weighted / LAW.sum(1, keepdim=True) / LAW.sum(0)).clamp(min=1e-13).log()
    table = critic.clone().requires_grad_()
    one = torch.ones(1, dtype=torch.float64)

    def loss(x, t, weights):
        # I T' = critic[x, t]
        I = F.one_hot(x, 3).double()
        T = table.T[t]
        if name == "infonce":
            return losses.infonce(I, T, one, weights)
        return losses.siglip(I, T, one, -torch.log(one * (B - 1)), weights)

    (gradient,) = torch.autograd.grad(expected(loss, B).sum(), table)
    assert gradient.abs().max() < 1e-10
    off = torch.autograd.grad(
        expected(lambda x, t, w: loss(x, t, torch.ones_like(w)), B).sum(), table
    )[0]
    assert off.abs().max() > 1e-3, "without weights it is the minimiser of another law"


# Tiled losses and gradients equal the dense ones, at every scale and for adversarial embeddings.

SCALES = (1.0, 14.0, 43.0, 50.0, 100.0)
KINDS = ("random", "aligned", "antipodal")
WEIGHTS = (
    None,
    torch.rand(2, 101, generator=torch.Generator().manual_seed(2), dtype=torch.float64),
)


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """Several tiles in each direction; no tile divides the batch."""
    monkeypatch.setattr(chunked_losses, "CPU_TILE", (24, 40))


def embeddings(kind: str, B: int = 101, h: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    I, T = (
        F.normalize(torch.randn(2, B, h, generator=rng, dtype=torch.float64), dim=-1)
        for _ in range(2)
    )
    if kind == "aligned":
        T = F.normalize(I + 0.01 * T, dim=-1)
    if kind == "antipodal":
        T = -I
    return I, T


def gradients(loss, *inputs: torch.Tensor, dtype=torch.float64) -> list[torch.Tensor]:
    """[loss, its gradient by every input], in float64."""
    leaves = [x.to(dtype, copy=True).requires_grad_() for x in inputs]
    value = loss(*leaves)
    value.sum().backward()
    return [value.detach().double(), *(x.grad.double() for x in leaves)]


def close(ours, reference, loss_tolerance, gradient_tolerance):
    """Gradients are compared in units of the loss's largest possible gradient: 1/B for logits,
    times the scale.
    """
    assert (ours[0] - reference[0]).abs().max() <= loss_tolerance
    for mine, theirs in zip(ours[1:], reference[1:], strict=True):
        assert (mine - theirs).abs().max() <= gradient_tolerance


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("kind", KINDS)
class TestParity:
    @pytest.mark.parametrize("weights", WEIGHTS)
    # InfoNCE with one exponential for both sums, and always with shifted sums; SigLIP.
    @pytest.mark.parametrize(
        ("loss", "limit"), [("infonce", 700.0), ("infonce", -1.0), ("siglip", 700.0)]
    )
    def test_in_float64(self, kind, scale, loss, limit, weights, monkeypatch):
        monkeypatch.setitem(chunked_losses.LARGEST_SHIFT, torch.float64, limit)
        tiled, dense = (
            getattr(home, name)
            for home, name in ((chunked_losses, f"tiled_{loss}"), (losses, loss))
        )
        numbers = [
            torch.tensor([scale, 1.1 * scale]).double().clamp(max=100),
            torch.tensor([-4.6, 1.0]).double(),
        ]
        inputs = (*embeddings(kind), *numbers[: 1 + (loss == "siglip")])
        # InfoNCE: logits up to 100 carry 100 * 2^-53 = 1e-14 each, a sum of 101 terms ten times
        # that. SigLIP: row sums reach 100 * 101 = 1e4 before division; some roundings of 2^-53 of
        # that.
        both = (gradients(partial(one, weights=weights), *inputs) for one in (tiled, dense))
        close(*both, *[2e-13 if loss == "infonce" else 2e-11] * 2)

    def test_infonce_in_float32(self, kind, scale):
        I, T = (x.float().double() for x in embeddings(kind))
        s = torch.tensor([scale, scale], dtype=torch.float64)
        reference = gradients(losses.infonce, I, T, s)
        ours = gradients(tiled_infonce, I, T, s, dtype=torch.float32)
        # A cosine is off by about 4 roundings, 2^-22, a logit by scale times that. A gradient is
        # off by at most scale (2/B) times a logit's error, added over the batch in the worst case.
        logit = scale * 2**-22 + 2**-22
        close(
            ours,
            reference,
            2 * logit + 2**-23 * float(reference[0].abs().max()),
            2 * scale / 101 * logit + 1e-7,
        )

    def test_infonce_with_bfloat16_products(self, kind, scale):
        I, T = embeddings(kind)
        s = torch.tensor([scale, scale], dtype=torch.float64)
        reference = gradients(losses.infonce, I, T, s)
        ours = gradients(
            partial(tiled_infonce, product=torch.bfloat16), I, T, s, dtype=torch.float32
        )
        # bfloat16 keeps 8 bits: an unmatched cosine is off by at most 3 * 2^-9 (two inputs, one
        # output), and both log normalisers by at most scale times that.
        logit = scale * 3 * 2**-9
        assert (ours[0] - reference[0]).abs().max() <= logit
        # d loss/d l has a relative error of e^(2 logit) - 1. It and the embeddings beside it are
        # rounded again.
        relative = torch.expm1(torch.tensor(2 * logit)).item() + 2**-7
        close(ours[1:3], reference[1:3], *[2 * scale / 101 * relative + 1e-7] * 2)


def test_matched_logits_are_exact_with_rounded_products():
    I, _ = embeddings("aligned")
    ours = tiled_infonce(I.float(), I.float(), torch.tensor([100.0, 100.0]), product=torch.bfloat16)
    exact = losses.infonce(I, I, torch.tensor([100.0, 100.0], dtype=torch.float64))
    assert (ours - exact).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("loss", "numbers"), [(tiled_infonce, [14.0]), (tiled_siglip, [14.0, -2.0])]
)
def test_second_derivatives_are_refused(loss, numbers):
    """Without the error they would be wrong."""
    I, T = embeddings("random", 9, 4)
    value = loss(
        I.requires_grad_(), T, *torch.tensor(numbers).double()[:, None].expand(-1, 2)
    ).sum()
    with pytest.raises(NotImplementedError, match="second derivative"):
        torch.autograd.grad(value, I, create_graph=True)

"""Each objective against the sum that its paper writes, entry by entry, in float64."""

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
    """[W] Eq. 2, both sums over i != j, and the penalty on the d x d matrix itself."""
    E, B, h, _ = shape
    I, T, W = draw(shape, h + 2, h)
    V = W.flip(1) * 2
    expected = torch.zeros(E, dtype=torch.float64)
    for e in range(E):
        s = I[e] @ T[e].T
        for i in range(B):
            for j in range(B):
                if i != j:
                    expected[e] += (s[i, j] - s[i, i] + s[j, i] - s[i, i]) / (2 * B * (B - 1))
        expected[e] += 0.7 / 2 * (W[e] @ V[e].T).pow(2).sum()
    assert torch.allclose(losses.linearised(I, T, W, V, 0.7), expected, atol=1e-12)


@given(shapes)
def test_infonce_is_two_cross_entropies(shape):
    I, T, s = draw(shape)
    s = s.reshape(-1).exp()
    target = torch.arange(I.shape[1])
    expected = [
        (F.cross_entropy(k * i @ t.T, target) + F.cross_entropy(k * t @ i.T, target)) / 2
        for i, t, k in zip(I, T, s, strict=True)
    ]
    assert torch.allclose(losses.infonce(I, T, s), torch.stack(expected), atol=1e-12)


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


@given(shapes, st.integers(1, 4))
def test_supcon_is_khosla_equation_2(shape, classes):
    E, B, _, seed = shape
    I, _, s = draw(shape)
    s = s.reshape(-1).exp()
    labels = torch.randint(classes, (E, B), generator=torch.Generator().manual_seed(seed))
    for e in range(E):
        terms = []
        for i in range(B):
            others = [a for a in range(B) if a != i]
            positives = [p for p in others if labels[e, p] == labels[e, i]]
            if positives:
                score = s[e] * I[e] @ I[e, i]
                log_sum = torch.logsumexp(score[others], 0)
                terms.append(-sum(score[p] - log_sum for p in positives) / len(positives))
        expected = sum(terms) / len(terms) if terms else torch.zeros((), dtype=torch.float64)
        assert torch.allclose(losses.supcon(I, labels, s)[e], expected, atol=1e-12)


@given(shapes)
def test_supervised_is_cross_entropy(shape):
    _, _, logits = draw(shape, shape[1], shape[2])
    labels = torch.randint(shape[2], logits.shape[:2], generator=torch.Generator().manual_seed(shape[3]))
    expected = [F.cross_entropy(x, y) for x, y in zip(logits, labels, strict=True)]
    assert torch.allclose(losses.supervised(logits, labels), torch.stack(expected), atol=1e-12)

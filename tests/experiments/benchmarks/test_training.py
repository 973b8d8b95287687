"""The training benchmarks measure what they say; sizes here are toys, ratios are for the README's machine."""

import pytest
import torch
from torch.nn import functional as F

from experiments.benchmarks.training import _fused_cross_entropies, ensemble_row, infonce_row
from simulator.towers.tiles import tiled_infonce


@pytest.mark.parametrize("product", [torch.float32, torch.bfloat16])
def test_infonce_row(product):
    pytest.importorskip("open_clip")
    row = infonce_row(512, 16, product, repeats=1)
    assert row["ours"] > 0
    assert row["ours_over_limit"] == row["ours"] / row["limit"]
    assert row["peer_over_ours"] == row["peer"] / row["ours"]


def test_the_library_computes_the_same_loss():
    """Two fused linear cross-entropies are a symmetric InfoNCE, gradients too: the comparison compares equals."""
    if not hasattr(torch.nn, "LinearCrossEntropyOptions"):
        pytest.skip("this torch has no chunked linear_cross_entropy")
    rng = torch.Generator().manual_seed(0)
    I, T = F.normalize(torch.randn(2, 96, 8, generator=rng), dim=-1)
    leaves = [x.clone().requires_grad_() for x in (I, T, torch.tensor(14.3))]
    _fused_cross_entropies(*leaves, torch.float32)()
    library = [x.grad for x in leaves]
    others = [x.clone().requires_grad_() for x in (I, T, torch.tensor(14.3))]
    tiled_infonce(*(x[None] for x in others)).sum().backward()
    for theirs, ours in zip(library, others, strict=True):
        assert torch.allclose(theirs, ours.grad, rtol=1e-3, atol=1e-6)


@pytest.mark.deep
def test_an_ensemble_and_a_loop_take_their_times():
    row = ensemble_row(8, 8, 2, 2, steps=2)
    assert min(row["ours"], row["peer_over_ours"], row["drawing_over_ours"]) > 0

"""The pure optimisers equal torch.optim's, model by model."""

import pytest
import torch

from simulator.towers.optimisers import clip, moments, update


def trajectories(optimizer: str, weight_decay: float):
    """Ours and torch's parameters after each of twenty steps on the same gradients."""
    rng = torch.Generator().manual_seed(0)
    ours = {
        "layer.weight": torch.randn(3, 4, 2, generator=rng, dtype=torch.float64),
        "bias": torch.randn(3, generator=rng, dtype=torch.float64),
    }
    theirs = [p.clone().requires_grad_() for p in ours.values()]
    groups = [{"params": [theirs[0]], "weight_decay": weight_decay}, {"params": [theirs[1]], "weight_decay": 0.0}]
    peer = torch.optim.AdamW(groups, lr=0.01) if optimizer == "adamw" else torch.optim.SGD([*theirs], lr=0.01)
    state = moments(optimizer, ours)
    for t in range(1, 21):
        gradients = {name: torch.randn(p.shape, generator=rng, dtype=torch.float64) for name, p in ours.items()}
        for p, g in zip(theirs, gradients.values(), strict=True):
            p.grad = g
        peer.step()
        rate, count = torch.tensor(0.01, dtype=torch.float64), torch.tensor(float(t), dtype=torch.float64)
        ours, state = update(optimizer, ours, gradients, state, rate, count, weight_decay)
        yield ours, theirs


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_adamw_equals_torch(weight_decay):
    for ours, theirs in trajectories("adamw", weight_decay):
        for mine, peer in zip(ours.values(), theirs, strict=True):
            assert torch.allclose(mine, peer, rtol=1e-12, atol=1e-14)


def test_sgd_equals_torch():
    for ours, theirs in trajectories("sgd", 0.0):
        for mine, peer in zip(ours.values(), theirs, strict=True):
            assert torch.allclose(mine, peer, rtol=1e-14)


def test_each_model_is_clipped_by_its_own_norm():
    gradients = {
        "weight": torch.tensor([[[3.0]], [[0.3]], [[float("inf")]]]),
        "bias": torch.tensor([4.0, 0.4, 0.0]),
    }
    clipped, norm = clip(gradients, 1.0)
    assert torch.allclose(norm[:2], torch.tensor([5.0, 0.5]))
    assert torch.allclose(clipped["weight"][:2, 0, 0], torch.tensor([0.6, 0.3]))
    assert torch.allclose(clipped["bias"][:2], torch.tensor([0.8, 0.4]))
    assert not torch.isfinite(clipped["weight"][2]).any()  # left for the trainer to see, and to freeze

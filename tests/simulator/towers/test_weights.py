"""Weights of pairs: each loss has the minimiser of the weighted law (tiles and shares: the losses' own tests)."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from simulator.gaussian.pairs import Pairs
from simulator.towers import losses
from simulator.towers.ensemble import Ensemble
from simulator.towers.group_batches import draw_batches
from simulator.towers.recipe import Recipe
from simulator.towers.step import measured
from simulator.towers.training import start
from simulator.world import World

# A joint law of (x, t) on three images and three captions, whose six pairs count what `COUNTS` says.
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


@pytest.mark.parametrize("B", [2, 3])
def test_the_linearised_loss_is_unbiased_for_the_weighted_covariance(B):
    x_values, t_values = (torch.tensor(v, dtype=torch.float64) for v in ([-1.0, 0.5, 2.0], [1.0, -0.3, 0.7]))
    zero = torch.zeros(1, 1, 1, dtype=torch.float64)

    def loss(x, t, weights):
        return losses.linearised(x_values[x][..., None], t_values[t][..., None], zero, zero, 1.0, weights)

    law = LAW * COUNTS
    covariance = (law * torch.outer(x_values, t_values)).sum() - (law.sum(1) @ x_values) * (law.sum(0) @ t_values)
    assert -expected(loss, B).item() == pytest.approx(covariance.item(), abs=1e-12)


def test_the_supervised_loss_of_balanced_weights_is_the_mean_over_groups():
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 30, 2, generator=rng, dtype=torch.float64)
    labels, groups = torch.arange(30)[None] % 2, torch.arange(30)[None].clamp(max=20) % 4
    weights = 30 / (4 * torch.bincount(groups[0]))[groups]
    each = F.cross_entropy(logits[0], labels[0], reduction="none")
    means = torch.stack([each[groups[0] == g].mean() for g in range(4)])
    assert losses.supervised(logits, labels, weights)[0].item() == pytest.approx(means.mean().item(), abs=1e-12)


def test_weights_belong_to_groups():
    """Twice the weight of one group of labels and backgrounds: its pairs' losses, and no others', count twice."""
    world = World(p_spu=0.6, dim_image=4, dim_text=4)
    recipe = Recipe(loss="supervised", width=6, depth=1, batch_size=40, precision="float64")
    one = Ensemble(recipe, (world,), (0,), 0)
    parameters, batch = start(one).parameters, next(draw_batches(one, 0))

    def loss(*weights: float) -> float:
        weighted = one._replace(group_weights=torch.tensor([weights], dtype=torch.float64))
        return measured(weighted, parameters, batch)["loss"].item()

    own = (batch.labels[0] == 0) & (batch.backgrounds[0, :, 0] == 1)  # group 1
    alone = measured(one, parameters, Pairs(*(field[:, own] for field in batch)))["loss"].item()
    assert loss(1, 2, 1, 1) - loss(1, 1, 1, 1) == pytest.approx(alone * own.sum().item() / 40, rel=1e-9)

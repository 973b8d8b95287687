"""GroupDRO: the weights of its groups, the law of balanced groups, and where contrastive losses go instead."""

import pytest
import torch

from simulator.gaussian.pairs import Pairs
from simulator.samplers import EmptyGroup
from simulator.towers.api import train
from simulator.towers.distributed import ALONE
from simulator.towers.ensemble import Ensemble
from simulator.towers.group_batches import draw_batches
from simulator.towers.objectives import OBJECTIVES, GroupDRO, group_dro
from simulator.towers.recipe import Recipe
from simulator.towers.step import measured, one_step
from simulator.towers.training import start
from simulator.world import World
from theory.learners import named

WORLD = World(p_spu=0.9, mu_spu=2.0, dim_image=3, dim_text=3)
SMALL = {"width": 4, "depth": 1, "embed_dim": 3, "batch_size": 60, "steps": 3, "warmup": 0, "precision": "float64"}
DECAYING = {"optimizer": "adamw", "schedule": "cosine", "averaging": 0.0, "lr": 0.02}
RATE = torch.tensor(1e-3, dtype=torch.float64)
ROBUST = [name for name, row in OBJECTIVES.items() if row.ascent]
WEIGHTS = GroupDRO.WEIGHTS


def ensemble(loss: str, **fields) -> Ensemble:
    return Ensemble(Recipe(**{**SMALL, "loss": loss, **fields}), (WORLD, WORLD), (0, 1), 3)


@pytest.mark.parametrize("loss", ROBUST)
def test_groups_without_a_pair_are_refused_before_any_work(loss):
    recipe = Recipe(**{**SMALL, "loss": loss})
    with pytest.raises(EmptyGroup, match=r"p_spu = 1: .* counter "):
        train(WORLD.replace(p_spu=1.0), recipe, models=1)
    rare, few = WORLD.replace(p_spu=0.999), Recipe(**{**SMALL, "loss": loss, "n": 60})
    with pytest.raises(EmptyGroup, match=r"n = 60: no pair has label \d and background \d"):
        train(rare, few, models=1)
    assert train(rare, recipe, models=1).diverged.tolist() == [-1]


def test_the_gradient_by_a_groups_weight_is_its_mean_loss():
    one, plain = ensemble("group-dro"), ensemble("supervised")
    parameters, batch = start(one).parameters, next(draw_batches(one, 0))
    q = parameters[WEIGHTS].clone().requires_grad_()
    (slopes,) = torch.autograd.grad(measured(one, ALONE, {**parameters, WEIGHTS: q}, batch)["loss"].sum(), q)
    for y, a in ((0, 0), (0, 1), (1, 0), (1, 1)):
        rows = (batch.labels[0] == y) & (batch.backgrounds[0, :, 0] == a)
        group = Pairs(*(field[:, rows] for field in batch))
        alone = measured(plain, ALONE, parameters, group)["loss"][0]
        assert slopes[0, 2 * y + a].item() == pytest.approx(alone.item(), rel=1e-9)


@pytest.mark.parametrize("loss", ROBUST)
def test_weights_are_raised_by_their_losses_and_stay_shares(loss):
    """q_g exp(.01 L_g), normalised; the optimiser leaves them alone, and clipping does not see their gradient."""
    one = ensemble(loss, clip=0.5)
    state, batch = start(one), next(draw_batches(one, 0))
    q = state.parameters[WEIGHTS].clone().requires_grad_()
    assert (q == 0.25).all()
    loss = measured(one, ALONE, {**state.parameters, WEIGHTS: q}, batch)["loss"]
    (losses,) = torch.autograd.grad(loss.sum(), q)
    expected = q.detach() * (0.01 * losses).exp()
    after = one_step(one, ALONE, state, batch, RATE)
    assert torch.allclose(after.parameters[WEIGHTS], expected / expected.sum(1, keepdim=True), rtol=1e-12)
    assert not any(name.endswith(WEIGHTS) for name in after.moments)


@pytest.mark.deep
def test_supervised_towers_reach_the_balanced_law():
    """8 models, each of deviation .0024: .005 are six standard errors of their mean."""
    recipe = Recipe(loss="group-dro", towers="linear", steps=1500, embed_dim=4, batch_size=256, **DECAYING)
    world = WORLD.model_copy(update={"dim_image": 2, "dim_text": 2})
    towers = train(world, recipe, models=8)
    law = named(recipe.objective.learner(recipe)).accuracy(recipe.objective.law(recipe, world))
    assert law.drop == pytest.approx(0, abs=1e-12)
    for measured_group, expected in zip(towers.accuracy(), law, strict=True):
        assert measured_group == pytest.approx(expected, abs=0.005)
    common, counter = (towers.parameters[WEIGHTS][:, [0, 3]].sum(1), towers.parameters[WEIGHTS][:, [1, 2]].sum(1))
    assert (common - counter).abs().max() < 0.1, "as much as any other, not nine times as much"


@pytest.mark.deep
def test_contrastive_towers_move_towards_the_common_groups():
    """A common pair has more negatives like it, so it loses more; no law is offered."""
    recipe = Recipe(loss="group-dro-infonce", steps=800, width=32, batch_size=128)
    world = WORLD.model_copy(update={"dim_image": 2, "dim_text": 2})
    towers = train(world, recipe, models=2)
    assert (towers.parameters[WEIGHTS][:, [0, 3]].sum(1) > 0.9).all()
    assert recipe.objective.learner(recipe) is None


def test_an_objective_without_weights_is_refused():
    with pytest.raises(ValueError, match="'supcon'"):
        group_dro(OBJECTIVES["supcon"], "x", None)

"""One table of objectives: each row is sound, and a new objective is one more row."""

import pytest
import torch

from simulator.gaussian.pairs import Pairs
from simulator.towers import training
from simulator.towers.api import train
from simulator.towers.distributed import Group
from simulator.towers.ensemble import Ensemble
from simulator.towers.group_batches import draw_batches
from simulator.towers.objectives import GROUP_WEIGHTS, OBJECTIVES, Objective, register
from simulator.towers.recipe import Recipe
from simulator.towers.training import batch_losses, one_step, run, start
from simulator.world import Attribute, World
from theory.learners import named

DECAYING = {"optimizer": "adamw", "schedule": "cosine", "averaging": 0.0, "lr": 0.02}

WORLD = World(p_spu=0.9, mu_spu=2.0, dim_image=5, dim_text=4, attribute=(Attribute(p=0.7),))
PLAIN = World(p_spu=0.9, mu_spu=2.0, dim_image=2, dim_text=2)
SMALL = {
    "width": 6,
    "depth": 1,
    "embed_dim": 4,
    "batch_size": 12,
    "steps": 5,
    "warmup": 0,
    "precision": "float64",
}

ROBUST = [name for name, row in OBJECTIVES.items() if row.ascent]


def ensemble(loss: str, **fields) -> Ensemble:
    towers = "mlp" if "mlp" in OBJECTIVES[loss].towers else "linear"
    return Ensemble(
        Recipe(**{**SMALL, "loss": loss, "towers": towers, **fields}), (WORLD, WORLD), (0, 1), 3
    )


@pytest.mark.parametrize("loss", [name for name, row in OBJECTIVES.items() if row.splits])
def test_the_share_of_a_process_alone_is_the_whole(loss, monkeypatch):
    weights = torch.tensor([[0.5, 3.0, 2.0, 0.7]] * 2, dtype=torch.float64)
    one = ensemble(loss)._replace(group_weights=weights)
    state = start(one)
    batch = next(draw_batches(one, 0))
    dense = batch_losses(one, state.parameters, batch)
    monkeypatch.setattr(training, "LARGEST_DENSE_BATCH", 4)
    assert torch.allclose(batch_losses(one, state.parameters, batch), dense, rtol=1e-12)
    plain = batch_losses(one._replace(group_weights=None), state.parameters, batch)
    assert not torch.allclose(plain, dense), "weights reach the loss"


def test_what_towers_become():
    """A frozen tower has no law; with a fixed temperature those of captions have one. GroupDRO
    alone balances.
    """
    for loss in ("infonce", "siglip"):
        assert OBJECTIVES[loss].learner(Recipe(loss=loss, frozen="text")) is None
        assert OBJECTIVES[loss].learner(Recipe(loss=loss, temperature=5.0)) == loss
    laws = {
        loss: row.law(Recipe(loss=loss, towers=row.towers[0]), PLAIN)
        for loss, row in OBJECTIVES.items()
    }
    assert [loss for loss, law in laws.items() if law != PLAIN] == ["group-dro"]


def test_siglip_without_bias_is_siglip_at_bias_zero():
    one = ensemble("siglip")
    state = start(one)
    batch = next(draw_batches(one, 0))
    zero = {**state.parameters, "bias": torch.zeros_like(state.parameters["bias"])}
    without = {name: value for name, value in zero.items() if name != "bias"}
    expected = batch_losses(one, zero, batch)
    bare = one._replace(recipe=one.recipe.model_copy(update={"loss": "siglip-unbiased"}))
    assert torch.equal(batch_losses(bare, without, batch), expected)


def test_rho_weighs_the_penalty_of_linear_towers():
    one = ensemble("linear")
    state = start(one)
    batch = next(draw_batches(one, 0))
    recipes = (one.recipe.model_copy(update={"rho": rho}) for rho in (1.0, 2.0, 4.0))
    first, second, fourth = (
        batch_losses(one._replace(recipe=own), state.parameters, batch) for own in recipes
    )
    assert (second > first).all()
    assert torch.allclose(fourth - first, 3 * (second - first))


class Agreeing(Objective):
    """Attracts pairs whose first background agrees with the label."""

    name = "agreeing"

    def loss(self, batch) -> torch.Tensor:
        weight = (batch.backgrounds[..., 0] == batch.labels).to(batch.images.dtype)
        return (weight * (batch.images - batch.texts).square().sum(2)).mean(1)


def test_an_objective_of_ones_own_says_what_it_lacks(monkeypatch):
    monkeypatch.setitem(OBJECTIVES, "agreeing", Agreeing())
    one = ensemble("agreeing")
    state = start(one)
    batch = next(draw_batches(one, 0))
    never = batch._replace(backgrounds=1 - batch.labels[..., None])  # backgrounds reach the loss
    assert batch_losses(one, state.parameters, never).tolist() == [0.0, 0.0]
    assert (batch_losses(one, state.parameters, batch) > 0).all()
    with pytest.raises(ValueError, match=r"loss = 'agreeing' .* 2"):
        next(run(one._replace(group=Group(0, 2)), state, []))
    with pytest.raises(ValueError, match="'agreeing'"):
        register(Agreeing)
    with pytest.raises(ValueError, match="sampler = 'balanced'"):
        Recipe(loss="agreeing", sampler="reweighted")


# GroupDRO: group weights, and the law of balanced groups.


def test_the_gradient_by_a_groups_weight_is_its_mean_loss():
    """A sampler's weight of a group is that of each of its pairs."""
    one = ensemble("group-dro", batch_size=60)
    plain = ensemble("supervised", batch_size=60)
    parameters = start(one).parameters
    batch = next(draw_batches(one, 0))
    q = parameters[GROUP_WEIGHTS].clone().requires_grad_()
    (slopes,) = torch.autograd.grad(
        batch_losses(one, {**parameters, GROUP_WEIGHTS: q}, batch).sum(), q
    )
    weighted = plain._replace(group_weights=q)
    (by_pair,) = torch.autograd.grad(batch_losses(weighted, parameters, batch).sum(), q)
    for y, a in ((0, 0), (0, 1), (1, 0), (1, 1)):
        rows = (batch.labels[0] == y) & (batch.backgrounds[0, :, 0] == a)
        group = Pairs(*(field[:, rows] for field in batch))
        alone = batch_losses(plain, parameters, group)[0]
        assert slopes[0, 2 * y + a].item() == pytest.approx(alone.item(), rel=1e-9)
        assert by_pair[0, 2 * y + a].item() == pytest.approx(
            alone.item() * rows.sum().item() / 60, rel=1e-9
        )


@pytest.mark.parametrize("loss", ROBUST)
@pytest.mark.parametrize("table", [None, [[0.5, 0.2, 0.0], [0.0, 0.2, 0.1]]])
def test_weights_are_raised_by_their_losses_and_stay_shares(loss, table):
    """q_g exp(.01 L_g), normalised; neither the optimiser nor clipping uses their gradient. Unseen
    groups have none.
    """
    one = ensemble(loss, clip=0.5)
    if table is not None:
        one = one._replace(worlds=(World(table=table, dim_image=5, dim_text=5),) * len(one.models))
    state = start(one)
    batch = next(draw_batches(one, 0))
    q = state.parameters[GROUP_WEIGHTS].clone().requires_grad_()
    assert torch.equal(q > 0, torch.as_tensor(one.worlds[0].joint_law().ravel() > 0).expand_as(q))
    assert (q[q > 0] == 0.25).all()
    loss = batch_losses(one, {**state.parameters, GROUP_WEIGHTS: q}, batch)
    (losses,) = torch.autograd.grad(loss.sum(), q)
    expected = q.detach() * (0.01 * losses).exp()
    after = one_step(one, state, batch, torch.tensor(1e-3, dtype=torch.float64))
    assert torch.allclose(
        after.parameters[GROUP_WEIGHTS], expected / expected.sum(1, keepdim=True), rtol=1e-12
    )
    assert not any(name.endswith(GROUP_WEIGHTS) for name in after.moments)


@pytest.mark.deep
def test_supervised_towers_reach_the_balanced_law():
    """8 models with standard deviation .0024: .005 is six standard errors of their mean."""
    recipe = Recipe(
        loss="group-dro", towers="linear", steps=1500, embed_dim=4, batch_size=256, **DECAYING
    )
    towers = train(PLAIN, recipe, models=8)
    law = named(recipe.objective.learner(recipe)).accuracy(recipe.objective.law(recipe, PLAIN))
    assert law.drop == pytest.approx(0, abs=1e-12)
    for measured_group, expected in zip(towers.accuracy(), law, strict=True):
        assert measured_group == pytest.approx(expected, abs=0.005)
    q = towers.parameters[GROUP_WEIGHTS]
    common = q[:, [0, 3]].sum(1)
    counter = q[:, [1, 2]].sum(1)
    assert (common - counter).abs().max() < 0.1, "common and counter weigh about the same"

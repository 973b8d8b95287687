"""One step of training for all models of an ensemble, as a pure function of its state and batch.

A model whose loss or gradient is not finite is frozen at its last finite weights and marked with the step.
"""

from contextlib import nullcontext
from typing import NamedTuple

import torch
from jaxtyping import Float, Int

from simulator.gaussian.pairs import Pairs
from simulator.towers.distributed import ALONE, Group, summed
from simulator.towers.ensemble import Ensemble
from simulator.towers.group_batches import pair_weights
from simulator.towers.kinds import Parameters
from simulator.towers.layers import embed, logit_scale, scored
from simulator.towers.lbfgs import lbfgs_step
from simulator.towers.objectives import Embedded
from simulator.towers.optimisers import averaged, clip, per_model, update
from simulator.towers.recipe import Recipe

# Larger batches never store their B x B logits. For smaller ones a batched product for the ensemble is faster than a
# loop over models. The choice depends on B alone, so that a model's weights do not depend on the ensemble's size.
LARGEST_DENSE_BATCH = 1024


class State(NamedTuple):
    """Everything that training of E models needs to continue."""

    step: Int[torch.Tensor, ""]
    parameters: Parameters
    moments: Parameters
    averages: Parameters
    diverged: Int[torch.Tensor, " E"]
    measures: dict[str, Float[torch.Tensor, " E"]]

    @property
    def eval_parameters(self) -> Parameters:
        """The weights of evaluation: averages where there are any."""
        return {**self.parameters, **self.averages}


def one_step(ensemble: Ensemble, group: Group, state: State, batch: Pairs, rate: Float[torch.Tensor, ""]) -> State:
    """The state after one step of every model on its batch; a pure function that compiles as a whole.

    A model that has diverged, or diverges here, keeps its parameters and moments.
    """
    recipe = ensemble.recipe
    if recipe.optimizer == "lbfgs":
        return _lbfgs(ensemble, state, batch)
    gradients, measures = _gradients(state.parameters, ensemble, group, batch)
    if group.size > 1:
        gradients = {name: summed(group, g) for name, g in gradients.items()}
        measures = {name: summed(group, value) for name, value in measures.items()}
    down, norm = clip(descending(recipe, gradients), recipe.clip)
    number = (state.step + 1).to(rate.dtype)
    new, memory = update(recipe.optimizer, state.parameters, down, state.moments, rate, number, recipe.weight_decay)
    finite = torch.isfinite(measures["loss"]) & torch.isfinite(norm)
    new = recipe.objective.after({**state.parameters, **new}, state.parameters, gradients)
    return _stepped(recipe, state, new, memory, finite, measures)


def descending(recipe: Recipe, parameters: Parameters) -> Parameters:
    """The parameters that the optimiser moves."""
    still = f"{recipe.frozen}."
    return {n: p for n, p in parameters.items() if n not in recipe.objective.ascent and not n.startswith(still)}


def _lbfgs(ensemble: Ensemble, state: State, batch: Pairs) -> State:
    """A step of L-BFGS, one model at a time."""

    def measure(parameters: Parameters, models: slice) -> dict[str, torch.Tensor]:
        return measured(ensemble, ALONE, parameters, Pairs(*(field[models] for field in batch)))

    going = torch.nonzero(state.diverged < 0).flatten().tolist()
    with torch.no_grad():
        measures = measure(state.parameters, slice(None))
    new = lbfgs_step(lambda own, k: measure(own, slice(k, k + 1))["loss"].sum(), state.parameters, going)
    finite = torch.isfinite(measures["loss"])
    for value in new.values():
        finite = finite & torch.isfinite(value.reshape(len(value), -1)).all(1)
    recipe = ensemble.recipe
    return _stepped(recipe, state, recipe.objective.after(new, state.parameters, {}), state.moments, finite, measures)


def _stepped(
    recipe: Recipe,
    state: State,
    parameters: Parameters,
    moments: Parameters,
    finite: torch.Tensor,
    measures: dict[str, torch.Tensor],
) -> State:
    """The next state: models whose step is not finite are marked, and marked models keep their values."""
    step = state.step + 1
    diverged = torch.where((state.diverged < 0) & ~finite, step, state.diverged)
    going = diverged < 0
    averages = averaged(state.averages, parameters, step, recipe.averaging) if state.averages else {}
    return State(
        step,
        _frozen(going, parameters, state.parameters),
        _frozen(going, moments, state.moments),
        _frozen(going, averages, state.averages),
        diverged,
        {name: state.measures[name] + torch.where(going, v, torch.zeros_like(v)) for name, v in measures.items()},
    )


def _frozen(going: torch.Tensor, new: Parameters, old: Parameters) -> Parameters:
    """New values of models that continue, old values of models that have diverged."""
    return {
        name: value if value is old[name] else torch.where(per_model(going, value), value, old[name])
        for name, value in new.items()
    }


def _gradients(parameters: Parameters, *problem):
    """(gradient of every model's loss, what `measured` returns).

    torch.compile traces torch.func only; compiled tiles run under plain autograd only. Both give the same gradient.
    """
    if torch.compiler.is_compiling():
        gradients, (_, measures) = torch.func.grad_and_value(_summed_loss, has_aux=True)(parameters, *problem)
        return gradients, measures
    leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
    loss, measures = _summed_loss(leaves, *problem)
    found = torch.autograd.grad(loss, list(leaves.values()))
    return dict(zip(leaves, found, strict=True)), {name: value.detach() for name, value in measures.items()}


def _summed_loss(parameters: Parameters, ensemble: Ensemble, group: Group, batch: Pairs):
    """The summed loss; models share no parameter, so its gradient holds every model's gradient."""
    measures = measured(ensemble, group, parameters, batch)
    return measures["loss"].sum(), measures


def measured(
    ensemble: Ensemble, group: Group, parameters: Parameters, batch: Pairs
) -> dict[str, Float[torch.Tensor, " E"]]:
    """Loss and mean embedding norms of every model on one batch, or this process's share of them."""
    recipe, images, objective = ensemble.recipe, batch.images, ensemble.recipe.objective
    dtype = next(iter(parameters.values())).dtype
    rounded = recipe.precision == "bfloat16"
    with torch.autocast(images.device.type, torch.bfloat16) if rounded else nullcontext():
        I = embed(recipe, parameters, "image", images).to(dtype)
        T = embed(recipe, parameters, "text", batch.texts).to(dtype) if objective.captions else I
    norms = {
        "image_norm": I.detach().norm(dim=-1).mean(1) / group.size,
        "text_norm": T.detach().norm(dim=-1).mean(1) / group.size,
    }
    loss = objective.loss(
        Embedded(
            images=scored(recipe, I),
            texts=scored(recipe, T),
            labels=batch.labels,
            backgrounds=batch.backgrounds,
            scale=logit_scale(recipe, parameters),
            parameters=parameters,
            recipe=recipe,
            group=group,
            weights=None
            if ensemble.group_weights is None
            else pair_weights(ensemble.group_weights, batch, ensemble.worlds[0].classes),
            split=group.size > 1 or (objective.chunked and images.shape[1] > LARGEST_DENSE_BATCH),
        )
    )
    return {"loss": loss, **norms}

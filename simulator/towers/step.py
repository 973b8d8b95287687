"""One step of training for all models of an ensemble, as a pure function of its state and batch.

A model whose loss or gradient is not finite is frozen at its last finite weights and marked with the step.
"""

from contextlib import nullcontext
from typing import NamedTuple

import torch
from jaxtyping import Float, Int

from simulator.gaussian.pairs import Pairs
from simulator.towers.distributed import combined
from simulator.towers.ensemble import Ensemble
from simulator.towers.group_batches import pair_weights
from simulator.towers.layers import Parameters, embed, logit_scale, scored
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
    measures: dict[str, Float[torch.Tensor, " E"]]  # sums over the steps since the last checkpoint

    @property
    def eval_parameters(self) -> Parameters:
        """The weights of evaluation: averages where there are any."""
        return {**self.parameters, **self.averages}


def one_step(ensemble: Ensemble, state: State, batch: Pairs, rate: Float[torch.Tensor, ""]) -> State:
    """The state after one step of every model on its batch; a pure function that compiles as a whole.

    A model that has diverged, or diverges here, keeps its parameters and moments.
    """
    recipe, group, step, old = ensemble.recipe, ensemble.group, state.step + 1, state.parameters
    gradients, measures = _gradients(old, ensemble, batch)
    if group.size > 1:
        gradients = {name: combined(group, g) for name, g in gradients.items()}
        measures = {name: combined(group, value) for name, value in measures.items()}
    down, norm = clip(descending(recipe, gradients), recipe.clip)
    new, moments = update(recipe.optimizer, old, down, state.moments, rate, step.to(rate.dtype), recipe.weight_decay)
    parameters = recipe.objective.after({**old, **new}, old, gradients)
    averages = averaged(state.averages, parameters, step, recipe.averaging) if state.averages else {}
    finite = torch.isfinite(measures["loss"]) & torch.isfinite(norm)
    diverged = torch.where((state.diverged < 0) & ~finite, step, state.diverged)
    going = diverged < 0
    return State(
        step,
        _frozen(going, parameters, old),
        _frozen(going, moments, state.moments),
        _frozen(going, averages, state.averages),
        diverged,
        {name: state.measures[name] + torch.where(going, v, torch.zeros_like(v)) for name, v in measures.items()},
    )


def descending(recipe: Recipe, parameters: Parameters) -> Parameters:
    """The parameters that the optimiser moves."""
    still = f"{recipe.frozen}."
    return {n: p for n, p in parameters.items() if n not in recipe.objective.ascent and not n.startswith(still)}


def _frozen(going: torch.Tensor, new: Parameters, old: Parameters) -> Parameters:
    """New values of models that continue, old values of models that have diverged."""
    return {
        name: value if value is old[name] else torch.where(per_model(going, value), value, old[name])
        for name, value in new.items()
    }


def _gradients(parameters: Parameters, ensemble: Ensemble, batch: Pairs):
    """(gradient of every model's loss, what `measured` returns).

    Models share no parameter, so the gradient of the summed loss holds every model's gradient. torch.compile traces
    torch.func only; compiled tiles run under plain autograd only. Both give the same gradient.
    """

    def summed_loss(parameters: Parameters):
        measures = measured(ensemble, parameters, batch)
        return measures["loss"].sum(), measures

    if torch.compiler.is_compiling():
        gradients, (_, measures) = torch.func.grad_and_value(summed_loss, has_aux=True)(parameters)
        return gradients, measures
    leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
    loss, measures = summed_loss(leaves)
    found = torch.autograd.grad(loss, list(leaves.values()))
    return dict(zip(leaves, found, strict=True)), {name: value.detach() for name, value in measures.items()}


def measured(ensemble: Ensemble, parameters: Parameters, batch: Pairs) -> dict[str, Float[torch.Tensor, " E"]]:
    """Loss and mean embedding norms of every model on one batch, or this process's share of them."""
    recipe, group, objective = ensemble.recipe, ensemble.group, ensemble.recipe.objective
    dtype = next(iter(parameters.values())).dtype
    rounded = recipe.precision == "bfloat16"
    with torch.autocast(batch.images.device.type, torch.bfloat16) if rounded else nullcontext():
        I = embed(recipe, parameters, "image", batch.images).to(dtype)
        T = embed(recipe, parameters, "text", batch.texts).to(dtype) if objective.captions else I
    weights = ensemble.group_weights
    embedded = Embedded(
        images=scored(recipe, I),
        texts=scored(recipe, T),
        labels=batch.labels,
        backgrounds=batch.backgrounds,
        scale=logit_scale(recipe, parameters),
        parameters=parameters,
        recipe=recipe,
        group=group,
        weights=None if weights is None else pair_weights(weights, batch, ensemble.worlds[0].classes),
        split=objective.splits and (group.size > 1 or I.shape[1] > LARGEST_DENSE_BATCH),
    )
    return {
        "loss": objective.loss(embedded),
        "image_norm": I.detach().norm(dim=-1).mean(1) / group.size,
        "text_norm": T.detach().norm(dim=-1).mean(1) / group.size,
    }

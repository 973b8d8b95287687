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
    loss: Float[torch.Tensor, " E"]  # sum over the steps since the last checkpoint

    @property
    def eval_parameters(self) -> Parameters:
        """The weights of evaluation: averages where there are any."""
        return {**self.parameters, **self.averages}


def one_step(ensemble: Ensemble, state: State, batch: Pairs, rate: Float[torch.Tensor, ""]) -> State:
    """The state after one step of every model on its batch; a pure function that compiles as a whole.

    A model that has diverged, or diverges here, keeps its parameters and moments.
    """
    recipe, group, step, old = ensemble.recipe, ensemble.group, state.step + 1, state.parameters
    gradients, losses = _gradients(old, ensemble, batch)
    if group.size > 1:
        gradients = {name: combined(group, g) for name, g in gradients.items()}
        losses = combined(group, losses)
    down, norm = clip(descending(recipe, gradients), recipe.clip)
    new, moments = update(recipe.optimizer, old, down, state.moments, rate, step.to(rate.dtype), recipe.weight_decay)
    parameters = recipe.objective.after({**old, **new}, old, gradients)
    averages = averaged(state.averages, parameters, step, recipe.averaging) if state.averages else {}
    finite = torch.isfinite(losses) & torch.isfinite(norm)
    diverged = torch.where((state.diverged < 0) & ~finite, step, state.diverged)
    going = diverged < 0
    return State(
        step,
        _frozen(going, parameters, old),
        _frozen(going, moments, state.moments),
        _frozen(going, averages, state.averages),
        diverged,
        state.loss + torch.where(going, losses, torch.zeros_like(losses)),
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


def _gradients(parameters: Parameters, ensemble: Ensemble, batch: Pairs) -> tuple[Parameters, torch.Tensor]:
    """(gradient of every model's loss, the losses).

    Models share no parameter, so the gradient of the summed loss holds every model's gradient. torch.compile traces
    torch.func only; compiled tiles run under plain autograd only. Both give the same gradient.
    """

    def summed(parameters: Parameters):
        losses = batch_losses(ensemble, parameters, batch)
        return losses.sum(), losses

    if torch.compiler.is_compiling():
        gradients, (_, losses) = torch.func.grad_and_value(summed, has_aux=True)(parameters)
        return gradients, losses
    leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
    total, losses = summed(leaves)
    return dict(zip(leaves, torch.autograd.grad(total, list(leaves.values())), strict=True)), losses.detach()


def batch_losses(ensemble: Ensemble, parameters: Parameters, batch: Pairs) -> Float[torch.Tensor, " E"]:
    """Loss of every model on one batch, or this process's share of it."""
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
    return objective.loss(embedded)

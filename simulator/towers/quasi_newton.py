"""L-BFGS for an ensemble on one fixed batch, a model at a time.

L-BFGS couples everything it optimises (one direction, one step length), so an ensemble in one call would not train
each model as it trains alone; a loop does. One step of the trainer is ITERATIONS iterations (Liu & Nocedal 1989, strong
Wolfe line search, torch.optim.LBFGS) from an empty history: nothing but the parameters carries over to the next, and a
resumed run equals an uninterrupted one. The line search finds its own step length; the learning rate is not read.
"""

import torch

from simulator.towers.distributed import Group
from simulator.towers.layers import Parameters, clamp_scale
from simulator.towers.optimisers import per_model
from simulator.towers.recipe import Recipe

ITERATIONS = 100  # a restart forgets the curvature, so few and long steps


def lbfgs_step(
    objective,
    recipe: Recipe,
    group: Group,
    parameters: Parameters,
    diverged: torch.Tensor,
    batch: tuple[torch.Tensor, ...],
    number: torch.Tensor,
) -> tuple[Parameters, torch.Tensor, dict[str, torch.Tensor]]:
    """(parameters, diverged, what `objective` saw before the step) after one step of every model.

    Raises ValueError in a group of processes.
    """
    if group.size > 1:
        raise ValueError("optimizer = 'lbfgs' runs in one process; the nearest valid choices are adamw and sgd")
    seen = objective(recipe, group, parameters, *batch)
    new = {name: value.clone() for name, value in parameters.items()}
    for k in torch.nonzero(diverged < 0).flatten().tolist():
        # In the order of names: inner products run over all parameters, and a file gives them back sorted.
        own = {name: parameters[name][k : k + 1].clone().requires_grad_() for name in sorted(parameters)}
        # Without tolerances: the first iteration from an empty history is a gradient step, often too small for them.
        optimiser = torch.optim.LBFGS(
            list(own.values()),
            max_iter=ITERATIONS,
            history_size=ITERATIONS,
            tolerance_grad=0.0,
            tolerance_change=0.0,
            line_search_fn="strong_wolfe",
        )
        rows = tuple(field[k : k + 1] for field in batch)

        def closure(own=own, optimiser=optimiser, rows=rows) -> torch.Tensor:
            optimiser.zero_grad()
            loss = objective(recipe, group, own, *rows)["loss"].sum()
            loss.backward()
            return loss

        optimiser.step(closure)
        for name, value in clamp_scale({name: value.detach() for name, value in own.items()}).items():
            new[name][k] = value[0]
    fine = torch.isfinite(seen["loss"])
    for value in new.values():
        fine = fine & torch.isfinite(value.reshape(len(value), -1)).all(1)
    diverged = torch.where((diverged < 0) & ~fine, number.to(diverged.dtype), diverged)
    kept = {n: torch.where(per_model(diverged < 0, v), v, parameters[n]) for n, v in new.items()}
    return kept, diverged, seen

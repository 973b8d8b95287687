"""L-BFGS for an ensemble on one fixed batch, one model at a time.

L-BFGS has one direction and one step length for everything that it optimises, so each model is optimised by itself.
One step of training is ITERATIONS iterations (Liu & Nocedal 1989, strong Wolfe line search, torch.optim.LBFGS) from an
empty history. Only the parameters carry over to the next step, so a resumed run equals an uninterrupted one. The
learning rate is not used.
"""

from collections.abc import Callable, Sequence

import torch

from simulator.towers.kinds import Parameters

ITERATIONS = 100  # a restart forgets the curvature, so few and long steps


def lbfgs_step(
    loss: Callable[[Parameters, int], torch.Tensor], parameters: Parameters, models: Sequence[int]
) -> Parameters:
    """Parameters after one step of the models numbered in `models`.

    loss(own, k) is the loss of model k at its own parameters, which keep a model axis of one.
    """
    new = {name: value.clone() for name, value in parameters.items()}
    for k in models:
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

        def closure(own=own, optimiser=optimiser, k=k) -> torch.Tensor:
            optimiser.zero_grad()
            value = loss(own, k)
            value.backward()
            return value

        optimiser.step(closure)
        for name, value in own.items():
            new[name][k] = value.detach()[0]
    return new

"""SGD and AdamW as pure functions of an ensemble, so that a whole step compiles into one function.

torch.optim keeps its own step count and one state for all: it can neither freeze one diverged model of an ensemble
nor hand its state to safetensors as plain tensors. Both rules here equal torch.optim's (tests/simulator).
"""

import torch
from jaxtyping import Float

from simulator.towers.layers import Parameters

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # Kingma & Ba 2015


def moments(optimizer: str, parameters: Parameters) -> Parameters:
    """Initial state of an optimiser: first and second moments for AdamW, none for the others."""
    if optimizer != "adamw":
        return {}
    return {f"{moment}.{name}": torch.zeros_like(p) for moment in ("first", "second") for name, p in parameters.items()}


def decays(name: str) -> bool:
    """Whether weight decay acts on a parameter: on matrices, never on biases or the scale."""
    return name.endswith("weight")


def update(
    optimizer: str,
    parameters: Parameters,
    gradients: Parameters,
    state: Parameters,
    rate: Float[torch.Tensor, ""],
    count: Float[torch.Tensor, ""],
    weight_decay: float,
) -> tuple[Parameters, Parameters]:
    """(parameters, state) after step number `count` (from 1) at learning rate `rate`."""
    new, memory = {}, {}
    for name, g in gradients.items():
        p = parameters[name]
        if decays(name) and weight_decay:
            p = p * (1 - rate * weight_decay)
        if optimizer == "sgd":
            new[name] = p - rate * g
            continue
        m = torch.lerp(state[f"first.{name}"], g, 1 - BETA_1)
        v = BETA_2 * state[f"second.{name}"] + (1 - BETA_2) * g * g
        memory |= {f"first.{name}": m, f"second.{name}": v}
        correction = (1 - BETA_2**count).sqrt()
        new[name] = p - rate / (1 - BETA_1**count) * m / (v.sqrt() / correction + EPSILON)
    return new, memory


def clip(gradients: Parameters, largest: float | None) -> tuple[Parameters, Float[torch.Tensor, " E"]]:
    """(gradients, their norm before clipping), each model's gradient scaled to a norm of at most `largest`."""
    # In the order of names, not of the dictionary: a file gives its tensors back sorted, and sums round.
    squares = [gradients[name].square().reshape(len(gradients[name]), -1).sum(1) for name in sorted(gradients)]
    norm = torch.stack(squares).sum(0).sqrt()
    if largest is None:
        return gradients, norm
    factor = largest / norm.clamp(min=largest)  # a norm that is not finite stays so, and freezes its model
    return {name: g * per_model(factor, g) for name, g in gradients.items()}, norm


def per_model(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """(E,) reshaped to broadcast over a parameter (E, ...)."""
    return values.reshape(-1, *([1] * (like.ndim - 1)))

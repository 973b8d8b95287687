"""SGD, AdamW and SOAP as pure functions, so that a whole step compiles; torch.optim cannot freeze
one of many models.

SOAP (Vyas et al. 2024, arXiv 2409.11321, Algorithm 3) is Adam in slowly rotating coordinates, the
eigenvectors of running means of G G' and G' G, per gradient matrix G.
"""

import torch
from jaxtyping import Float, Int

from simulator.towers.layers import Parameters

EPSILON = 1e-8
# Kingma & Ba 2015; Vyas et al. 2024, section 5
BETAS = {"adamw": (0.9, 0.999), "soap": (0.95, 0.95)}
SHAMPOO_BETA = 0.95  # of the running means of G G' and G' G
REFRESH_EVERY = 10  # steps between two updates of the coordinates; Vyas et al. 2024, section 6.3
# longer sides of a matrix are not rotated: their eigenvectors would not fit into memory
LARGEST_SIDE = 1024


def moments(optimizer: str, parameters: Parameters) -> Parameters:
    """Initial state: moments for AdamW and SOAP, coordinates for SOAP, nothing for the others."""
    if optimizer not in BETAS:
        return {}
    state = {
        f"{moment}.{name}": torch.zeros_like(p)
        for moment in ("first", "second")
        for name, p in parameters.items()
    }
    if optimizer == "soap":
        for name, p in parameters.items():
            for side, size in rotated_sides(p).items():
                state[f"{side}.{name}"] = p.new_zeros(len(p), size, size)
                state[f"{side}_axes.{name}"] = torch.eye(
                    size, dtype=p.dtype, device=p.device
                ).repeat(len(p), 1, 1)
    return state


def rotated_sides(p: torch.Tensor) -> dict[str, int]:
    sides = {"left": p.shape[1], "right": p.shape[2]} if p.ndim == 3 else {}
    return {side: size for side, size in sides.items() if 1 < size <= LARGEST_SIDE}


def update(
    optimizer: str,
    parameters: Parameters,
    gradients: Parameters,
    state: Parameters,
    rate: Float[torch.Tensor, ""],
    count: Float[torch.Tensor, ""],
    weight_decay: float,
) -> tuple[Parameters, Parameters]:
    """(parameters, state) after step number `count` (from 1); SOAP keeps both moments in its own
    coordinates.
    """
    new = {}
    memory = dict(state)
    for name, g in gradients.items():
        p = parameters[name]
        if weight_decay and name.endswith("weight"):  # not biases or the scale
            p = p * (1 - rate * weight_decay)
        if optimizer == "sgd":
            new[name] = p - rate * g
            continue
        beta_1, beta_2 = BETAS[optimizer]
        sides = rotated_sides(p) if optimizer == "soap" else {}
        axes = {side: state[f"{side}_axes.{name}"] for side in sides}
        own = rotate(g, axes)
        m = torch.lerp(state[f"first.{name}"], own, 1 - beta_1)
        v = beta_2 * state[f"second.{name}"] + (1 - beta_2) * own * own
        memory |= {f"first.{name}": m, f"second.{name}": v}
        for side in sides:
            square = g @ g.mT if side == "left" else g.mT @ g
            memory[f"{side}.{name}"] = torch.lerp(state[f"{side}.{name}"], square, 1 - SHAMPOO_BETA)
        correction = (1 - beta_2**count).sqrt()
        step = m / (v.sqrt() / correction + EPSILON)
        new[name] = p - rate / (1 - beta_1**count) * rotate(
            step, {side: Q.mT for side, Q in axes.items()}
        )
    return new, memory


def rotate(g: torch.Tensor, axes: dict[str, torch.Tensor]) -> torch.Tensor:
    """Q_L' g Q_R; a side that is not in `axes` keeps its coordinates."""
    if "left" in axes:
        g = axes["left"].mT @ g
    return g @ axes["right"] if "right" in axes else g


def refresh_eigenbasis(state: Parameters) -> Parameters:
    """The state with SOAP's coordinates nearer the eigenvectors, by one step of orthogonal
    iteration.

    The first moment, a mean of gradients, rotates with them. The second, a mean of squares, cannot
    (Algorithm 3).
    """
    new = dict(state)
    for first in [name for name in state if name.startswith("first.")]:
        name = first.removeprefix("first.")
        rotations = {}
        for side in ("left", "right"):
            if (key := f"{side}_axes.{name}") in state:
                Q = torch.linalg.qr(state[f"{side}.{name}"] @ state[key])[0]
                rotations[side] = state[key].mT @ Q
                # the initial layout: another one would compile the step again
                new[key] = Q.contiguous()
        new[first] = rotate(state[first], rotations)
    return new


def averaged(
    averages: Parameters, parameters: Parameters, count: Int[torch.Tensor, ""], share: float
) -> Parameters:
    """Polynomial-decay average of the weights after step number `count` (Shamir & Zhang 2013,
    section 4).

    Step t has a weight of about t^eta, eta = 1/share - 1, which averages about the last `share` of
    the steps.
    """
    eta = 1 / share - 1
    weight = (eta + 1) / (eta + count.double())
    return {
        name: torch.lerp(average, parameters[name], weight.to(average.dtype))
        for name, average in averages.items()
    }


def clip(
    gradients: Parameters, largest: float | None
) -> tuple[Parameters, Float[torch.Tensor, " E"]]:
    """(gradients, their norm before clipping), each model's gradient scaled to a norm of at most
    `largest`.
    """
    # In the order of names, so that sums round alike: a checkpoint returns its tensors sorted.
    squares = [
        gradients[name].square().reshape(len(gradients[name]), -1).sum(1)
        for name in sorted(gradients)
    ]
    norm = torch.stack(squares).sum(0).sqrt()
    if largest is None:
        return gradients, norm
    # an infinite norm stays infinite and freezes its model
    factor = largest / norm.clamp(min=largest)
    return {name: g * per_model(factor, g) for name, g in gradients.items()}, norm


def per_model(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """(E,) reshaped to broadcast over a parameter (E, ...)."""
    return values.reshape(-1, *([1] * (like.ndim - 1)))

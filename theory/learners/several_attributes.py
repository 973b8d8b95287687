"""The InfoNCE optimum in worlds of two classes and several attributes: the object is integrated
exactly.

The attributes' coordinates are even points. Given them, the preference between the two prompts
along the object's coordinate decides where its sign says, and `theory.integrator` finds its changes
of sign.
"""

from functools import reduce
from itertools import product

import numpy as np
from jaxtyping import Float

from simulator.accuracy import objects_averaged
from simulator.gaussian.critic import gaussian_points
from simulator.prompts import Prompt
from simulator.world import World
from theory.density import DensityParts, combine, prompt_parts
from theory.integrator import LINE, line_shares

POWER = 10  # 2^10 points of the attributes
# Where signs are compared around an image that a caption predicts, in its deviations given the
# caption.
NEAR = np.array([-16, -8, -5, -3, -2, -1.4, -1, -0.6, -0.3, 0, 0.3, 0.6, 1, 1.4, 2, 3, 5, 8, 16])


def several_attributes(world: World, prompt: Prompt, seed: int) -> Float[np.ndarray, "groups=2"]:
    """(common, counter) under the test law; one replicate."""
    q = world.prompt(prompt)
    mean = world.mean
    s = np.sqrt(world.image_variance)
    points = gaussian_points(len(mean) - 1, POWER, seed)
    nodes = np.tile(_nodes(world, q[0]), (len(points), 1))
    shares: dict[int, list[float]] = {1: [], -1: []}  # by what the first attribute shows
    for signs in product([1, -1], repeat=len(mean) - 1):
        x = np.array(signs) * mean[1:] + s[1:] * points
        rest = reduce(
            combine, (_prompt_terms(world, 1 + j, x[:, j], own) for j, own in enumerate(q[1:]))
        )

        def preference(k, u, rest=rest):
            own = _prompt_terms(world, 0, mean[0] + s[0] * u, q[0])
            others = DensityParts(*(part[k] for part in rest))
            plus, minus = np.moveaxis(
                np.logaddexp.reduce(combine(own, others).distinct, axis=-1), -1, 0
            )
            # Prompts that say the same, or captions that say nothing, leave no part that differs,
            # -inf - (-inf): a tie.
            with np.errstate(invalid="ignore"):
                return np.nan_to_num(plus - minus, nan=0.0, posinf=np.inf, neginf=-np.inf)

        shares[signs[0]].append(line_shares(preference, nodes).mean())
    return objects_averaged(np.array([np.mean(shares[1]), np.mean(shares[-1])]), world.agreement[0])


def _prompt_terms(world: World, b: int, x: Float[np.ndarray, "*s"], q: float) -> DensityParts:
    """Parts (*s, 2, 2) of block b, by prompt (+, -) and class (+1, -1)."""
    return prompt_parts(x[..., None, None], np.array([[q], [-q]]), world, b, q != 0)


def _nodes(world: World, q: float) -> Float[np.ndarray, " m"]:
    """Where signs are compared along the object, in standard deviations: LINE and, with masks, NEAR
    each prompt.

    Given a caption r t that shows r times the object of class a, x_0 has the mean a mu + h (t - a
    mu) and the variance n_I + h n_T, h = v/(v + n_T): v is the variance that both views share, n_I
    and n_T what each has alone.
    """
    lines = [LINE]
    mu = world.mean[0]
    if not world.caption_kinds.always_told.all():
        for r in (kind.multiple for kind in world.caption_kinds.every if kind.multiple):
            v, n_I, n_T = (each[0] for each in world.variances(r))
            h = v / (v + n_T) if v > 0 else 0.0
            centres = np.array(
                [a * mu + h * (t - a * mu) for a in (1, -1) for t in (q / r, -q / r)]
            )
            near = centres[:, None] + np.sqrt(n_I + h * n_T) * NEAR
            lines.append(((near - mu) / np.sqrt(world.image_variance[0])).ravel())
    return np.unique(np.clip(np.concatenate(lines), LINE[0], LINE[-1]))

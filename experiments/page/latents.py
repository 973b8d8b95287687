"""Training pairs in latent space, with the decision boundaries of three rules."""

import numpy as np
import torch
import xarray as xr
from matplotlib.figure import Figure

from experiments.page.plot.frame import WIDTHS
from experiments.style import styled
from simulator.gaussian.pairs import draw_latents
from simulator.streams import independent
from simulator.world import World
from theory.learners import Learner, LinearCLIP, Logistic
from theory.learners.base import UNDEFINED

# The background is twice as strong as the object, as in the paper's theorem; there is no view noise.
WORLD = World(p_spu=0.9, mu_spu=2.0, sigma_xi=0.0, dim_image=2, dim_text=2)
RULES = {
    "linear CLIP, name prompt": LinearCLIP("name"),
    "linear CLIP, mean prompt": LinearCLIP("mean"),
    "logistic regression": Logistic(),
}


def sample(seed: int, world: World = WORLD, size: int = 600) -> xr.Dataset:
    """Latents, labels and backgrounds of `size` training pairs, and (u_inv, u_spu) of the rules with an answer.

    With more than two classes, only pairs of the first two are kept. A latent is then the difference of their
    coordinates in a block, with mean mu, -mu, or 0 if the block shows another class. Further attributes are dropped.
    """
    source = independent(seed, 0, ("figure/latents",))
    y, a, z, _ = (x[0].numpy() for x in draw_latents((world,), size, source, device="cpu", dtype=torch.float64))
    a, z = a[:, 0], z.reshape(size, 2 + len(world.attribute), -1)[:, :2]
    z = z[..., 0] if world.classes == 2 else z[..., 0] - z[..., 1]
    two = y < 2
    lines = {name: u for name, rule in RULES.items() if (u := _direction(rule, world)).any()}
    return xr.Dataset(
        {
            "z": (("pair", "latent"), z[two]),
            "label": ("pair", 1 - 2 * y[two]),
            "common": ("pair", (a == y)[two]),
            "rules": (("rule", "latent"), np.reshape([*lines.values()], (-1, 2))),
        },
        coords={"rule": list(lines), "latent": ["inv", "spu"]},
        attrs={"size": int(two.sum()), "seed": seed, "classes": world.classes},
    )


def _direction(rule: Learner, world: World) -> np.ndarray:
    """(u_inv, u_spu); zeros if the rule has no answer."""
    try:
        return rule.direction(world)[:2]
    except UNDEFINED:
        return np.zeros(2)


@styled
def scatter(table: xr.Dataset) -> Figure:
    """Latents by group, and the rules' boundaries."""
    figure = Figure(figsize=(WIDTHS[1], 5.0))
    ax = figure.subplots()
    z, y, shared = table.z.values, table.label.values, table.common.values
    names = ("+1", "−1") if table.classes == 2 else ("0", "1")
    for sign, colour, animal in zip((1, -1), ("C0", "C1"), names, strict=True):
        for common, marker, group in ((True, "o", "common"), (False, "X", "counter")):
            part = (y == sign) & (shared == common)
            ax.scatter(
                *z[part].T,
                s=16 if common else 42,
                marker=marker,
                color=colour,
                alpha=0.35 if common else 1.0,
                edgecolor="white" if not common else "none",
                linewidth=0.5,
                label=f"y = {animal}, {group}",
            )
    reach = np.abs(z).max(axis=0) * 1.05
    reach[reach == 0] = 1.0
    for u, style, name in zip(table.rules.values, ("-", "--", ":"), table.rule.values, strict=False):
        ends = np.outer([-1, 1], [-u[1], u[0]]) * np.hypot(*reach) / np.hypot(*u)
        ax.plot(*ends.T, style, color="black", label=f"{name}")
    ax.set(xlim=(-reach[0], reach[0]), ylim=(-reach[1], reach[1]))
    several = "" if table.classes == 2 else ", class 0 less class 1"
    ax.set_xlabel(rf"invariant latent $z_{{\mathrm{{inv}}}}${several or ' (the animal)'} [latent units]")
    ax.set_ylabel(rf"spurious latent $z_{{\mathrm{{spu}}}}${several or ' (the background)'}")
    figure.legend(loc="outside lower left")
    return figure

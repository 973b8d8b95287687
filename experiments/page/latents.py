"""Training pairs in latent space, with the line on which each rule changes its mind."""

import numpy as np
import torch
import xarray as xr
from matplotlib.figure import Figure

from experiments.page.section import Section
from experiments.style import styled
from simulator.gaussian.pairs import draw_latents
from simulator.world import World
from theory.learners import LinearCLIP, Logistic

# The world of the paper's theorem made visible: a background twice as loud as the object, no view noise.
WORLD = World(p_spu=0.9, mu_spu=2.0, sigma_xi=0.0, dim_image=2, dim_text=2)
RULES = {
    "linear CLIP, name prompt": LinearCLIP("name"),
    "linear CLIP, mean prompt": LinearCLIP("mean"),
    "logistic regression": Logistic(),
}


def section(seed: int) -> Section:
    """The picture with its words."""
    table = sample(seed)
    return Section(
        "latents",
        "What does each rule look at?",
        f"{table.size} training pairs at mu_spu = 2, p_spu = 0.9, without view noise: circles have the background of "
        "their class (common), crosses do not (counter). Each line is where a rule changes its mind.",
        "The flatter the line, the more the background decides.",
        {"latents": scatter(table)},
    )


def sample(seed: int, size: int = 600) -> xr.Dataset:
    """Latents of `size` training pairs, with label, background and (u_inv, u_spu) of the rules."""
    y, a, z, _ = draw_latents(WORLD, size, seed, 0, stream="figure/latents", device="cpu", dtype=torch.float64)
    return xr.Dataset(
        {
            "z": (("pair", "latent"), z.numpy()),
            "label": ("pair", 1 - 2 * y.numpy()),
            "background": ("pair", 1 - 2 * a[:, 0].numpy()),
            "rules": (("rule", "latent"), np.stack([rule.direction(WORLD) for rule in RULES.values()])),
        },
        coords={"rule": list(RULES), "latent": ["inv", "spu"]},
        attrs={"size": size, "seed": seed},
    )


@styled
def scatter(table: xr.Dataset) -> Figure:
    """Latents by group, and the rules' lines."""
    figure = Figure(figsize=(6.4, 4.6))
    ax = figure.subplots()
    z, y, a = table.z.values, table.label.values, table.background.values
    for sign, colour, animal in ((1, "C0", "+1"), (-1, "C1", "−1")):
        for common, marker, group in ((True, "o", "common"), (False, "X", "counter")):
            part = (y == sign) & ((a == y) == common)
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
    for u, style, name in zip(table.rules.values, ("-", "--", ":"), table.rule.values, strict=True):
        line = np.array([-reach[1], reach[1]])
        ax.plot(-line * u[1] / u[0], line, style, color="black", label=f"{name}: decides here")
    ax.set(xlim=(-reach[0], reach[0]), ylim=(-reach[1], reach[1]))
    ax.set_xlabel(r"invariant latent $z_{\mathrm{inv}}$ (the animal) [latent units]")
    ax.set_ylabel(r"spurious latent $z_{\mathrm{spu}}$ (the background)")
    figure.legend(loc="outside right upper")
    return figure

"""The questions of the report with their figures: latents, designs, and how fast the minimiser converges."""

from typing import NamedTuple

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from experiments.lab.presets import Design
from experiments.page import latents
from experiments.page.plot import plot
from experiments.page.plot.frame import WIDTHS
from experiments.style import styled
from simulator.gaussian.statistics import cross_covariance
from simulator.streams import numpy_stream
from simulator.world import World, Worlds
from theory.population import block_covariance


class Section(NamedTuple):
    """One question. `takeaway` is its answer as a title, `look` describes the figure."""

    name: str
    question: str
    takeaway: str
    look: str
    answer: str
    figures: dict[str, Figure]  # by the names of their files


def design_section(design: Design, table: xr.Dataset) -> Section:
    """A design with the figures of its results."""
    names = [design.name if i == 1 else f"{design.name}-{i}" for i in range(1, len(design.plot) + 1)]
    pictures = [plot(table, picture["what"], picture.get("at")) for picture in design.plot]
    return Section(design.name, **design.words, figures=dict(zip(names, pictures, strict=True)))


def latents_section(seed: int) -> Section:
    """The latents of training pairs, with the boundaries of three rules."""
    table = latents.sample(seed)
    return Section(
        "latents",
        "What does each rule look at?",
        "With the mean prompt linear CLIP decides by the background, with the name prompt by both",
        f"{table.size} training pairs at mu_spu = 2, p_spu = 0.9, without view noise: circles have the background of "
        "their class (common), crosses do not (counter). Each line is the boundary of a rule; the flatter it is, the "
        "more the background decides.",
        "",
        {"latents": latents.scatter(table)},
    )


def rate_section(seed: int) -> Section:
    """How fast the minimiser of the linearised loss converges: the error of a matrix, which no accuracy shows."""
    table = minimiser_error(seed)
    last = table.error.mean("replicate")[-1].item()
    return Section(
        "rate",
        "How fast does the minimiser converge?",
        "The minimiser converges as the square root of the number of pairs, faster than the lemma claims",
        f"Its error in operator norm, d = {table.dim}, ν = {table.nu:.4g}: mean and central 95 % of "
        f"{table.replicates} exact draws. Lemma D.3 claims n^-1/4.",
        f"As n^-1/2: at 1e10 pairs the error is {last:.2g}.",
        {"rate": draw_error(table)},
    )


def minimiser_error(seed: int, replicates: int = 50, dim: int = 16) -> xr.Dataset:
    """||S - D_I C D_T'|| in operator norm against n, for `replicates` exact draws of S in the default world."""
    world = World(dim_image=dim, dim_text=dim)
    population = np.zeros((dim, dim))
    population[:2, :2] = block_covariance(Worlds.of(world))

    def error(n: float, replicate: int) -> float:
        S = cross_covariance(world, int(n), numpy_stream(seed, f"rate/{n:.0f}", replicate))
        return np.linalg.norm(S - population, 2)

    n = 10.0 ** np.arange(2, 11)
    errors = [[error(x, replicate) for replicate in range(replicates)] for x in n]
    attrs = {"replicates": replicates, "dim": dim, "seed": seed, "nu": world.nu_image}
    return xr.Dataset({"error": (("n", "replicate"), errors)}, coords={"n": n}, attrs=attrs)


@styled
def draw_error(table: xr.Dataset) -> Figure:
    """The error against n, beside n^-1/2 and the n^-1/4 that the lemma claims."""
    figure = Figure(figsize=(WIDTHS[1], 3.6))
    ax = figure.subplots()
    n, error = table.n.values, table.error.values
    mean = error.mean(axis=1)
    spread = np.abs(np.quantile(error, [0.025, 0.975], axis=1) - mean)
    ax.errorbar(n, mean, spread, fmt="o", color="C0", capsize=2, label=f"exact law, {table.replicates} replicates")
    ax.plot(n, mean[0] * (n / n[0]) ** -0.5, color="C0", label=r"$n^{-1/2}$ through the first point")
    ax.plot(n, mean[0] * (n / n[0]) ** -0.25, "--", color="black", label=r"$n^{-1/4}$, as the lemma claims")
    ax.set(xscale="log", yscale="log")
    ax.set_xlabel("training pairs $n$")
    ax.set_ylabel(r"$\|\rho M^* - D_I C D_T^T\|$ [latent units$^2$]")
    ax.legend()
    return figure

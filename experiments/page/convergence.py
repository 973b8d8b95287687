"""How fast the minimiser of the linearised loss converges: the error of a matrix, which no accuracy shows."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from experiments.page.plot.frame import WIDTHS
from experiments.page.section import Section
from experiments.style import styled
from simulator.gaussian.statistics import cross_covariance
from simulator.streams import numpy_stream
from simulator.world import World, Worlds
from theory.population import block_covariance


def section(seed: int) -> Section:
    """The section of the report."""
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
    n = 10.0 ** np.arange(2, 11)
    errors = np.array(
        [
            [
                np.linalg.norm(cross_covariance(world, int(x), numpy_stream(seed, f"rate/{x:.0f}", r)) - population, 2)
                for r in range(replicates)
            ]
            for x in n
        ]
    )
    return xr.Dataset(
        {"error": (("n", "replicate"), errors)},
        coords={"n": n},
        attrs={"replicates": replicates, "dim": dim, "seed": seed, "nu": world.nu_image},
    )


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

"""Figures as pure functions of a table: theory as a line, measurement as points with intervals."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.page.plot.scales import quantity_label
from experiments.style import styled
from simulator.quantities import MEASURED, quantity_of
from simulator.world import World

BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"

SATURATED = 60.0  # points at which a map's colours end; the bar has arrows where a difference goes beyond


def label(name: str) -> str:
    """Axis label of a quantity: meaning, symbol and unit, from its one declaration."""
    from typing import get_type_hints

    hints = get_type_hints(World, include_extras=True)
    return quantity_label(MEASURED[name] if name in MEASURED else quantity_of(hints[name]))


def _figure(width: float, height: float, **grid) -> tuple[Figure, np.ndarray]:
    figure = Figure(figsize=(width, height))
    return figure, figure.subplots(squeeze=False, **grid)


@styled
def latent_scatter(table: xr.Dataset) -> Figure:
    """Latents of training pairs by group, with the line on which each rule changes its mind."""
    figure, axes = _figure(6.4, 4.6)
    ax: Axes = axes[0, 0]
    z, y, a = table.z.values, table.label.values, table.background.values
    for sign, colour, animal in ((1, BLUE, "+1"), (-1, ORANGE, "−1")):
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


@styled
def error_curves(table: xr.Dataset) -> Figure:
    """Error on the counter group against p_spu: printed bound, corrected law, exact law, drawn pairs."""
    figure, axes = _figure(6.4, 4.2)
    ax: Axes = axes[0, 0]
    p = table.p_spu.values
    ax.plot(p, 100 * table.printed, color="black", linestyle="--", label="printed lower bound (Theorem 6.2)")
    for prompt, colour in (("name", BLUE), ("mean", ORANGE)):
        ax.plot(p, 100 * table[prompt], color=colour, label=f"corrected law, {prompt} prompt")
        mean = table[f"exact_{prompt}"].values
        spread = np.abs(np.stack([table[f"exact_{prompt}_low"], table[f"exact_{prompt}_high"]]) - mean)
        x = table.p_measured.values
        ax.errorbar(x, 100 * mean, 100 * spread, fmt="o", color=colour, capsize=2, label=f"exact law, n = {table.n}")
        ax.plot(x, 100 * table[f"drawn_{prompt}"], "x", color="black", markersize=7, zorder=3)
    ax.plot([], [], "x", color="black", markersize=7, label=f"drawn pairs, n = {table.n}")
    ax.axhline(50, color="0.6", linewidth=0.8)
    ax.set(xlim=(0.49, 1.01), ylim=(0, 100))
    ax.set_xlabel(label("p_spu"))
    ax.set_ylabel(label("error-counter"))
    figure.legend(loc="outside right upper")
    return figure


@styled
def boundary_map(table: xr.Dataset) -> Figure:
    """Where in p each printed inequality of Theorem 6.2 turns from false to true."""
    figure, axes = _figure(8.0, 3.9, ncols=2, sharey=True)
    for ax, which, title in (
        (axes[0, 0], "error", "error inequality, group $a \\neq y$"),
        (axes[0, 1], "accuracy", "accuracy inequality, group $a = y$"),
    ):
        mesh = ax.pcolormesh(
            table.sigma_inv, table.mu_spu, table[which], cmap="viridis", vmin=0.5, vmax=1.0, rasterized=True
        )
        for level in table.level.values:
            _labelled(ax, table.sigma_inv.values, table[f"{which}_line"].sel(level=level).values, f"{level:g}")
        sigma = table.sigma_inv.values
        ax.plot(sigma, 1 + sigma**2 / 2, "k-", label="theorem's condition")
        ax.plot(sigma, 1 + sigma**2, "k:", label=r"$\mu_{\mathrm{spu}} = 1 + \sigma_{\mathrm{inv}}^2$")
        ax.set(title=title, ylim=(1, 4))
        ax.set_xlabel(r"$\sigma_{\mathrm{inv}}$ [latent units]")
        ax.grid(False)
    axes[0, 0].set_ylabel(r"$\mu_{\mathrm{spu}}$ [latent units]")
    axes[0, 1].legend(loc="lower right")
    figure.colorbar(mesh, ax=axes, label=r"holds for $p_{\mathrm{spu}}$ above")
    return figure


def _labelled(ax: Axes, x: np.ndarray, y: np.ndarray, words: str) -> None:
    """A white line with words at the middle of what there is of it."""
    ax.plot(x, y, color="white", linewidth=0.8)
    there = np.flatnonzero(np.isfinite(y))
    if len(there):
        middle = there[len(there) // 2]
        ax.text(x[middle], y[middle], words, color="white", fontsize=8, ha="center", va="bottom")


@styled
def supervised_maps(table: xr.DataArray, supervised: str = "logistic") -> Figure:
    """Counter accuracy of contrastive minus supervised learning, in points; blue where contrastive is better."""
    figure, axes = _figure(
        8.4, 8.2, nrows=table.sizes["contrastive"], ncols=table.sizes["one_minus_p"], sharex=True, sharey=True
    )
    for row, contrastive in zip(axes, table.contrastive.values, strict=True):
        for ax, gap in zip(row, table.one_minus_p.values, strict=True):
            cell = 100 * table.sel(contrastive=contrastive, supervised=supervised, one_minus_p=gap)
            mesh = ax.pcolormesh(
                table.sigma_spu, table.mu_spu, cell, vmin=-SATURATED, vmax=SATURATED, rasterized=True, shading="gouraud"
            )
            if cell.min() < 0 < cell.max():
                ax.contour(table.sigma_spu, table.mu_spu, cell, levels=[0], colors="black", linewidths=1)
            ax.axvline(1.0, color="0.4", linewidth=0.6, linestyle="--")
            ax.grid(False)
    for ax, gap in zip(axes[0], table.one_minus_p.values, strict=True):
        ax.set_title(rf"$1 - p_{{\mathrm{{spu}}}}$ = {gap:g}")
    for row, contrastive in zip(axes, table.contrastive.values, strict=True):
        row[0].set_ylabel(f"{contrastive}\n" + r"$\mu_{\mathrm{spu}}$")
    for ax in axes[-1]:
        ax.set_xlabel(r"$\sigma_{\mathrm{spu}}$")
    shown = 100 * table.sel(supervised=supervised)
    beyond = float(shown.min()) < -SATURATED, float(shown.max()) > SATURATED
    figure.colorbar(
        mesh,
        ax=axes,
        shrink=0.5,
        extend={(True, True): "both", (True, False): "min", (False, True): "max"}.get(beyond, "neither"),
        label=f"counter accuracy minus that of {supervised} [points], blue: contrastive ahead",
    )
    return figure


@styled
def infonce_curves(table: xr.Dataset) -> Figure:
    """Group accuracies of InfoNCE's optimum between its two linear limits."""
    figure, axes = _figure(6.4, 4.0)
    ax: Axes = axes[0, 0]
    for group, colour in (("common", BLUE), ("counter", ORANGE)):
        ax.plot(table.nu, 100 * table[group], color=colour, label=f"{group}: InfoNCE optimum")
        ax.plot(table.nu, 100 * table[f"nearest_{group}"], "--", color=colour, linewidth=1, label="nearest prompt")
        ax.plot(table.nu, 100 * table[f"linear_{group}"], ":", color=colour, linewidth=1.4, label="linear CLIP")
        ax.plot(table.nu_drawn, 100 * table[f"drawn_{group}"], "o", color=colour, label=f"{table.images} drawn images")
    ax.set_xscale("log")
    ax.set_xlabel(r"view noise per coordinate $\nu = \sigma_\xi^2/d$ [latent units$^2$]")
    ax.set_ylabel("group accuracy [%]")
    figure.legend(loc="outside right upper")
    return figure


@styled
def rate_plot(table: xr.Dataset) -> Figure:
    """Error of the minimiser against n with the n^-1/2 law and the n^-1/4 that the lemma claims."""
    figure, axes = _figure(6.4, 3.8)
    ax: Axes = axes[0, 0]
    n, error = table.n.values, table.error.values
    mean = error.mean(axis=1)
    spread = np.abs(np.quantile(error, [0.025, 0.975], axis=1) - mean)
    ax.errorbar(n, mean, spread, fmt="o", color=BLUE, capsize=2, label=f"exact law, {table.replicates} replicates")
    ax.plot(n, mean[0] * (n / n[0]) ** -0.5, color=BLUE, label=r"$n^{-1/2}$ through the first point")
    ax.plot(n, mean[0] * (n / n[0]) ** -0.25, "--", color="black", label=r"$n^{-1/4}$, as the lemma claims")
    ax.set(xscale="log", yscale="log")
    ax.set_xlabel("training pairs $n$")
    ax.set_ylabel(r"$\|\rho M^* - D_I C D_T^T\|$ [latent units$^2$]")
    ax.legend()
    return figure

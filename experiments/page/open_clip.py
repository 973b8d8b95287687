"""What open_clip, unmodified, learned from exported worlds: p' over training pairs by three
prompts, beside the theory.

`python -m experiments.page.open_clip .readme/open_clip.svg` draws the runs of
experiments/ground_truth/open_clip.csv.
"""

import sys
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from experiments import ground_truth
from experiments.files import write_text
from experiments.ground_truth.truth import worded_rows
from experiments.page.front import GREY, LINES, MAIN, TEXT, TITLE
from experiments.style import styled
from experiments.svg import figure_svg, standalone
from simulator.accuracy import Accuracy
from simulator.world import World
from theory.ideal_curve import equivalent

WORLD = World(mu_spu=1.5, sigma_xi=6.0, bare=0.2)
IMAGES = 20_000  # per group
PANELS = {1: "captions describe every appearance", 0: "captions describe no appearance"}


def runs() -> pd.DataFrame:
    """The stored trainings, one row per checkpoint: its right answers per group, and its p'."""
    table = pd.read_csv(Path(ground_truth.__file__).with_name("open_clip.csv"))
    for detail, own in table.groupby("detail"):
        accuracy = Accuracy(own.common.to_numpy() / IMAGES, own.counter.to_numpy() / IMAGES)
        table.loc[own.index, "correlation"] = equivalent(world_of(detail), accuracy).correlation
    return table


def world_of(detail: int) -> World:
    return WORLD.replace(detail_inv=detail, detail_spu=detail)


@styled
def trained() -> Figure:
    """A panel per detail: lines of theory for the words of the captions, and every checkpoint."""
    figure = Figure(figsize=(9.0, 5.2), layout="constrained")
    figure.suptitle(
        "open_clip, unmodified, trained on exported worlds", x=0.02, ha="left", fontsize=TITLE
    )
    every = runs()
    for ax, (detail, words) in zip(
        figure.subplots(1, 2, sharex=True, sharey=True), PANELS.items(), strict=True
    ):
        theory = {
            row["prompt"]: row["equivalent_correlation"] for row in worded_rows(world_of(detail))
        }
        for prompt, color, name, *_ in LINES:
            ax.axhline(theory[prompt], color=color, linewidth=4, alpha=0.35)
            for _, run in every[(every.detail == detail) & (every.prompt == prompt)].groupby(
                ["seed", "last"]
            ):
                pairs = run.pairs.to_numpy() / 1000
                correlation = run.correlation.to_numpy()
                ax.plot(pairs, correlation, "-", color=color, linewidth=1)
                ax.plot(pairs[-1], correlation[-1], "o", color=color, markersize=9, zorder=4)
            if detail:
                side = (
                    {"xytext": (0, 7), "va": "bottom"}
                    if prompt == "bare"
                    else {"xytext": (0, -7), "va": "top"}
                )
                look = {"color": color, "fontsize": TEXT, "weight": "bold", "ha": "right", **side}
                at = (0.99, theory[prompt])
                ax.annotate(
                    name, at, xycoords=ax.get_yaxis_transform(), textcoords="offset points", **look
                )
        ax.set_title(words, fontsize=TEXT, color=GREY)
        ax.set_xlabel("thousand training pairs", fontsize=TEXT)
        ax.tick_params(labelsize=14)
    figure.axes[0].set_ylabel("p′", fontsize=MAIN)
    figure.axes[0].set(ylim=(0.57, 1.02))
    return figure


if __name__ == "__main__":
    drawing = figure_svg(trained(), "p′ of open_clip over training pairs, beside the theory")
    write_text(Path(sys.argv[1]), standalone(drawing))

"""The first picture of README and report: how much of the background each learner learns, as p' against p.

It shows the design `equivalent` at the middle one of its three noise levels. The bands of CLIP's own loss reach from
the lowest level to the highest; that of supervised learning reaches from logistic regression to least squares. Points
are towers of a stored trial, small ones at the other two levels.
"""

from typing import NamedTuple

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from experiments.court.trained import stored_verdicts
from experiments.page.plot.boundary import study_of
from experiments.page.plot.places import placed
from experiments.style import styled
from simulator.world import World
from theory.ideal_curve import equivalent_of_draws

DESIGN, TRIAL = "equivalent", "trained/noise-levels"
WHAT = "equivalent-correlation"
SIZE = (6.4, 6.9)  # inches; a phone shows the width on about 360 pixels
TITLE, MAIN, TEXT, SMALL = 19, 17, 15, 13  # points; 13 are 10 pixels on a phone
RED, BLUE, GREY = "#c04f00", "#0072b2", "#555555"
SUPERVISED = ("logistic", "least-squares")


class Line(NamedTuple):
    """A learner of the picture, and the place of its name."""

    learner: str
    prompt: str
    color: str
    words: str
    at: tuple[float, float]

    @property
    def main(self) -> bool:
        """Whether the line is drawn thick, with a band."""
        return self.learner == "infonce"


LINES = (
    Line("infonce", "mean", RED, "CLIP asked by average caption", (0.505, 0.995)),
    Line("infonce", "name", BLUE, "CLIP asked by class name", (0.62, 0.475)),
    Line("linear", "mean", RED, "linear CLIP", (0.7, 0.838)),
    Line("linear", "name", BLUE, "linear CLIP", (0.873, 0.75)),
)
NOTES = (  # words, place, options of their text
    ("▲ learns more of the background", (0.505, 1.045), {}),
    ("▼ learns less of it", (1.0, 0.435), {"ha": "right"}),
    ("supervised", (0.88, 0.847), {}),
    ("● trained towers", (0.505, 0.435), {}),
    ("as in the data", (0.62, 0.635), {"rotation": 45, "rotation_mode": "anchor", "color": "black"}),
    ("more view noise", (0.995, 0.697), {"ha": "right", "color": BLUE, "fontsize": SMALL}),
    ("less", (0.995, 0.607), {"ha": "right", "color": BLUE, "fontsize": SMALL}),
)


class Towers(NamedTuple):
    """An ensemble of a stored trial: mean accuracies over its models, and their equivalent correlation."""

    world: World
    prompt: str
    common: float
    counter: float
    correlation: float


@styled
def front(table: xr.Dataset) -> Figure:
    """The figure of the design's Dataset."""
    study = study_of(table)
    p, levels = table.p_spu.values, table.sigma_xi.values
    correlation = placed(table, study, WHAT)[WHAT]
    figure = Figure(figsize=SIZE)
    figure.suptitle("How much of the background is learned?", x=0.02, ha="left", fontsize=TITLE)
    ax = figure.subplots()
    ax.plot(p, p, color="black", linewidth=1.2)
    edges = correlation.sel(learner=list(SUPERVISED), prompt="name", sigma_xi=levels[1])
    ax.fill_between(p, *edges.transpose("learner", ...), color=GREY, alpha=0.45, linewidth=0)
    for line in LINES:
        low, middle, high = correlation.sel(learner=line.learner, prompt=line.prompt).transpose("sigma_xi", ...).values
        ax.plot(p, middle, "-" if line.main else ":", color=line.color, linewidth=5 if line.main else 2.5)
        if line.main:
            ax.fill_between(p, low, high, color=line.color, alpha=0.18, linewidth=0)
        size = {"fontsize": MAIN, "weight": "bold"} if line.main else {"fontsize": TEXT}
        ax.text(*line.at, line.words, color=line.color, **size)
    for words, at, options in NOTES:
        ax.text(*at, words, **{"fontsize": TEXT, "color": GREY, **options})
    for towers in trained_towers():
        main = np.isclose(towers.world.nu_image, study.world.replace(sigma_xi=levels[1]).nu_image)
        look = {"color": RED if towers.prompt == "mean" else BLUE, "markeredgecolor": "white", "zorder": 3 + main}
        ax.plot(towers.world.p_spu, towers.correlation, "o", markersize=12 if main else 6, **look)
    ax.set_xlabel("share of training images with the usual\nbackground of their class, p", fontsize=TEXT)
    ax.set_ylabel("acts like the ideal classifier of data\nwith this share, p′", fontsize=TEXT)
    ticks = np.linspace(0.5, 1, 6)
    ax.set(xlim=(0.495, 1.005), ylim=(0.425, 1.08), xticks=ticks, yticks=ticks)
    ax.tick_params(labelsize=14)
    for side in (ax.xaxis, ax.yaxis):
        side.set_major_formatter(PercentFormatter(1, 0, symbol=" %"))
    return figure


def trained_towers(trial: str = TRIAL) -> list[Towers]:
    """The ensembles of a stored trial, one per world and prompt."""
    stored = next(verdict for verdict in stored_verdicts() if verdict["claim"] == trial)
    found = [
        (World(**case["world"]), prompt, [row["models"] for row in case["rows"] if row["prompt"] == prompt])
        for case in stored["cases"]
        for prompt in ("name", "mean")
    ]
    worlds, prompts, models = zip(*found, strict=True)
    draws = np.transpose(models)  # (model, group, ensemble)
    place = equivalent_of_draws(World.stack(worlds), draws)
    return [Towers(*each) for each in zip(worlds, prompts, *draws.mean(axis=0), place.correlation, strict=True)]

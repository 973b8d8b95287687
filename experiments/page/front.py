"""The first picture of README and report: how much of the background CLIP learns, as p' against p,
by three prompts.
"""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from experiments.court.trained import stored_documents
from experiments.lab.studies import world_in
from experiments.page.plot.places import placed
from experiments.style import styled
from simulator.world import World
from theory.ideal_curve import equivalent_of_draws

DESIGN, TRIAL = "equivalent", "trained/noise-levels"
WHAT = "equivalent-correlation"
TITLE, MAIN, TEXT, SMALL = 19, 17, 15, 13  # points; 13 are 10 pixels on a phone
RED, BLUE, GREEN, GREY, BLACK = "#c04f00", "#0072b2", "#00694b", "#555555", "#1b1f24"
READ = 0.9  # the share whose numbers stand beside the lines
# prompt, colour, words and their place, step from READ to the number beside the line and its
# alignment
LINES = (
    ("mean", RED, "average caption", (0.505, 0.995), (-0.005, "right")),
    ("bare", GREEN, "bare name", (0.58, 0.6), (0.02, "left")),
    ("name", BLUE, "typical appearance", (0.62, 0.475), (0.005, "left")),
)
ALONG = {"rotation": 45, "rotation_mode": "anchor", "transform_rotates_text": True}
NOTES = (  # words, place, options of their text
    ("▲ learns more of the background", (0.505, 1.045), {}),
    ("▼ learns less of it", (1.0, 0.435), {"ha": "right"}),
    ("● trained models", (0.505, 0.435), {}),
    ("┄ logistic regression", (1.0, 0.535), {"ha": "right", "color": BLACK}),
    ("“a photo of a polar bear”", (0.69, 0.71), {"color": GREEN, **ALONG}),
    ("captions describe", (0.995, 0.755), {"ha": "right", "color": BLUE, "fontsize": SMALL}),
    ("▲ no appearance", (0.995, 0.715), {"ha": "right", "color": BLUE, "fontsize": SMALL}),
    ("▼ every appearance", (0.995, 0.675), {"ha": "right", "color": BLUE, "fontsize": SMALL}),
)


@styled
def front(table: xr.Dataset) -> Figure:
    """The figure of the design's Dataset."""
    base = world_in(table.attrs["study"])
    p = table.p_spu.values
    correlation = placed(table, base, WHAT)[WHAT]
    figure = Figure(figsize=(6.4, 6.9))  # inches; a phone shows the width on about 360 pixels
    figure.suptitle(
        "How much of the background does CLIP learn?", x=0.02, ha="left", fontsize=TITLE
    )
    ax = figure.subplots()
    clip = correlation.sel(learner="infonce")
    for prompt, color, words, place, (step, side) in LINES:
        none = clip.sel(prompt=prompt, detail_inv=0.0, detail_spu=0.0).values
        every = clip.sel(prompt=prompt, detail_inv=1.0, detail_spu=1.0).values
        ax.fill_between(p, none, every, color=color, alpha=0.2, linewidth=0)
        ax.plot(p, every, color=color, linewidth=5)
        look = {"color": color, "fontsize": MAIN, "weight": "bold"}
        ax.text(*place, words, **look, **(ALONG if prompt == "bare" else {}))
        at = np.interp(READ, p, every)
        ax.text(READ + step, at - 0.012, f"{at:.2f}", ha=side, va="top", **look)
    supervised = correlation.sel(learner="logistic", prompt="name", detail_inv=1.0, detail_spu=1.0)
    ax.plot(p, supervised, color=BLACK, linewidth=2, linestyle=(0, (4, 2)))
    ax.axvline(READ, color=GREY, linewidth=1, linestyle=":", zorder=1)
    for words, at, options in NOTES:
        ax.text(*at, words, **{"fontsize": TEXT, "color": GREY, **options})
    for world, prompt, trained in trained_towers():
        if np.isclose(world.nu_image, base.nu_image):
            look = {
                "color": RED if prompt == "mean" else BLUE,
                "markeredgecolor": "white",
                "zorder": 4,
            }
            ax.plot(world.p_spu, trained, "o", markersize=12, **look)
    ax.set_xlabel("share of usual backgrounds\nin the training data, p", fontsize=TEXT)
    ax.set_ylabel("share in the data whose best\nclassifier behaves alike, p′", fontsize=TEXT)
    ticks = np.linspace(0.5, 1, 6)
    ax.set(xlim=(0.495, 1.005), ylim=(0.425, 1.08), xticks=ticks, yticks=ticks)
    ax.tick_params(labelsize=14)
    return figure


def trained_towers(trial: str = TRIAL) -> list[tuple[World, str, float]]:
    """The world, the prompt and the mean p' of each ensemble of a stored trial."""
    stored = next(document for document in stored_documents() if document["claim"] == trial)
    rows = [
        (
            World(**case["world"]),
            prompt,
            [row["models"] for row in case["rows"] if row["prompt"] == prompt],
        )
        for case in stored["cases"]
        for prompt in dict.fromkeys(row["prompt"] for row in case["rows"])
    ]
    worlds, prompts, models = zip(*rows, strict=True)
    # (model, group, ensemble)
    place = equivalent_of_draws(World.stack(worlds), np.transpose(models))
    return list(zip(worlds, prompts, place.correlation, strict=True))

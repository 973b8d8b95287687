"""Contact sheet of a pixel world: test objects of every class in every group, with captions as they would be."""

from textwrap import wrap
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from experiments.style import styled
from simulator.pixels.captions import sentence
from simulator.pixels.groups import trial, weights
from simulator.streams import numpy_stream
from simulator.world import World

# Columns, and the group of a trial that a class without an attribute of its own has there.
COLUMNS = {"common": None, "counter": None, "rand": "rest", "rev": None}
HEADS = {"common": "common", "counter": "counter", "rand": "Rand", "rev": "Rev"}
EACH = 2  # images of a class in a group
MOST_ROWS = 12
CELL, GAP, LINE = 1.0, 0.35, 0.13  # an image's side, what is between groups, a line of captions


class Example(NamedTuple):
    """One image of the sheet."""

    label: str
    group: str
    shown: str
    attribute: str
    caption: str
    image: np.ndarray


def examples(world: World, seed: int) -> list[Example]:
    """EACH images of the first MOST_ROWS classes in each group that they have, drawn by the law of the group."""
    tried, rng = trial(world, seed=seed), numpy_stream(seed, "show")
    laws, scene, found = weights(world, tried), tried.scenery, []
    names = scene.objects.names
    for label in range(min(world.classes, MOST_ROWS)):
        for group, instead in COLUMNS.items():
            law = next((laws[g][label] for g in (group, instead) if g in laws and laws[g][label].any()), None)
            if law is None:
                continue
            for row in rng.choice(len(law), min(EACH, np.count_nonzero(law)), replace=False, p=law / law.sum()):
                o, a = int(tried.objects[row]), int(tried.attributes[row])
                told = label if world.views.told == "label" else o
                says = rng.random(2) < (world.mention_inv, world.mention_spu)
                words = sentence(scene, told if says[0] else None, a if says[1] else None)
                image = tried.images(slice(row, row + 1))[0].permute(1, 2, 0).numpy()
                found.append(Example(names[label], group, names[o], scene.shown[a], words, image))
    return found


@styled
def sheet(shown: list[Example]) -> Figure:
    """Classes from top to bottom, groups from left to right, captions under their images."""
    labels = list(dict.fromkeys(e.label for e in shown))
    left = {group: k * (EACH * CELL + GAP) for k, group in enumerate(COLUMNS)}
    lines = {id(e): wrap(e.caption, 17) for e in shown}
    height = CELL + LINE * (max(map(len, lines.values())) + 1)
    width = max(left.values()) + EACH * CELL
    figure = Figure(figsize=(0.8 * (width + 0.9), 0.8 * (height * len(labels) + 0.4)))
    ax = figure.subplots()
    ax.set(xlim=(-0.9, width), ylim=(height * len(labels), -0.4), aspect="equal")
    ax.set_axis_off()
    for group, x in left.items():
        ax.text(x, -0.15, HEADS[group], weight="bold")
    for k, label in enumerate(labels):
        ax.text(-0.1, k * height + CELL / 2, "\n".join(wrap(label, 10)), ha="right", va="center", weight="bold")
        for group, x in left.items():
            for i, e in enumerate(e for e in shown if (e.label, e.group) == (label, group)):
                at, top = x + i * CELL, k * height
                ax.imshow(e.image, extent=(at + 0.02, at + CELL - 0.02, top + CELL - 0.02, top + 0.02), zorder=2)
                ax.text(at + CELL / 2, top + CELL + 0.02, "\n".join(lines[id(e)]), ha="center", va="top", size=5.5)
    ax.set(xlim=(-0.9, width), ylim=(height * len(labels), -0.4))  # imshow has moved them
    return figure

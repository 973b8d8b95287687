"""A world as one picture: a contact sheet of its pixels, or the latents of its Gaussian views."""

from textwrap import wrap
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from experiments.lab.config import read_pictures
from experiments.page import latents
from experiments.style import styled
from simulator.pixels.captions import sentence
from simulator.pixels.groups import trial, weights
from simulator.pixels.scenery import PARTS
from simulator.streams import numpy_stream
from simulator.world import World

# The groups of the sheet, and the group shown for a class without an attribute of its own.
SUBSTITUTES = {"common": None, "counter": None, "rand": "rest", "rev": None}
HEADS = {"common": "common", "counter": "counter", "rand": "Rand", "rev": "Rev"}
EACH = 2  # images per class and group
MOST_ROWS = 12
CELL, GAP, LINE = 1.0, 0.35, 0.13  # side of an image, space between groups, height of a line of captions


class Example(NamedTuple):
    """One image of the sheet."""

    label: str
    group: str
    shown: str
    attribute: str
    caption: str
    image: np.ndarray


def picture_of(world: World, seed: int) -> tuple[Figure, dict[str, Any]]:
    """The figure and its content as data. Raises RequestError for pictures that cannot be read."""
    if world.views is None:
        table = latents.sample(seed, world)
        rules = {str(name): u.tolist() for name, u in zip(table.rule.values, table.rules.values, strict=True)}
        return latents.scatter(table), {"kind": "latents", "pairs": table.size, "rules": rules}
    objects = read_pictures(world).objects
    shown = examples(world, seed)
    document = {
        "kind": "sheet",
        "classes": world.classes,
        "objects": {part: int(objects.counts(part).sum()) for part in PARTS},
        "images": [{name: value for name, value in e._asdict().items() if name != "image"} for e in shown],
    }
    return sheet(shown), document


def examples(world: World, seed: int) -> list[Example]:
    """EACH test images per group of the first MOST_ROWS classes, drawn by the law of the group."""
    tests, rng = trial(world, seed=seed), numpy_stream(seed, "show")
    laws, scene, shown = weights(world, tests), tests.scenery, []
    names = scene.objects.names
    for label in range(min(world.classes, MOST_ROWS)):
        for group, substitute in SUBSTITUTES.items():
            law = next((laws[g][label] for g in (group, substitute) if g in laws and laws[g][label].any()), None)
            if law is None:
                continue
            for row in rng.choice(len(law), min(EACH, np.count_nonzero(law)), replace=False, p=law / law.sum()):
                o, a = int(tests.objects[row]), int(tests.attributes[row])
                named = label if world.views.told == "label" else o
                mentions = rng.random(2) < (world.mention_inv, world.mention_spu)
                caption = sentence(scene, named if mentions[0] else None, a if mentions[1] else None)
                image = tests.images(slice(row, row + 1))[0].permute(1, 2, 0).numpy()
                shown.append(Example(names[label], group, names[o], scene.shown[a], caption, image))
    return shown


@styled
def sheet(shown: list[Example]) -> Figure:
    """Classes from top to bottom, groups from left to right, captions under the images."""
    labels = list(dict.fromkeys(e.label for e in shown))
    left = {group: k * (EACH * CELL + GAP) for k, group in enumerate(SUBSTITUTES)}
    captions = {id(e): wrap(e.caption, 17) for e in shown}
    height = CELL + LINE * (max(map(len, captions.values())) + 1)
    width = max(left.values()) + EACH * CELL
    figure = Figure(figsize=(0.8 * (width + 0.9), 0.8 * (height * len(labels) + 0.4)))
    ax = figure.subplots()
    ax.set_axis_off()
    for group, x in left.items():
        ax.text(x, -0.15, HEADS[group], weight="bold")
    for k, label in enumerate(labels):
        top = k * height
        ax.text(-0.1, top + CELL / 2, "\n".join(wrap(label, 10)), ha="right", va="center", weight="bold")
        for group, x in left.items():
            for i, e in enumerate(e for e in shown if (e.label, e.group) == (label, group)):
                at = x + i * CELL
                ax.imshow(e.image, extent=(at + 0.02, at + CELL - 0.02, top + CELL - 0.02, top + 0.02), zorder=2)
                ax.text(at + CELL / 2, top + CELL + 0.02, "\n".join(captions[id(e)]), ha="center", va="top", size=5.5)
    ax.set(xlim=(-0.9, width), ylim=(height * len(labels), -0.4), aspect="equal")  # imshow changes the limits
    return figure

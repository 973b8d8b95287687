"""A world as one picture: a contact sheet of its pixels, or the latents of its Gaussian views."""

from contextlib import suppress
from textwrap import wrap
from typing import Any

import numpy as np
import torch
from contourpy import contour_generator
from matplotlib.figure import Figure

from experiments.errors import RequestError
from experiments.lab.config import read_pictures
from experiments.style import styled
from simulator.gaussian.pairs import draw_latents
from simulator.pixels.captions import sentence
from simulator.pixels.groups import trial, weights
from simulator.pixels.scenery import PARTS
from simulator.streams import independent, numpy_stream
from simulator.world import World
from theory.learners import InfoNCE, Learner, LinearCLIP, Logistic
from theory.learners.base import UNDEFINED

# The groups of the sheet, and the group shown for a class without an attribute of its own.
SUBSTITUTES = {"common": None, "counter": None, "unseen": None, "rand": "rest", "rev": None}
EACH = 2  # images per class and group
MOST_ROWS = 12
PAIRS, JOINED = 600, 25  # in the picture of latents; images with an arrow to their captions
ARROW = {"color": "0.35", "linewidth": 0.8}
# The rules in the picture of latents, with colour and style.
RULES: dict[str, tuple[Learner, str, str]] = {
    "CLIP (InfoNCE), typical appearance": (InfoNCE("name"), "C2", "-"),
    "CLIP (InfoNCE), average caption": (InfoNCE("mean"), "C2", "--"),
    "linear CLIP, typical appearance": (LinearCLIP("name"), "black", "-"),
    "linear CLIP, average caption": (LinearCLIP("mean"), "black", "--"),
    "logistic regression": (Logistic(), "black", ":"),
}
ACROSS = 101  # points of a grid, along each latent, on which rules are asked
LOOKS = {
    "common": {"marker": "o", "s": 16, "alpha": 0.35},
    "counter": {"marker": "X", "s": 42, "edgecolor": "white"},
}
# side of an image, space between groups, height of a line of captions
CELL, GAP, LINE = 1.0, 0.35, 0.13


def picture_of(world: World, seed: int) -> tuple[Figure, dict[str, Any]]:
    """The figure and its content as data. Raises RequestError for pictures that cannot be read."""
    if world.views is None:
        return latents(world, seed)
    objects = read_pictures(world).objects
    facts, images = examples(world, seed)
    document = {
        "kind": "sheet",
        "classes": world.classes,
        "objects": {part: int(objects.counts(part).sum()) for part in PARTS},
        "images": facts,
    }
    return sheet(facts, images), document


def examples(world: World, seed: int) -> tuple[list[dict[str, str]], list[np.ndarray]]:
    """Facts and pixels of EACH test images per group of the first MOST_ROWS classes, drawn by the
    law of the group.
    """
    tests = trial(world, seed=seed)
    rng = numpy_stream(seed, "show")
    laws = weights(world, tests)
    scene = tests.scenery
    facts = []
    images = []
    names = scene.objects.names
    for label in range(min(world.classes, MOST_ROWS)):
        for group, substitute in SUBSTITUTES.items():
            law = next(
                (laws[g][label] for g in (group, substitute) if g in laws and laws[g][label].any()),
                None,
            )
            if law is None:
                continue
            for row in rng.choice(
                len(law), min(EACH, np.count_nonzero(law)), replace=False, p=law / law.sum()
            ):
                o = int(tests.objects[row])
                a = int(tests.attributes[row])
                subject = label if world.views.told == "label" else o
                mentions = rng.random(2) < (world.mention_inv, world.mention_spu)
                caption = sentence(
                    scene, subject if mentions[0] else None, a if mentions[1] else None
                )
                shown = {"shown": names[o], "attribute": scene.shown[a], "caption": caption}
                facts.append({"label": names[label], "group": group, **shown})
                images.append(tests.images(slice(row, row + 1))[0].permute(1, 2, 0).numpy())
    return facts, images


@styled
def sheet(facts: list[dict[str, str]], images: list[np.ndarray]) -> Figure:
    """Classes from top to bottom, groups from left to right, captions under the images."""
    labels = list(dict.fromkeys(fact["label"] for fact in facts))
    groups = [group for group in SUBSTITUTES if any(fact["group"] == group for fact in facts)]
    left = {group: k * (EACH * CELL + GAP) for k, group in enumerate(groups)}
    captions = [wrap(fact["caption"], 17) for fact in facts]
    height = CELL + LINE * (max(map(len, captions)) + 1)
    width = max(left.values()) + EACH * CELL
    figure = Figure(figsize=(0.8 * (width + 0.9), 0.8 * (height * len(labels) + 0.4)))
    ax = figure.subplots()
    ax.set_axis_off()
    for group, x in left.items():
        ax.text(x, -0.15, group, weight="bold")
    for row, label in enumerate(labels):
        top = row * height
        ax.text(
            -0.1, top + CELL / 2, "\n".join(wrap(label, 10)), ha="right", va="center", weight="bold"
        )
        for group, x in left.items():
            own = [
                k
                for k, fact in enumerate(facts)
                if (fact["label"], fact["group"]) == (label, group)
            ]
            for i, k in enumerate(own):
                at = x + i * CELL
                ax.imshow(
                    images[k],
                    extent=(at + 0.02, at + CELL - 0.02, top + CELL - 0.02, top + 0.02),
                    zorder=2,
                )
                ax.text(
                    at + CELL / 2,
                    top + CELL + 0.02,
                    "\n".join(captions[k]),
                    ha="center",
                    va="top",
                    size=5.5,
                )
    # imshow changes the limits
    ax.set(xlim=(-0.9, width), ylim=(height * len(labels), -0.4), aspect="equal")
    return figure


@styled
def latents(world: World, seed: int) -> tuple[Figure, dict[str, Any]]:
    """Images of training pairs in latent space, with the boundaries of the rules that have an
    answer.

    Arrows lead from some images to what their captions describe, where that differs; bare captions
    have none. Of more than two classes only pairs of the first two are kept. A latent is then the
    difference of their coordinates in a block, with mean mu, -mu, or 0 if the block shows another
    class. Further attributes are dropped.
    """
    if world.table is not None:
        raise RequestError(
            "the latents of a world with a table have no picture; pixels and p_spu have one"
        )
    source = independent(seed, 0, ("figure/latents",))
    y, a, z, captions = (
        x[0].numpy()
        for x in draw_latents((world,), PAIRS, source, device="cpu", dtype=torch.float64)
    )
    bare = captions[:, z.shape[1] :].any(axis=1)
    common = a[:, 0] == y
    blocks = [
        x[:, : z.shape[1]].reshape(PAIRS, 2 + len(world.attribute), -1)[:, :2]
        for x in (z, captions)
    ]
    z, captions = (x[..., 0] if world.classes == 2 else x[..., 0] - x[..., 1] for x in blocks)
    figure = Figure(figsize=(6.4, 6.0))
    ax = figure.subplots()
    for label, name in enumerate(("+1", "−1") if world.classes == 2 else ("0", "1")):
        for group, look in LOOKS.items():
            part = z[(y == label) & (common == (group == "common"))]
            ax.scatter(
                *part.T, color=f"C{label}", linewidth=0.5, label=f"y = {name}, {group}", **look
            )
    joined = np.flatnonzero((y < 2) & ~bare & (np.abs(captions - z).max(axis=1) > 0))[:JOINED]
    for image, caption in zip(z[joined], captions[joined], strict=True):
        ax.annotate("", caption, image, arrowprops={"arrowstyle": "-|>", **ARROW}, zorder=1)
    if len(joined):
        ax.plot([], [], label="from an image to its caption", **ARROW)
    reach = np.abs(z[y < 2]).max(axis=0, initial=0) * 1.05
    reach[reach == 0] = 1.0
    curves = {}
    linear = {}
    drawn = []
    for name, (rule, colour, style) in RULES.items():
        with suppress(*UNDEFINED):  # no answer, or not linear
            if (u := rule.direction(world)[:2]).any():
                linear[name] = u.tolist()
        if pieces := _curves(rule, world, reach):
            curves[name] = [piece.tolist() for piece in pieces]
            lines = [ax.plot(*piece.T, style, color=colour, label=name)[0] for piece in pieces]
            drawn.append(lines[0])
    ax.set(xlim=(-reach[0], reach[0]), ylim=(-reach[1], reach[1]))
    several = "" if world.classes == 2 else ", class 0 less class 1"
    ax.set_xlabel(rf"invariant latent $z_{{\mathrm{{inv}}}}${several or ' (the animal)'}")
    ax.set_ylabel(rf"spurious latent $z_{{\mathrm{{spu}}}}${several or ' (the background)'}")
    pairs = [one for one in ax.get_legend_handles_labels()[0] if one.get_label() not in RULES]
    figure.legend(
        handles=pairs,
        loc="outside lower left",
        title="images (common: usual background)",
        alignment="left",
    )
    figure.legend(
        handles=drawn,
        loc="outside lower right",
        title="where a learner changes its answer",
        alignment="left",
    )
    return figure, {
        "kind": "latents",
        "pairs": int((y < 2).sum()),
        "rules": linear,
        "curves": curves,
    }


def _curves(rule: Learner, world: World, reach: np.ndarray) -> list[np.ndarray]:
    """Where the first two classes have equal scores, as lines of points; further attributes and
    classes are 0.
    """
    across = [np.linspace(-end, end, ACROSS) for end in reach]
    image = np.zeros((ACROSS, ACROSS, len(world.mean), 1 if world.classes == 2 else world.classes))
    image[..., 0, 0], image[..., 1, 0] = np.meshgrid(*across)
    if world.classes > 2:
        image[..., :2] = image[..., :1] * [0.5, -0.5]
    try:
        scores = rule.scores(world, image.reshape(ACROSS**2, -1))
    except UNDEFINED:
        return []
    # of two prompts that tell nothing both scores are minus infinity
    with np.errstate(invalid="ignore"):
        gap = np.nan_to_num(scores[:, 0] - scores[:, 1])
    return contour_generator(*across, gap.reshape(ACROSS, ACROSS)).lines(0.0) if gap.any() else []

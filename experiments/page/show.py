"""A world as one picture: the contact sheet of its pixels, or the latents of its Gaussian views."""

from typing import Any

from matplotlib.figure import Figure

from experiments.lab.worlds import read_pictures
from experiments.page import latents, sheet
from simulator.pixels.scenery import PARTS
from simulator.world import World


def picture_of(world: World, seed: int) -> tuple[Figure, dict[str, Any]]:
    """The figure, and what it shows as data. Raises RequestError for pictures that cannot be read."""
    if world.views is None:
        table = latents.sample(seed, world)
        rules = {str(name): u.tolist() for name, u in zip(table.rule.values, table.rules.values, strict=True)}
        return latents.scatter(table), {"kind": "latents", "pairs": table.size, "rules": rules}
    objects = read_pictures(world).objects
    examples = sheet.examples(world, seed)
    document = {
        "kind": "sheet",
        "classes": world.classes,
        "objects": {part: int(objects.counts(part).sum()) for part in PARTS},
        "images": [{name: value for name, value in e._asdict().items() if name != "image"} for e in examples],
    }
    return sheet.sheet(examples), document

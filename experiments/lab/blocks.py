"""Blocks: boxes of cells that are computed together, written together and lost together.

The division depends on the study alone, so an interrupted run ends with the same numbers as an uninterrupted one:
closed forms round by how many worlds are computed at once.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from experiments.lab.spec import StudySpec

BYTES = 2**25  # of one variable in a block, 32 MiB; a dozen of them and their copies stay under 1 GB
SECONDS = 5.0  # of a block, by the rough costs below: what a kill may lose, and many times what its chunks take
MOST = 2**16  # cells of a block: enough for numpy to run at its full speed

MODELS = 16  # trained together at least: one model alone leaves most of a processor idle

# Seconds per cell, right within a factor of a few. They decide nothing but the size of blocks.
CLOSED_FORM, SAMPLED_FORM = 5e-5, 1.0
EXACT_REPLICATE, LEAST_REPLICATES = 1.5e-6, 1024  # the exact law draws them by the thousand
DRAWN_NUMBER = 1e-8
MULTIPLY_ADD = 2e-10

Region = tuple[slice, ...]  # a box of cells, over the axes
Task = Callable[[int], object]  # of the number of a block; picklable
Execute = Callable[[Task, Sequence[int]], Iterable[object]]  # maps a task over blocks; results come in any order


class Layout(NamedTuple):
    """Division of a grid of this shape into blocks of at most this chunk."""

    shape: tuple[int, ...]
    chunk: tuple[int, ...]

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of blocks along each axis."""
        return tuple(-(-length // part) for length, part in zip(self.shape, self.chunk, strict=True))

    @property
    def count(self) -> int:
        """Number of blocks."""
        return int(np.prod(self.grid, dtype=object))

    def place(self, block: int) -> tuple[int, ...]:
        """Where block number `block` lies in the grid of blocks, in C order."""
        return tuple(int(i) for i in np.unravel_index(block, self.grid)) if self.grid else ()

    def number(self, place: tuple[int, ...]) -> int:
        """The block at a place of the grid of blocks."""
        return int(np.ravel_multi_index(place, self.grid)) if self.grid else 0

    def region(self, block: int) -> Region:
        """The cells of block number `block`."""
        return tuple(
            slice(i * part, min((i + 1) * part, length))
            for i, part, length in zip(self.place(block), self.chunk, self.shape, strict=True)
        )

    def cells(self, block: int) -> int:
        """Number of places of a block."""
        return int(np.prod([part.stop - part.start for part in self.region(block)], dtype=int))


def layout(study: StudySpec, estimated: bool) -> Layout:
    """The blocks of a study; `estimated`: whether its theory is sampled."""
    series = len(study.learners) * len(study.prompts) * max(1, len(study.measured))
    values = series * (study.replicates if study.measured else 1)
    most = min(MOST, BYTES // (8 * values), SECONDS / (series * cell_seconds(study, estimated)))
    least = MODELS // study.replicates if study.trained else 1
    return Layout(study.shape, _box(study.shape, max(1, least, int(most))))


def _box(shape: tuple[int, ...], most: int) -> tuple[int, ...]:
    """A box of at most `most` cells: whole along the last axes, so that blocks follow each other in C order."""
    chunk = []
    for length in reversed(shape):
        chunk.append(min(length, most))
        most = max(1, most // length)
    return tuple(reversed(chunk))


def cell_seconds(study: StudySpec, estimated: bool) -> float:
    """Roughly how long one learner takes for one place by the slowest route."""
    world = study.world
    n = study.n or max((v for axis in study.axes if axis.name == "n" for v in axis.values), default=0)
    costs = [SAMPLED_FORM if estimated else CLOSED_FORM]
    if "exact" in study.measured:
        costs.append(EXACT_REPLICATE * max(LEAST_REPLICATES, study.replicates) * world.latents**2 / 4)
    if "drawn" in study.measured:
        costs.append(DRAWN_NUMBER * n * study.replicates * (world.dim_image + world.dim_text))
    if study.trained:
        from simulator.towers.ensemble import Ensemble, step_products  # start-up time: loads torch

        recipe, models = study.recipe_at((0,) * len(study.axes), 0), (0,) * study.replicates
        products = step_products(Ensemble(recipe, (world,) * len(models), models, study.seed))
        costs.append(3 * MULTIPLY_ADD * recipe.steps * products)
    return max(costs)


def places(region: Region) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """(place in the study, offset in the region) of each cell of a region, in C order."""
    for place in product(*(range(part.start, part.stop) for part in region)):
        yield place, tuple(i - part.start for i, part in zip(place, region, strict=True))


def spread(study: StudySpec, most: int) -> list[tuple[int, ...]]:
    """At most `most` places, evenly spread over the grid in C order, the first and the last among them."""
    total = int(np.prod(study.shape, dtype=object))
    numbers = dict.fromkeys(int(p) for p in np.linspace(0, total - 1, min(most, total)))
    return [tuple(int(i) for i in np.unravel_index(p, study.shape)) if study.shape else () for p in numbers]

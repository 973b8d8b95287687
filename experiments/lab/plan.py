"""The plan of a study: its blocks and its size.

A block is a box of cells that are computed, written and lost together. The division depends on the
study alone, so an interrupted run ends with the same numbers: rounding depends on how many worlds
are computed at once.
"""

from typing import NamedTuple

import numpy as np
import xarray as xr

from experiments.lab.config import validated
from experiments.lab.grid import Grid, Place, Region
from experiments.lab.schema import ENDS, variables

# of one variable in a block, 32 MiB; a dozen of them and their copies stay under 1 GB
BYTES = 2**25
# per block, by the rough costs below: a kill loses no more, and writing the chunks takes far less
SECONDS = 5.0
MOST = 2**16  # cells of a block: enough for numpy to run at its full speed
MODELS = 16  # trained together at least: one model alone leaves most of a processor idle

# Seconds per cell, right within a factor of a few; they decide only the size of blocks.
CLOSED_FORM, SAMPLED_FORM = 5e-5, 1.0
EXACT_REPLICATE, LEAST_REPLICATES = 1.5e-6, 1024  # the exact law draws them by the thousand
DRAWN_NUMBER = 1e-8
MULTIPLY_ADD = 2e-10


class Plan(NamedTuple):
    """The variables of a study, and its blocks, numbered in C order."""

    study: Grid
    variables: dict[str, xr.Variable]
    bytes: int  # of all variables, uncompressed
    chunk: Place  # places of a block along each axis
    blocks: Place  # blocks along each axis

    def region(self, number: int) -> Region:
        """The places of a block; the last one along an axis may end beyond it."""
        at = map(int, np.unravel_index(number, self.blocks))
        return tuple(
            slice(i * part, (i + 1) * part) for i, part in zip(at, self.chunk, strict=True)
        )

    def part(self, number: int) -> tuple[int, Grid]:
        """A block's number and its part of the study, all that a process needs."""
        return number, self.study.part(self.region(number))


def plan(study: Grid) -> Plan:
    if study.trained:
        _read_pictures(study)
    declared = variables(study)
    chunk = _chunk(study)
    ends = bool(study.measured) or _may_be_sampled(study)
    size = sum(
        variable.nbytes for name, variable in declared.items() if ends or not name.endswith(ENDS)
    )
    blocks = tuple(-(-length // part) for length, part in zip(study.shape, chunk, strict=True))
    return Plan(study, declared, size, chunk, blocks)


def _chunk(study: Grid) -> Place:
    """A box that spans the last axes, so that blocks follow each other in C order."""
    series = len(study.learners) * len(study.prompts) * max(1, len(study.measured))
    values = series * (study.replicates if study.measured else 1)
    most = min(MOST, BYTES // (8 * values), SECONDS / (series * _cell_seconds(study)))
    least = MODELS // study.replicates if study.trained else 1
    most = max(1, least, int(most))
    chunk = []
    for length in reversed(study.shape):
        chunk.append(min(length, most))
        most = max(1, most // length)
    return tuple(reversed(chunk))


def _cell_seconds(study: Grid) -> float:
    """Roughly how long one learner takes for one place by the slowest route."""
    world = study.world
    n = study.n or max(
        (v for axis in study.axes if axis.name == "n" for v in axis.values), default=0
    )
    costs = [SAMPLED_FORM if not study.measured and _may_be_sampled(study) else CLOSED_FORM]
    if "exact" in study.measured:
        costs.append(
            EXACT_REPLICATE * max(LEAST_REPLICATES, study.replicates) * world.latents**2 / 4
        )
    if "drawn" in study.measured:
        costs.append(DRAWN_NUMBER * n * study.replicates * (world.dim_image + world.dim_text))
    if study.trained:
        # start-up time: loads torch
        from simulator.towers.ensemble import ensemble_of, step_products

        recipe = study.first(0).recipe
        products = step_products(ensemble_of([world], recipe, study.replicates, study.seed))
        costs.append(3 * MULTIPLY_ADD * recipe.steps * products)
    return max(costs)


def _may_be_sampled(study: Grid) -> bool:
    """Whether a theory may be sampled: in worlds with a table, with several classes or attributes
    for most learners.
    """
    classes = [most for axis in study.axes if axis.name == "classes" for most in axis.values] or [
        study.world.classes
    ]
    several = max(classes) > 2 or bool(study.world.attribute)
    if study.world.table is not None or "table" in study.dims:
        return True
    return any(study.first(k).learner.may_be_sampled(several) for k in range(len(study.learners)))


def _read_pictures(study: Grid) -> None:
    """Read the pictures of the most classes, which include all others. RequestError for those that
    cannot be read.
    """
    from simulator.views import shown  # start-up time

    worlds = (one.worlds.ravel()[0] for _, one in study.settings(("table", "classes")))
    most = {world.table: world for world in sorted(worlds, key=lambda world: world.classes)}
    for world in most.values():
        with validated():
            shown(world).inputs(world)

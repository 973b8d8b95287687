"""Studies compared with a Python loop over single worlds, and with a limit.

The loop is timed at a few cells of the grid. Our time includes writing the store.
"""

from collections.abc import Iterator
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scipy.special import ndtr

from experiments.benchmarks.exact import random_numbers
from experiments.benchmarks.timing import Row, once, seconds
from experiments.lab import setting
from experiments.lab.answers import simulate
from experiments.lab.studies import Study, study

PLACES = 8  # cells at which the loop is timed
CLOSED = study(
    axes={"p_spu": "0.5:1:1000", "mu_spu": "0.5:4:1000"},
    learners=["linear", "least-squares"],
    prompts=["name", "mean"],
)
ESTIMATED = study(axes={"p_spu": "0.5:1:100", "mu_spu": "0.5:4:100"}, learners=["infonce", "bayes"])
EXACT = study(axes={"p_spu": "0.5:1:10", "mu_spu": "0.5:4:20"}, routes="exact", n=10**9, replicates=10_000)


def rows() -> Iterator[Row]:
    z = np.linspace(-3, 3, 8192)
    phi = 2 * CLOSED.cells * seconds(lambda: ndtr(z)) / len(z)
    yield whole("linear and least squares, 1000 x 1000", CLOSED, phi, "; limit: two evaluations of Phi per cell")
    yield whole("InfoNCE and Bayes, 100 x 100", ESTIMATED)
    draws = random_numbers() * EXACT.cells * EXACT.replicates
    yield whole("exact law, 200 cells of 10,000", EXACT, draws, "; limit: random numbers")


def whole(name: str, grid: Study, limit: float | None = None, note: str = "") -> Row:
    with TemporaryDirectory() as folder:
        ours = once(lambda: grid.run(Path(folder) / "study.zarr"))
    evenly = np.unravel_index(np.linspace(0, prod(grid.shape) - 1, PLACES, dtype=int), grid.shape)
    cells = [
        (index, k, prompt)
        for index in zip(*(part.tolist() for part in evenly), strict=True)
        for k in range(len(grid.learners))
        for _, prompt in grid.slots(k)
    ]
    cell(grid, *cells[0])  # imports
    loop = once(lambda: [cell(grid, *place) for place in cells]) / len(cells) * grid.cells
    return Row(name, "study", ours, loop, limit, f"peer: a loop over functions{note}")


def cell(grid: Study, index: tuple[int, ...], k: int, prompt: str | None) -> object:
    one = setting.cell(grid, index, k, prompt)
    if grid.measured:
        return simulate(one.worlds, one.learner, one.n, grid.replicates, "exact", one.seed)
    return one.learner.accuracy(one.worlds)

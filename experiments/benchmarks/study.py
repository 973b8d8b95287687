"""Exact laws and closed forms, each compared with a plain loop, which is timed at a few cells of a
study.
"""

from collections.abc import Iterator
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scipy.special import ndtr

from experiments.benchmarks.timing import Timing, once, seconds
from experiments.finite_samples import fitted_critics
from experiments.lab.studies import Study, study
from simulator.accuracy import Accuracy
from simulator.gaussian.critic import group_accuracy
from simulator.gaussian.statistics import projected_critics
from simulator.streams import numpy_stream
from simulator.world import World
from theory.learners import LinearCLIP

DIM, REPLICATES = 512, 50_000  # of the projected law
PLACES = 8  # at which the loop is timed
CLOSED = study(
    axes={"p_spu": "0.5:1:1000", "mu_spu": "0.5:4:1000"},
    learners=["linear", "least-squares"],
    prompts=["name", "mean"],
)
ESTIMATED = study(axes={"p_spu": "0.5:1:100", "mu_spu": "0.5:4:100"}, learners=["infonce", "bayes"])


def rows() -> Iterator[Timing]:
    yield projected_law(100_000)
    z = np.linspace(-3, 3, 8192)
    phi = 2 * CLOSED.cells * seconds(lambda: ndtr(z)) / len(z)
    yield whole(
        "linear and least squares, 1000 x 1000, both prompts",
        CLOSED,
        phi,
        "; two evaluations of Phi",
    )
    yield whole("InfoNCE and Bayes, 100 x 100", ESTIMATED)


def projected_law(n: int, replicates: int = REPLICATES) -> Timing:
    """Accuracies of linear CLIP trained on n pairs, per replicate."""
    world = World(dim_image=DIM, dim_text=DIM)
    rng = numpy_stream(0, "benchmark")
    mixture = world.mixture()

    def ours() -> None:
        for critic in projected_critics(world, "name", n, replicates, 0):
            group_accuracy(critic, mixture, world.nu_image)

    def drawn() -> None:
        for critic in fitted_critics(world, LinearCLIP("name"), n, 1, 0, "benchmark"):
            group_accuracy(critic, mixture, world.nu_image)

    def numbers() -> None:
        """4 means in 4 dimensions, a Wishart matrix of 4, counts."""
        rng.standard_normal((replicates, 32))
        rng.standard_gamma(100.0, (replicates, 5))
        rng.multinomial(n, [0.45, 0.05, 0.05, 0.45], replicates)

    name = f"projected exact law, n = {n:.0e}, d = {DIM}"
    note = "n pairs drawn and fitted; its random numbers"
    return Timing(
        name,
        "replicate",
        seconds(ours) / replicates,
        once(drawn),
        seconds(numbers) / replicates,
        note,
    )


def whole(name: str, grid: Study, limit: float | None = None, note: str = "") -> Timing:
    """A whole study, whose time includes writing the store."""
    with TemporaryDirectory() as folder:
        ours = once(lambda: grid.run(Path(folder) / "study.zarr"))
    few = np.transpose(
        np.unravel_index(np.linspace(0, prod(grid.shape) - 1, PLACES, dtype=int), grid.shape)
    ).tolist()
    slots = [(k, prompt) for k in range(len(grid.learners)) for _, prompt in grid.slots(k)]
    cells = [(tuple(index), *slot) for index in few for slot in slots]
    accuracy(grid, *cells[0])  # imports
    loop = once(lambda: [accuracy(grid, *cell) for cell in cells]) / len(cells) * grid.cells
    return Timing(name, "study", ours, loop, limit, f"a loop over functions{note}")


def accuracy(grid: Study, index: tuple[int, ...], k: int, prompt: str | None) -> Accuracy:
    one = grid.cell(index, k, prompt)
    return one.learner.accuracy(one.worlds)

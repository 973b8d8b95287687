"""How fast studies are: ours beside the loops that one would write without them, all from one run.

Functions   a Python loop over the library's own functions (`accuracy` of a learner, `simulate`), a world at a time.
Commands    a loop over `soberclip predict` or `simulate`, a process a cell.
Limit       what cannot be avoided: two evaluations of Phi a cell, or the random numbers of every replicate.

Loops are timed at a few cells of the same grid. A run includes its plan and its store. Goals are those that the
laboratory was built for.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from os import link
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from experiments.benchmarks.exact import random_numbers_of_a_replicate
from experiments.lab import store
from experiments.lab.answers import simulate
from experiments.lab.blocks import Layout, spread
from experiments.lab.compute import compute
from experiments.lab.planning import plan
from experiments.lab.studies import Study, study

PLACES = 8  # of a grid, at which a loop is timed
PROCESSES = 2  # likewise, where every cell is a process

CLOSED = study(
    axes={"p_spu": "0.5:1:1000", "mu_spu": "0.5:4:1000"},
    learners=["linear", "least-squares"],
    prompts=["name", "mean"],
)
ESTIMATED = study(axes={"p_spu": "0.5:1:100", "mu_spu": "0.5:4:100"}, learners=["infonce", "bayes"])
EXACT = study(
    axes={"p_spu": "0.5:1:10", "mu_spu": "0.5:4:20"}, routes="exact", n=10**9, replicates=10_000
)  # a fiftieth of 10,000 cells, which take 5 minutes at most
STORED = study(axes={"p_spu": "0.5:1:48", "mu_spu": "0.5:4:20"}, routes="exact", n=10**9, replicates=10_000)
RESUMED = study(axes={"p_spu": "0.5:1:200", "mu_spu": "0.5:4:100"})


class Row(NamedTuple):
    """What one study took."""

    name: str
    unit: str
    ours: float
    goal: float  # at most
    limit: float | None = None  # ours / limit
    functions: float | None = None  # a loop over functions / ours
    commands: float | None = None


def rows() -> Iterator[Row]:
    """One row a benchmark."""
    replicate = random_numbers_of_a_replicate()
    yield whole("linear and least squares, 1000 x 1000, both prompts", CLOSED, 10.0, CLOSED.cells * two_phi())
    yield whole("InfoNCE and Bayes, 100 x 100", ESTIMATED, 5.0)
    numbers = replicate * EXACT.cells * EXACT.replicates
    yield whole("exact law, n = 1e9, 200 cells of 10,000 replicates", EXACT, 300 * EXACT.cells / 10_000, numbers)
    yield store_share(STORED)
    yield resume(RESUMED)


def two_phi(cells: int = 1_000_000, together: int = 8192) -> float:
    """Seconds a cell."""
    z = np.linspace(-3, 3, together)
    return _seconds(lambda: [ndtr(z) for _ in range(2 * cells // together)]) / cells


def whole(name: str, asked: Study, goal: float, limit: float | None = None) -> Row:
    """A study run into a store, beside loops over its cells."""
    with TemporaryDirectory() as folder:
        ours = _seconds(lambda: asked.run(Path(folder) / "study.zarr"))
    functions = _loop(asked, PLACES, function)
    commands = _loop(asked, PROCESSES, command)
    return Row(name, "s", ours, goal, limit and ours / limit, functions / ours, commands / ours)


def _loop(asked: Study, places: int, work: Callable) -> float:
    """Seconds of a loop over all cells, from a few of them."""
    some = [
        (i, k, prompt)
        for i in spread(asked, places)
        for k in range(len(asked.learners))
        for _, prompt in asked.slots(k)
    ]
    work(asked, *some[0])  # what is imported on first use
    return _seconds(lambda: [work(asked, *cell) for cell in some]) / len(some) * asked.cells


def function(asked: Study, index: tuple[int, ...], k: int, prompt: str | None) -> object:
    """The library's answer for one cell."""
    world, learner = asked.world_at(index), asked.learner(k, prompt)
    if asked.measured:
        return simulate(world, learner, asked.n, asked.replicates, "exact", asked.seed)
    return learner.accuracy(world)


def command(asked: Study, index: tuple[int, ...], k: int, prompt: str | None) -> object:
    """The command line's answer for one cell."""
    words = ["predict"] if not asked.measured else ["simulate", f"--n={asked.n}", f"--replicates={asked.replicates}"]
    words += [f"--{name.replace('_', '-')}={value}" for name, value in asked.values_at(index).items()]
    words += [f"--learner={asked.labels[k]}", *([f"--prompt={prompt}"] if prompt else []), "--json"]
    return subprocess.run([sys.executable, "-m", "experiments", *words], capture_output=True, check=True)


def store_share(asked: Study) -> Row:
    """Share of the time of blocks that goes into the store, where a cell takes 10 ms or more.

    What happens once a study, imports of zarr and making the store, is timed apart.
    """
    planned = plan(asked)
    with TemporaryDirectory() as folder:
        where, computing, writing = Path(folder) / "study.zarr", 0.0, 0.0
        once = _seconds(lambda: store.begin(where, asked, planned.estimated))
        for block in range(planned.layout.count):
            began = perf_counter()
            numbers = compute(asked, planned.layout.region(block), planned.estimated)
            computing += perf_counter() - began
            writing += _seconds(lambda b=block, n=numbers: store.write(where, planned.layout, b, n))
    cells = f"{planned.layout.count} blocks, cells of {1000 * computing / asked.cells:.0f} ms"
    return Row(f"store, {cells}, after {once:.1f} s once", "of the time", writing / (computing + writing), 0.05)


def resume(asked: Study) -> Row:
    """Seconds to find what is finished and what is damaged where every cell is a block of its own."""
    cut = Layout(asked.shape, (1,) * len(asked.shape))
    with TemporaryDirectory() as folder:
        where = Path(folder) / "study.zarr"
        store.begin(where, asked, False)
        store.write(where, cut, 0, compute(asked, cut.region(0), False))
        names = [path.parent.name for path in where.glob("*/0.0.0.0")]
        for name in names:
            first = where / name / "0.0.0.0"
            for block in range(1, cut.count):
                link(first, where / name / f"{'.'.join(map(str, cut.place(block)))}.0.0")
        seconds = _seconds(lambda: list(store.damaged(where, cut, store.finished(where, cut))))
    return Row(f"what is done among {cut.count * len(names):,} chunks", "s", seconds, 5.0)


def _seconds(work: Callable[[], object]) -> float:
    began = perf_counter()
    work()
    return perf_counter() - began

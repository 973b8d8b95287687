"""Studies beside two peers and a limit.

Functions: a Python loop over the library's own functions, one world at a time. Commands: a loop over `soberclip
predict` or `simulate`, one process per cell. Both loops are timed at a few cells of the same grid. Our time includes
the store.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from os import link
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scipy.special import ndtr

from experiments.benchmarks.exact import random_numbers
from experiments.benchmarks.timing import Row, once, seconds
from experiments.lab import store
from experiments.lab.answers import simulate
from experiments.lab.compute import compute
from experiments.lab.planning import Plan, spread
from experiments.lab.studies import Study, study

CLOSED = study(
    axes={"p_spu": "0.5:1:1000", "mu_spu": "0.5:4:1000"},
    learners=["linear", "least-squares"],
    prompts=["name", "mean"],
)
ESTIMATED = study(axes={"p_spu": "0.5:1:100", "mu_spu": "0.5:4:100"}, learners=["infonce", "bayes"])
EXACT = study(axes={"p_spu": "0.5:1:10", "mu_spu": "0.5:4:20"}, routes="exact", n=10**9, replicates=10_000)
RESUMED = study(axes={"p_spu": "0.5:1:200", "mu_spu": "0.5:4:100"})


def rows() -> Iterator[Row]:
    """One row per study and peer, and one for the check of a finished store."""
    z = np.linspace(-3, 3, 8192)
    yield from whole(
        "linear and least squares, 1000 x 1000", CLOSED, 2 * CLOSED.cells * seconds(lambda: ndtr(z)) / 8192
    )
    yield from whole("InfoNCE and Bayes, 100 x 100", ESTIMATED, None)
    yield from whole("exact law, 200 cells of 10,000", EXACT, random_numbers() * EXACT.cells * EXACT.replicates)
    yield finished(RESUMED)


def whole(name: str, asked: Study, limit: float | None) -> Iterator[Row]:
    """A study beside a loop over functions (8 places) and a loop over commands (2 places)."""
    with TemporaryDirectory() as folder:
        ours = once(lambda: asked.run(Path(folder) / "study.zarr"))
    least = "random numbers" if asked.measured else "two evaluations of Phi per cell"
    for peer, places in ((function, 8), (command, 2)):
        note = f"peer: a loop over {peer.__name__}s" + (f"; limit: {least}" if limit else "")
        yield Row(name, "study", ours, loop(asked, places, peer), limit, note)


def loop(asked: Study, places: int, work: Callable) -> float:
    """Seconds of a loop over all cells, extrapolated from a few places."""
    cells = [
        (index, k, prompt)
        for index in spread(asked, places)
        for k in range(len(asked.learners))
        for _, prompt in asked.slots(k)
    ]
    work(asked, *cells[0])  # imports
    return once(lambda: [work(asked, *cell) for cell in cells]) / len(cells) * asked.cells


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


def finished(asked: Study) -> Row:
    """Time to find finished and damaged chunks in a store with one block per cell; limit: reading every chunk."""
    plan = Plan(asked, False, (1,) * len(asked.shape))
    with TemporaryDirectory() as folder:
        where = Path(folder) / "study.zarr"
        store.begin(where, plan)
        store.write(where, plan, 0, compute(plan, 0))
        names = [path.parent.name for path in where.glob("*/0.0.0.0")]
        for name in names:
            first = where / name / "0.0.0.0"
            for block in range(1, plan.blocks):
                link(first, where / name / f"{'.'.join(map(str, plan.place(block)))}.0.0")
        ours = once(lambda: list(store.damaged(where, plan, store.finished(where, plan))))
        limit = once(lambda: [path.read_bytes() for path in where.glob("*/*.0.0")])
    return Row(f"the check of {plan.blocks * len(names):,} chunks", "store", ours, None, limit, "limit: reading them")

"""`python -m experiments.benchmarks`: ours, the peer and the limit from one run, as ratios.

Each row times the same answer three ways where there are three: our route, what one would do without it (the
peer), and the work that cannot be avoided (the limit: the random numbers alone, or two evaluations of Phi a world).
Times are medians of a few runs. Machines are noisy: read the ratios.
"""

import subprocess
import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import NamedTuple

from experiments.trainings import learned_critics
from simulator.gaussian.critic import group_accuracy
from simulator.gaussian.statistics import cross_covariance, projected_critics
from simulator.streams import numpy_stream
from simulator.world import World, Worlds
from theory.learners import InfoNCE, LinearCLIP
from theory.learners.line import searched_accuracy


class Row(NamedTuple):
    """Seconds for one unit of work; peer and limit are None where there is none."""

    name: str
    unit: str
    ours: float
    peer: float | None
    limit: float | None
    peer_is: str = ""
    limit_is: str = ""


def seconds(work: Callable[[], object], runs: int = 5) -> float:
    """Median wall time of `work` after one warm-up."""
    work()
    times = []
    for _ in range(runs):
        began = perf_counter()
        work()
        times.append(perf_counter() - began)
    return median(times)


def projected_law(n: int, dim: int = 512, replicates: int = 50_000) -> float:
    """Seconds a replicate of the projected exact law, accuracies included."""
    world = World(dim_image=dim, dim_text=dim)
    mixture = world.mixture()

    def work():
        for critic in projected_critics(world, "name", n, replicates, 0):
            group_accuracy(critic, mixture, world.nu_image)

    return seconds(work, 3) / replicates


def random_numbers_of_a_replicate(replicates: int = 50_000) -> float:
    """Seconds for the numbers that one replicate needs: 4 means in 4 dimensions, a Wishart in 4, counts."""
    rng = numpy_stream(0, "benchmark")

    def work():
        rng.standard_normal((replicates, 32))
        rng.standard_gamma(100.0, (replicates, 5))
        rng.multinomial(10**6, [0.45, 0.05, 0.05, 0.45], replicates)

    return seconds(work, 3) / replicates


def drawn_fit(n: int = 100_000, dim: int = 512) -> float:
    """Seconds to draw n pairs, form S and read off the accuracies."""
    world = World(dim_image=dim, dim_text=dim)
    mixture = world.mixture()

    def work():
        for critic in learned_critics(world, LinearCLIP("name"), n, 1, 0, "benchmark", "drawn pairs"):
            group_accuracy(critic, mixture, world.nu_image)

    return seconds(work, 1)


def masked_optimum(nu: float, number: int = 500) -> Row:
    """Seconds a world of the InfoNCE optimum under the mean prompt with masked captions, to 1e-6, on one core."""
    rng, d = numpy_stream(0, "benchmark/masks"), 64
    ranges = {"p_spu": (0.5, 1), "mu_spu": (0.2, 4), "sigma_inv": (0.1, 3), "sigma_spu": (0.1, 3)}
    ranges |= {"mention_inv": (0.02, 1), "mention_spu": (0.02, 1)}
    fields = {name: rng.uniform(*ends, number) for name, ends in ranges.items()}
    grid = Worlds(**fields, sigma_xi=(nu * d) ** 0.5, dim_image=d, dim_text=d)
    return Row(
        f"InfoNCE optimum, masked captions, nu = {nu:g}",
        "world",
        seconds(lambda: InfoNCE("mean").accuracy(grid), 3) / number,
        seconds(lambda: searched_accuracy(grid[:20], "mean", 1e-6), 1) / 20,
        None,
        "roots along lines",
    )


def rows() -> list[Row]:
    """All rows of the exact parts."""
    limit = random_numbers_of_a_replicate()
    drawn = drawn_fit()
    table = [
        Row(
            f"projected exact law, n = {n:.0e}, d = 512",
            "replicate",
            projected_law(n),
            drawn if n == 100_000 else None,
            limit,
            "drawing and fitting 1e5 pairs",
            "its random numbers",
        )
        for n in (100, 100_000, 10**12)
    ]
    world, rng = World(dim_image=512, dim_text=512), numpy_stream(0, "benchmark/S")
    product = rng.standard_normal((512, 512))
    table.append(
        Row(
            "all of S, n = 5.85e9, d = 512",
            "matrix",
            seconds(lambda: cross_covariance(world, 5_850_000_000, rng)),
            None,
            seconds(lambda: (rng.standard_normal((2, 512, 512)), product @ product)),
            "",
            "its random numbers and one product",
        )
    )
    N = 2_000_000
    ranges = {"p_spu": (0.5, 1), "mu_spu": (0.5, 4), "sigma_inv": (0.5, 3), "sigma_spu": (0.1, 2)}
    grid = {name: rng.uniform(*ends, N) for name, ends in ranges.items()}
    from scipy.special import ndtr

    worlds = Worlds(**grid, sigma_xi=0.0)
    table.append(
        Row(
            "closed-form group accuracies",
            "world",
            seconds(lambda: LinearCLIP().accuracy(worlds)) / N,
            None,
            seconds(lambda: [ndtr(grid["p_spu"][i : i + 8192]) for _ in range(2) for i in range(0, N, 8192)]) / N,
            "",
            "two evaluations of Phi",
        )
    )
    table.append(
        Row(
            "a grid of worlds, made and checked",
            "world",
            seconds(lambda: Worlds(**grid, sigma_xi=0.0)) / N,
            None,
            seconds(lambda: [field.copy() for field in grid.values()]) / N,
            "",
            "a copy of its four varied fields",
        )
    )
    table += [masked_optimum(nu) for nu in (0.1, 1e-6)]
    for name, arguments in (("soberclip --help", ["--help"]), ("soberclip predict", ["predict"])):
        command = [sys.executable, "-m", "experiments", *arguments]
        table.append(
            Row(
                name,
                "process",
                seconds(lambda command=command: subprocess.run(command, capture_output=True, check=True)),
                None,
                seconds(lambda: subprocess.run([sys.executable, "-c", "import numpy"], check=True)),
                "",
                "python importing numpy",
            )
        )
    return table

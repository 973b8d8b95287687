"""p' of InfoNCE's optimum for unit embeddings in the world of the first page, by scale, prompt and detail of captions.

`python -m tests.theory.unit_table` writes unit_table.csv beside this file, in about six CPU minutes on one thread. A
row's mark says how far it can be trusted:
    certified     no wider tower has a loss lower by more than 1e-6 nats, and all grids and starts agree to .003
    two grids     all grids and starts agree to .003
    apart         they do not; `error` is the most by which another one differs
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from simulator.accuracy import Accuracy
from simulator.gaussian.critic import standardise
from simulator.world import World
from theory import equivalent
from theory import unit_embeddings as E
from theory.integrator import gap_accuracy

FILE = Path(__file__).with_suffix(".csv")
COLUMNS = ("scale", "embed_dim", "detail", "bare", "prompt", "p", "error", "shortfall", "mark")
WIDE = [(scale, None) for scale in (0.1, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 14.3, 30.0, 100.0)]
NARROW = [(scale, width) for scale in (2.0, 14.3) for width in (2, 4, 8)]
TABLE = (
    *((WIDE, 1.0, bare) for bare in (0.0, 0.5)),
    (WIDE[:10], 0.0, 0.0),
    (WIDE[:7], 0.0, 0.5),
    *((NARROW, 1.0, bare) for bare in (0.0, 0.5)),
)  # sizes, detail, share of bare captions
AGREE, CERTAIN = 0.003, 1e-6


def rows(scale: float, width: int | None, detail: float, bare: float) -> Iterator[tuple]:
    """The rows of one world and scale, one per prompt."""
    world = World(mu_spu=1.5, sigma_xi=6.0, detail_inv=detail, detail_spu=detail, bare=bare)
    place, towers = E.nodes(world, E.FINE), E._solved(world, scale, width, *E.RUNS[-1])
    certain = width is None and E.excess(towers, place.law, scale) < CERTAIN
    mean = standardise(world.mean, world.image_variance**0.5)
    for prompt in ("bare",) if bare else ("name", "mean", "scores"):
        runs = [Accuracy(*gap_accuracy(E.gap_function(world, prompt, scale, width, run), mean)) for run in E.RUNS]
        *others, last = (equivalent(world, accuracy) for accuracy in runs)
        error = max(abs(each.correlation - last.correlation) for each in others)
        mark = ("certified" if certain else "two grids") if error <= AGREE else "apart"
        numbers = (f"{float(x):.4f}" for x in (last.correlation, error, last.shortfall))
        yield (scale, width or "", detail, bare, prompt, *numbers, mark)


def main() -> None:
    with FILE.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for sizes, detail, bare in TABLE:
            for scale, width in sizes:
                writer.writerows(rows(scale, width, detail, bare))


if __name__ == "__main__":
    main()

"""p' of InfoNCE's optimum for unit embeddings in the world of the first page, by scale, prompt and
detail of captions.

`python -m experiments.benchmarks.unit_embeddings` writes unit_embeddings.csv in nine CPU minutes on
one thread. `error` is half of the interval of p', and `off` how far the accuracies without limits
lie outside the intervals of these. A row's mark says how far it can be trusted:
    certified     no tower of any width has a loss lower by more than 1e-6 nats, and the error is at
                  most .003
    two grids     all grids and starts agree: the error is at most .003
    starts apart  they do not
"""

from collections.abc import Iterator
from pathlib import Path

from experiments.files import write_table
from simulator.world import World
from theory import equivalent
from theory.learners import InfoNCE
from theory.unit_embeddings import INFONCE, excess
from theory.unit_prompts import ends, reaches

FILE = Path(__file__).with_suffix(".csv")
COLUMNS = (
    "scale",
    "embed_dim",
    "detail",
    "bare",
    "prompt",
    "p",
    "error",
    "shortfall",
    "off",
    "mark",
)
WIDE = [
    (scale, None) for scale in (0.1, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 14.3, 30.0, 100.0)
]
NARROW = [(scale, width) for scale in (2.0, 14.3) for width in (2, 4, 8)]
TABLE = (
    *((WIDE, 1.0, bare) for bare in (0.0, 0.5)),
    (WIDE, 0.0, 0.0),
    (WIDE[:7], 0.0, 0.5),
    *((NARROW, 1.0, bare) for bare in (0.0, 0.5)),
)  # sizes, detail, share of bare captions
AGREE, CERTAIN = 0.003, 1e-6


def rows(scale: float, width: int | None, detail: float, bare: float) -> Iterator[tuple]:
    """The rows of one world and scale, one per prompt."""
    world = World(mu_spu=1.5, sigma_xi=6.0, detail_inv=detail, detail_spu=detail, bare=bare)
    for prompt in ("bare",) if bare else ("name", "mean", "scores"):
        accuracy = InfoNCE(prompt, scale, width).accuracy(world)
        law = InfoNCE(prompt).accuracy(world)
        off = max(
            max(low - x, x - high, 0.0)
            for x, (low, high) in zip(law, accuracy.interval, strict=True)
        )
        place = equivalent(world, accuracy)
        low, high = place.interval.ends["correlation"]
        error = float(high - low) / 2
        certain = False
        if error <= AGREE and width is None:
            certain = reaches(world, prompt, scale, None)
            if not certain:
                *_, (nodes, towers) = ends(world, scale, None, INFONCE)
                certain = excess(towers, nodes.law, scale) < CERTAIN
        mark = "starts apart" if error > AGREE else "certified" if certain else "two grids"
        numbers = (f"{float(x):.4f}" for x in (place.correlation, error, place.shortfall, off))
        yield (scale, width or "", detail, bare, prompt, *numbers, mark)


if __name__ == "__main__":
    each = ((scale, width, detail, bare) for sizes, detail, bare in TABLE for scale, width in sizes)
    write_table(FILE, COLUMNS, (row for one in each for row in rows(*one)))

"""How often intervals of `place` and `evaluate` hold the truth at few photos; this script writes
the CSV file.
"""

from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from planted_embeddings import WORLD, balanced, zero_shot_accuracy

from experiments import embeddings, place
from experiments.files import write_table
from simulator import World
from simulator.accuracy import LEVEL, PLACE, Accuracy
from simulator.streams import numpy_stream
from theory import equivalent, learners

FILE = Path(__file__).with_suffix(".csv")
COLUMNS = ("verb", "number", "photos", "level", "seed", "data_sets", "covered", "share")
PHOTOS = (20, 40, 100)  # per group
# seeds count up from the first
DATA_SETS = {"place": 1000, "evaluate": 200}
SEED = 0
RELIANCE = 0.5  # of zero-shot, as in example.npz
PLACED = World(mu_spu=1.5, sigma_xi=6.0)  # the world of the first page, and its InfoNCE


@cache
def interval_of_place(common: int, counter: int, photos: int) -> tuple[float, float]:
    return place({"common": (common, photos), "counter": (counter, photos)}, world=PLACED).interval


@cache
def truth(verb: str) -> tuple[Accuracy, float]:
    """The accuracies of the classifier that a verb measures, and its p'."""
    world = PLACED if verb == "place" else WORLD
    exact = (
        learners.named("infonce").accuracy(world)
        if verb == "place"
        else zero_shot_accuracy(RELIANCE)
    )
    return exact, float(equivalent(world, exact).correlation)


def placed(photos: int, seed: int) -> dict[str, bool]:
    """Whether the interval of `place` holds p'."""
    exact, p = truth("place")
    right = numpy_stream(seed, "placed photos").binomial(photos, [*exact])
    low, high = interval_of_place(*right.tolist(), photos)
    return {"p": low <= p <= high}


def evaluated(photos: int, seed: int) -> dict[str, bool]:
    """Whether the intervals of `evaluate` hold p' and the drop of zero-shot."""
    exact, p = truth("evaluate")
    document = embeddings(
        **balanced(numpy_stream(seed, "evaluated photos"), photos, reliance=RELIANCE), seed=seed
    )
    low, high = document["heads"][0]["interval"][PLACE[0]]
    drop = document["heads"][0]["interval"]["drop"]
    return {"p": low <= p <= high, "drop": drop[0] <= float(exact.drop) <= drop[1]}


def rows() -> Iterator[tuple]:
    for verb, measure in (("place", placed), ("evaluate", evaluated)):
        for photos in PHOTOS:
            covered = Counter[str]()
            for seed in range(SEED, SEED + DATA_SETS[verb]):
                covered.update(name for name, held in measure(photos, seed).items() if held)
            for name, times in covered.items():
                yield (
                    verb,
                    name,
                    photos,
                    LEVEL,
                    SEED,
                    DATA_SETS[verb],
                    times,
                    times / DATA_SETS[verb],
                )


if __name__ == "__main__":
    write_table(FILE, COLUMNS, rows())

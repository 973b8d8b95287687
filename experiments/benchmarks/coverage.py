"""How often the intervals of `embeddings` hold the truth: planted embeddings of K classes on K
backgrounds.

`python -m experiments.benchmarks.coverage` writes coverage.csv in about ten minutes of one core, so
it is no test; a test reads the file. The truth of a data set is that of the heads that it fitted:
their accuracies on many even rows, and p' and r against the best of them there. A row counts the
data sets whose interval holds the truth.
"""

from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtri
from scipy.stats.qmc import Sobol

from experiments.files import write_table
from experiments.heads.bundle import Bundle, checked
from experiments.heads.fitting import answers, fit_folds
from experiments.heads.intervals import by_class
from experiments.heads.least_regret import WEIGHTS, smooth, width_within
from experiments.heads.reliance import answer
from experiments.results import GROUPS
from simulator.accuracy import LEVEL, PLACE
from simulator.streams import numpy_stream

HEADER = ("world", "classes", "head", "number", "level", "seed", "data_sets", "covered", "share")
FILE = Path(__file__).with_suffix(".csv")
# seeds count up from the first
SEED = 0
SETS = 60
CLASSES = (2, 5)
# photos of a data set; even rows of each class and background, whose means err by .002
PER_CLASS = 500
EVEN = 2**11
# means along a coordinate of their own, in deviations; coordinates of noise
OBJECT, BACKGROUND, NOISE = 1.4, 2.1, 4
# a common mean, as models have: unit vectors are then nearly linear in the other coordinates
OFFSET = 30.0
MEASURED = ("zero-shot", "logistic regression", "LEACE")


class Planted(NamedTuple):
    """A law of embeddings; class k is usually on background k."""

    reliance: float  # of zero-shot on the background, beside 1 on the object
    common: float  # share of photos
    # of coordinates that are a product and a square, so that nonlinear rules beat all linear ones
    bend: float = 0.0


WORLDS = {
    "Gaussian": Planted(0.6, 0.5),
    "nonlinear": Planted(1.0, 0.5, 1.0),
    "few counter photos": Planted(0.6, 0.9),
}


def arrays(
    world: Planted,
    K: int,
    label: Int[np.ndarray, " n"],
    background: Int[np.ndarray, " n"],
    z: Float[np.ndarray, "n D"],
) -> dict[str, Any]:
    """Arrays of `embeddings` from standard normal z."""
    alike = np.where(label == background, 1, -1)
    bent = world.bend * np.column_stack([alike, z[:, 0] ** 2 - 1])
    z = z + np.hstack(
        [OBJECT * np.eye(K)[label], BACKGROUND * np.eye(K)[background], np.zeros((len(z), NOISE))]
    )
    z[:, -2:] += bent
    text = np.hstack([np.eye(K), world.reliance * np.eye(K), np.zeros((K, NOISE + 1))])
    return {
        "image": np.column_stack([z, np.full(len(z), OFFSET)]),
        "label": label,
        "background": background,
        "group": np.where(label == background, *GROUPS),
        "text": text - text.mean(axis=0),
    }


def drawn(world: Planted, K: int, seed: int) -> Bundle:
    rng = numpy_stream(seed, f"coverage {world} {K}")
    n = PER_CLASS * K
    label = np.arange(n) % K
    other = (label + rng.integers(1, K, size=n)) % K
    background = np.where(rng.random(n) < world.common, label, other)
    return checked(arrays(world, K, label, background, rng.normal(size=(n, 2 * K + NOISE))))


@cache
def even(world: Planted, K: int) -> Bundle:
    """The same law on EVEN Sobol points for each class and background: their means are nearly
    exact.
    """
    z = ndtri(Sobol(2 * K + NOISE, rng=np.random.default_rng(0)).random(EVEN))
    label, background = np.repeat(np.indices((K, K)).reshape(2, -1), EVEN, axis=1)
    return checked(arrays(world, K, label, background, np.tile(z, (K * K, 1))))


def truth(world: Planted, K: int, bundle: Bundle, seed: int) -> dict[str, dict[str, float]]:
    """Accuracies, drop, p' and r of the heads that a data set fits."""
    rows = even(world, K)
    folds = fit_folds(bundle, seed)
    every = np.arange(len(rows.label))
    right = sum(answers(rows, [fold._replace(answered=every)]) for fold in folds) / len(folds)
    photos, correct = by_class(right.to_numpy(), 2 * rows.label + ~rows.common)
    common, counter = (correct / photos[..., None]).mean(axis=0)
    best = (np.outer(WEIGHTS, common) + np.outer(1 - WEIGHTS, counter)).max(axis=1)
    curve, _ = smooth(best, width_within(best, np.zeros((len(best), len(best)))))
    drop = common - counter
    p = curve.weight(drop)
    r = np.maximum(curve.balanced(drop) - (common + counter) / 2, 0)
    numbers = dict(zip((*GROUPS, "drop", *PLACE), (common, counter, drop, p, r), strict=True))
    return {
        name: {key: values[i] for key, values in numbers.items()}
        for i, name in enumerate(right.columns)
    }


def held(world: Planted, K: int, seed: int) -> dict[tuple[str, str], bool]:
    """(head, number) -> whether the interval holds the truth."""
    bundle = drawn(world, K, seed)
    exact = truth(world, K, bundle, seed)
    document = answer(bundle, seed)
    rows = {
        entry.get("head") or entry["fix"]: entry
        for entry in [*document["heads"], *document["fixes"]]
    }
    result = {}
    for name in MEASURED:
        ends = {
            (name, number): (value, rows[name]["interval"][number])
            for number, value in exact[name].items()
        }
        for group, interval in rows[name].get("gain_interval", {}).items():
            ends[name, f"gain {group}"] = exact[name][group] - exact["zero-shot"][group], interval
        result |= {
            key: bool(low - 1e-9 <= value <= high + 1e-9)
            for key, (value, (low, high)) in ends.items()
        }
    return result


def rows() -> Iterator[tuple]:
    for name, world in WORLDS.items():
        for K in CLASSES:
            covered = Counter[tuple[str, str]]()
            for seed in range(SEED, SEED + SETS):
                covered.update({key: int(value) for key, value in held(world, K, seed).items()})
            for (head, number), times in covered.items():
                yield name, K, head, number, LEVEL, SEED, SETS, times, round(times / SETS, 4)


if __name__ == "__main__":
    write_table(FILE, HEADER, rows())

"""The curation rule of [W] on any tree class/background/photos, with and without its winner's curse.

The rule: per class, the background on which one model is most accurate becomes common, the one on which it is
least accurate becomes counter. Measured on the same photos, the drop is then positive even where backgrounds do
not matter at all, because the extremes of noisy accuracies were picked. The honest drop picks on one half of the
photos and measures on the other; with the photos of a background exchangeable it is unbiased for the drop of the
backgrounds that a half would pick.

Letters: B backgrounds of one class, n photos and k correct answers on each, S splits, R permutations.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from experiments.counteranimal.dataset import GROUPS, Photo, Tree
from experiments.counteranimal.metrics import LEVEL, expanded_tail
from experiments.errors import RequestError, RunError
from simulator.streams import numpy_stream

SPLITS = 200
PERMUTATIONS = 9999
SMALLEST_CELL = 20  # photos of a background; half of them must still give an accuracy


@dataclass(frozen=True)
class Cells:
    """One class: photos and correct answers on each of its backgrounds that has enough photos."""

    class_index: int
    backgrounds: tuple[str, ...]
    photos: Int[np.ndarray, " B"]
    correct: Int[np.ndarray, " B"]

    @property
    def accuracy(self) -> Float[np.ndarray, " B"]:
        return self.correct / self.photos


def cells_of(photos: list[Photo], correct: np.ndarray, smallest: int = SMALLEST_CELL) -> list[Cells]:
    """Cells of every class, in order of its index; backgrounds below `smallest` photos are left out.

    Raises RequestError for a minimum that cannot be halved.
    """
    if smallest < 2:
        raise RequestError(f"--min-photos {smallest} is below 2, which cannot be halved; the nearest valid value is 2")
    table: dict[int, dict[str, list[int]]] = {}
    for photo, right in zip(photos, correct, strict=True):
        cell = table.setdefault(photo.class_index, {}).setdefault(photo.background, [0, 0])
        cell[0] += 1
        cell[1] += int(right)
    found = []
    for index in sorted(table):
        kept = {b: cell for b, cell in sorted(table[index].items()) if cell[0] >= smallest}
        n, k = (np.array([cell[i] for cell in kept.values()], dtype=np.int64) for i in range(2))
        found.append(Cells(index, tuple(kept), n, k))
    return found


def naive_drop(cells: Cells) -> tuple[int, int, float]:
    """(common, counter, drop): positions of the most accurate background (the first) and the least (the last)."""
    accuracy = cells.accuracy
    best = int(accuracy.argmax())
    worst = int(len(accuracy) - 1 - accuracy[::-1].argmin())  # with all equal the two must differ
    return best, worst, float(accuracy[best] - accuracy[worst])


def honest_drop(cells: Cells, rng: np.random.Generator, splits: int = SPLITS) -> float:
    """Mean over random halvings of the drop on one half of the backgrounds picked on the other, both ways round.

    Splitting a background's n photos at random sends Hypergeometric(k, n - k, n//2) correct answers to one half,
    so no photo needs to be moved. Ties are broken at random.
    """
    n, k = cells.photos, cells.correct
    half = n // 2
    first = rng.hypergeometric(k, n - k, half, size=(splits, len(n)))  # (S, B)
    accuracy = np.stack([first / half, (k - first) / (n - half)])  # (2, S, B)
    jitter = 1e-9 * rng.random(accuracy.shape)  # accuracies with different counts differ by far more
    best = (accuracy + jitter).argmax(axis=2)[..., None]
    worst = (accuracy - jitter[..., ::-1]).argmin(axis=2)[..., None]
    other = accuracy[::-1]
    return float((np.take_along_axis(other, best, 2) - np.take_along_axis(other, worst, 2)).mean())


def permutation_p(cells: Cells, rng: np.random.Generator, permutations: int = PERMUTATIONS) -> float:
    """P-value of "the background has no effect" in one class: Pearson's chi-squared under permuted backgrounds.

    The number of correct answers on each background is then multivariate hypergeometric, which is drawn directly.
    """
    n, total = cells.photos, int(cells.correct.sum())
    if total in (0, int(n.sum())):
        return 1.0
    rate = total / n.sum()

    def statistic(k):
        return ((k - n * rate) ** 2 / (n * rate * (1 - rate))).sum(axis=-1)

    drawn = rng.multivariate_hypergeometric(n, total, size=permutations, method="marginals")
    # Tables with the same statistic must tie: they differ by rounding of order 1e-13 at most.
    extreme = (statistic(drawn) >= statistic(cells.correct) - 1e-9).sum()
    return float((1 + extreme) / (1 + permutations))


def holm(p: Float[np.ndarray, " C"]) -> Float[np.ndarray, " C"]:
    """Holm's adjusted p-values: error in no class with probability 1 - alpha, whatever the dependence."""
    order = np.argsort(p)
    steps = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(steps, 1)
    return adjusted


def benjamini_hochberg(p: Float[np.ndarray, " C"]) -> Float[np.ndarray, " C"]:
    """Benjamini and Hochberg's adjusted p-values: bounds the expected share of false discoveries."""
    order = np.argsort(p)[::-1]
    steps = np.minimum.accumulate(len(p) / np.arange(len(p), 0, -1) * p[order])
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(steps, 1)
    return adjusted


def discover(
    tree: Tree, photos: list[Photo], correct: np.ndarray, smallest: int = SMALLEST_CELL, seed: int = 0
) -> dict[str, Any]:
    """Choose backgrounds for every class with two that are large enough; plain JSON.

    Overall drops are means over the chosen classes; intervals resample classes (expanded percentiles).
    """
    every = cells_of(photos, correct, smallest)
    usable = [cells for cells in every if len(cells.backgrounds) >= 2]
    if not usable:
        raise RequestError(
            f"no class has two backgrounds of {smallest} photos or more; lower --min-photos (2 is the least)"
        )
    p = np.array([permutation_p(c, numpy_stream(seed, "permutations", c.class_index)) for c in usable])
    adjusted = {"p_holm": holm(p), "p_bh": benjamini_hochberg(p)}
    classes = []
    for i, cells in enumerate(usable):
        best, worst, naive = naive_drop(cells)
        classes.append(
            {
                "class_index": cells.class_index,
                "folder": tree.classes[cells.class_index],
                "common_background": cells.backgrounds[best],
                "counter_background": cells.backgrounds[worst],
                "n_common": int(cells.photos[best]),
                "n_counter": int(cells.photos[worst]),
                "common": float(cells.accuracy[best]),
                "counter": float(cells.accuracy[worst]),
                "naive_drop": naive,
                "honest_drop": honest_drop(cells, numpy_stream(seed, "splits", cells.class_index)),
                "backgrounds": len(cells.backgrounds),
                "p_value": float(p[i]),
                **{name: float(values[i]) for name, values in adjusted.items()},
            }
        )
    return {
        "classes": classes,
        "naive": _overall([c["naive_drop"] for c in classes], seed),
        "honest": _overall([c["honest_drop"] for c in classes], seed),
        "left_out": [c.class_index for c in every if len(c.backgrounds) < 2],
        "min_photos": smallest,
        "splits": SPLITS,
        "permutations": PERMUTATIONS,
        "background_effects": int((adjusted["p_holm"] < 0.05).sum()),
    }


def _overall(drops: list[float], seed: int) -> dict[str, Any]:
    values = np.array(drops)
    C = len(values)
    interval = None
    if C > 1:
        rng = numpy_stream(seed, "class bootstrap")
        drawn = rng.multinomial(C, np.full(C, 1 / C), size=10_000) @ values / C
        tail = expanded_tail(C, LEVEL)
        interval = [float(end) for end in np.quantile(drawn, [tail, 1 - tail])]
    return {"drop": float(values.mean()), "interval": interval}


def link_tree(tree: Tree, photos: list[Photo], found: dict[str, Any], target: Path) -> int:
    """Write the chosen groups as links in CounterAnimal's layout; returns how many. Appears whole or not at all.

    Raises RequestError if `target` exists, RunError where the file system makes no links.
    """
    if target.exists():
        raise RequestError(f"{str(target)!r} exists already; choose another --output or remove it")
    chosen = {
        (c["class_index"], c[f"{group}_background"]): (c["folder"], f"{group}-{c[f'{group}_background']}")
        for c in found["classes"]
        for group in GROUPS
    }
    links = 0
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
        build = Path(scratch) / "tree"
        try:
            for photo in photos:
                place = chosen.get((photo.class_index, photo.background))
                if place is None:
                    continue
                folder = build / _indexed(place[0], photo.class_index) / place[1]
                folder.mkdir(parents=True, exist_ok=True)
                os.symlink((tree.root / photo.path).resolve(), folder / Path(photo.path).name)
                links += 1
            os.replace(build, target)
        except OSError as error:
            raise RunError(f"{str(target)!r} could not be written: {error.strerror or error}") from error
    return links


def _indexed(folder: str, index: int) -> str:
    """A class folder's name with its index in front, so that any reader can resolve it."""
    return folder if folder.split(" ")[0] == str(index) else f"{index} {folder}"

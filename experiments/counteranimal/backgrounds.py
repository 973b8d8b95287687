"""Backgrounds of one class: the drop between the extremes, with and without the winner's curse, and a test.

[W] takes, per class, the background with one model's highest accuracy as common and the one with the lowest as
counter. Measured on the same photos, this drop is positive even if backgrounds do not matter, because it selects the
extremes of noisy accuracies. The honest drop selects on one half of the photos and measures on the other. If the
photos of a background are exchangeable, it is unbiased for the drop of the backgrounds that a half would select.

Letters: B backgrounds of one class, n photos and k correct answers on each, S splits, R permutations.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from experiments.counteranimal.metrics import Predictions
from experiments.errors import RequestError

SPLITS = 200
PERMUTATIONS = 9999
SMALLEST_CELL = 20  # photos of a background; half of them must still give an accuracy


@dataclass(frozen=True)
class Cells:
    """One class: photos and correct answers on each of its backgrounds with enough photos."""

    class_index: int
    backgrounds: tuple[str, ...]
    photos: Int[np.ndarray, " B"]
    correct: Int[np.ndarray, " B"]

    @property
    def accuracy(self) -> Float[np.ndarray, " B"]:
        return self.correct / self.photos


def check_minimum(smallest: int) -> None:
    """Raise RequestError for a least number of photos that cannot be halved."""
    if smallest < 2:
        raise RequestError(f"--min-photos {smallest} is below 2, which cannot be halved; the nearest valid value is 2")


def cells_of(predictions: Predictions, smallest: int = SMALLEST_CELL) -> list[Cells]:
    """Cells of every class, in the order of its index, without backgrounds below `smallest` photos."""
    check_minimum(smallest)
    table: dict[int, dict[str, list[int]]] = {}
    answers = zip(predictions.class_index.tolist(), predictions.background, predictions.correct, strict=True)
    for index, background, right in answers:
        cell = table.setdefault(index, {}).setdefault(background, [0, 0])
        cell[0] += 1
        cell[1] += int(right)
    cells = []
    for index in sorted(table):
        kept = {b: cell for b, cell in sorted(table[index].items()) if cell[0] >= smallest}
        n, k = (np.array([cell[i] for cell in kept.values()], dtype=np.int64) for i in range(2))
        cells.append(Cells(index, tuple(kept), n, k))
    return cells


def naive_drop(cells: Cells) -> tuple[int, int, float]:
    """(common, counter, drop): positions of the most accurate background (the first) and the least (the last)."""
    accuracy = cells.accuracy
    best = int(accuracy.argmax())
    worst = int(len(accuracy) - 1 - accuracy[::-1].argmin())  # the two must differ even if all are equal
    return best, worst, float(accuracy[best] - accuracy[worst])


def honest_drop(cells: Cells, rng: np.random.Generator, splits: int = SPLITS) -> float:
    """Mean over random halvings of the drop on one half of the backgrounds selected on the other, in both directions.

    A random split of a background's n photos sends Hypergeometric(k, n - k, n//2) correct answers to one half, so no
    photo needs to be moved. Ties are broken at random.
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

    The numbers of correct answers per background are then multivariate hypergeometric, which is drawn directly.
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

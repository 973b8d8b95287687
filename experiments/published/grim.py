"""How much the audit's check of counts can see: a GRIM test, and its probability of catching a misprint.

Brown and Heathers (Social Psychological and Personality Science 8, 2017): a share of n photos can only be k/n, so many
a printed number is impossible. The test sees a misprint if what was printed in its place is impossible. Over 10,000
printable percentages and few photos nearly all are; over a mean of many classes every one is possible, and the test
sees nothing. Letters: n photos; UNITS printable values 0.00 to 100.00, in hundredths of a percent.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from experiments.published.tables import (
    CLASS_TABLES,
    CLASSES,
    COCO,
    GROUP_TABLES,
    MNIST,
    STATED,
    Raw,
    Table,
    read_published,
)

UNITS = 10_001
GROUPS = ("common", "counter")


@dataclass(frozen=True)
class Power:
    """What a GRIM test of one table's accuracies can see and what it saw.

    `random`: the probability that a misprint, any other percentage with two decimals alike, is impossible; `digit`:
    that one with a single digit changed is. Means over the table's cells; None where nothing is known of the photos.
    """

    table: int
    cells: int
    form: str
    random: float | None
    digit: float | None
    impossible: int | None


def shares(n: int) -> Bool[np.ndarray, " U"]:
    """Which printable values are k/n for some k, rounded up or down where k/n lies between two."""
    k = np.arange(n + 1, dtype=np.int64)
    twice, possible = 2 * (UNITS - 1) * k, np.zeros(UNITS, dtype=bool)  # twice n times k/n in units
    possible[(twice + n) // (2 * n)] = True  # halves go up
    possible[-((n - twice) // (2 * n))] = True  # and down
    return possible


def means(photos: Sequence[int]) -> Bool[np.ndarray, " U"]:
    """Printable values that the plain mean of class accuracies certainly can have; there may be more.

    Two classes run through all their answers, the others are all right or all wrong.
    """
    n = np.sort(np.asarray(photos))[::-1]
    two = (np.arange(n[0] + 1)[:, None] / n[0] + np.arange(n[1] + 1) / n[1]).ravel()
    possible = np.zeros(UNITS, dtype=bool)
    for right in range(len(n) - 1):
        units = (UNITS - 1) * (two + right) / len(n)
        possible[np.rint(units[np.abs(units - np.rint(units)) < 0.499]).astype(int)] = True
    return possible


def caught(possible: Bool[np.ndarray, " U"]) -> float:
    """The share of printable values that are impossible."""
    return float(1 - possible.mean())


def caught_digit(possible: Bool[np.ndarray, " U"], printed: str) -> float:
    """Among values that differ from a printed one in one digit and are percentages, the share that is impossible."""
    digits = f"{round(float(printed) * 100):04d}"
    others = [
        int(digits[:i] + new + digits[i + 1 :]) for i in range(len(digits)) for new in "0123456789" if new != digits[i]
    ]
    return float(np.mean([not possible[value] for value in others if value < UNITS]))


def grim(raw: Raw | None = None) -> list[Power]:
    """The power of the test for each table of accuracies, in their order."""
    raw = raw or read_published()
    photos = {group: {cells["class_id"]: int(cells[f"n_{group}"]) for cells in raw[CLASSES]} for group in GROUPS}
    found = [_power(table, raw, photos) for table in GROUP_TABLES + CLASS_TABLES]
    unknown = "photos not printed"
    found += [Power(7, 2 * len(raw[COCO]), unknown, None, None, None)]
    found += [Power(8, len(raw[MNIST]), "means of repeated trainings", None, None, None)]
    return sorted(found, key=lambda power: power.table)


def _power(table: Table, raw: Raw, photos: dict[str, dict[str, int]]) -> Power:
    if table.mean is None:
        form, possible = "k/n of a class's photos", _of_classes(photos)
    elif table.mean == "micro":
        stated = {cells["quantity"]: int(float(cells["value"])) for cells in raw[STATED]}
        form = f"k/n of all {stated['n_common']} or {stated['n_counter']} photos, if these are all"
        known = {group: shares(stated[f"n_{group}"]) for group in GROUPS}
        possible = _of_groups(known)
    else:
        form = f"mean over {len(photos['common'])} classes"
        possible = _of_groups({group: means(list(photos[group].values())) for group in GROUPS})
    cells = list(_cells(raw[table.file], possible))
    return Power(
        table.number,
        len(cells),
        form,
        float(np.mean([caught(values) for _, values in cells])),
        float(np.mean([caught_digit(values, text) for text, values in cells])),
        sum(not values[round(float(text) * 100)] for text, values in cells),
    )


def _of_classes(photos: dict[str, dict[str, int]]) -> Callable[[dict[str, str], str], np.ndarray]:
    known = {n: shares(n) for group in GROUPS for n in set(photos[group].values())}
    return lambda row, group: known[photos[group][row["class_id"]]]


def _of_groups(known: dict[str, np.ndarray]) -> Callable[[dict[str, str], str], np.ndarray]:
    return lambda row, group: known[group]


def _cells(
    rows: Iterable[dict[str, str]], possible: Callable[[dict[str, str], str], np.ndarray]
) -> Iterator[tuple[str, np.ndarray]]:
    """Each accuracy as printed, with the values that are possible in its place."""
    for row in rows:
        for group in GROUPS:
            yield row[group], possible(row, group)

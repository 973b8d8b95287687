"""Where a classifier stands beside the ideal classifiers of its world, from its predictions on test
images.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import index
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np

from experiments.errors import RequestError
from experiments.files import read_json, read_table
from experiments.ground_truth.export import RECORD
from experiments.inference import binomial_bounds
from experiments.lab.answers import no_ideal_curve
from simulator.accuracy import GROUPS, LEVEL, PLACE, Accuracy, finite
from simulator.mixture import groups_of
from simulator.world import World
from theory.ideal_curve import Equivalent, IdealCurve, equivalent

# (correct, images) of each group, also as numpy's integers
Counts = Mapping[str, tuple[SupportsIndex, SupportsIndex]]


@dataclass(frozen=True)
class Place:
    """A classifier beside the ideal classifiers of a world.

    Parameters
    ----------
    world
        The world.
    counts
        (correct, images) of each group.
    accuracy
        Fractions of correct predictions. All groups lie within their intervals together with
        probability .95: the intervals hold the error of finitely many test images, not that of
        training, nor the scatter between seeds.
    equivalent
        p' and r with intervals; every accuracy within the intervals above that a classifier can
        have has its p' and r within these.
    own
        p, the share of common images in training.
    beyond
        Whether the drop is larger than that of every ideal classifier, and p' = 1, or smaller, and
        p' = 0; never where the counts do not determine p'.
    theory
        The rows of theory in the folder of an export; None where it has none.
    """

    world: World
    counts: Counts
    accuracy: Accuracy
    equivalent: Equivalent
    own: float
    beyond: bool
    theory: list[dict[str, Any]] | None = field(default=None, repr=False, compare=False)

    @property
    def correlation(self) -> float:
        """p', the equivalent correlation; nan where many fit equally, and in a table with images of
        one group.
        """
        return float(self.equivalent.correlation)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of p'; (nan, nan) for one group and for three, which have none."""
        ends = self.equivalent.interval
        return (np.nan, np.nan) if ends is None else tuple(map(float, ends.ends["correlation"]))

    @property
    def shortfall(self) -> float:
        """r, the accuracy that the ideal classifier of p' has more on each group."""
        return float(self.equivalent.shortfall)

    def as_json(self) -> dict[str, Any]:
        """The document of `soberclip place`."""
        p = finite(self.correlation)
        of_groups = self.accuracy.interval.ends
        of_places = self.equivalent.interval or ()
        ends = {name: list(map(float, pair)) for name, pair in zip(PLACE, of_places, strict=False)}
        return {
            "verb": "place",
            "groups": [
                {
                    "group": name,
                    "images": n,
                    "accuracy": k / n,
                    "interval95": list(map(float, of_groups[name])),
                }
                for name, (k, n) in sorted(self.counts.items())
            ],
            "correlation": self.own,
            "equivalent_correlation": p,
            "difference": None if p is None else p - self.own,
            "shortfall": self.shortfall,
            "interval95": dict.fromkeys(PLACE) | ends,
            "beyond": self.beyond,
            "theory": self.theory,
        }


def place(
    predictions: Path | str | Counts, data: Path | str | None = None, world: World | None = None
) -> Place:
    """The equivalent correlation and the shortfall of a classifier, from its answers on test
    images.

    Parameters
    ----------
    predictions
        With `data` a CSV file with the columns file and prediction (the class, from 0), one row per
        test image. With `world` a CSV file with the columns group, accuracy and count, or {group:
        (correct, images)}.
    data
        A folder that `export` wrote.
    world
        The world of the test images.

    Returns
    -------
    Place

    Raises
    ------
    RequestError
        For missing columns, for unknown, missing or repeated files or groups, and for a world
        without an ideal curve.

    Examples
    --------
    >>> counts = {"common": (9554, 10000), "counter": (3623, 10000)}
    >>> found = place(counts, world=World(mu_spu=1.5, sigma_xi=6.0))
    >>> round(found.correlation, 3), found.beyond
    (0.9, False)
    """
    if (data is None) == (world is None):
        raise RequestError(
            "expected either the folder of an export (--data) or a world (--world or its flags)"
        )
    if data is not None:
        world, theory = _exported(Path(data))
        return _placed(
            world, _counts_of_files(Path(predictions), Path(data), world.class_count), theory
        )
    counts = (
        predictions if isinstance(predictions, Mapping) else _counts_of_groups(Path(predictions))
    )
    return _placed(world, counts)


def _exported(data: Path) -> tuple[World, list[dict[str, Any]] | None]:
    """The world of a finished export, and its rows of theory. Raises RequestError for another
    folder.
    """
    record = read_json(data / RECORD)
    if not (isinstance(record, dict) and record.get("verb") == "export"):
        raise RequestError(f"{str(data)!r} is not a folder that soberclip export wrote")
    if "theory" not in record:
        raise RequestError(
            f"the export in {str(data)!r} is not finished; the same soberclip export resumes it"
        )
    try:
        return World(**record["request"]["world"]), record["theory"]
    except (KeyError, TypeError, ValueError):
        raise RequestError(
            f"{RECORD} in {str(data)!r} is damaged; export the world again"
        ) from None


def _counts_of_files(predictions: Path, data: Path, classes: int) -> Counts:
    manifest = {
        row["file"]: row
        for row in read_table(data / "manifest.csv", ("file", "label", "group"), "manifest")
    }
    if wrong := next((row for row in manifest.values() if not row["label"].isdecimal()), None):
        of = f"{wrong['file']!r} has the label {wrong['label']!r}"
        raise RequestError(f"manifest.csv in {str(data)!r} is damaged: {of}")
    right: dict[str, bool] = {}
    for row in read_table(predictions, ("file", "prediction"), "predictions"):
        name = row["file"]
        answer = row["prediction"].strip()
        if name not in manifest:
            raise RequestError(
                f"{str(predictions)!r} has the file {name!r}, which the manifest lacks"
            )
        if name in right:
            raise RequestError(f"{str(predictions)!r} has the file {name!r} twice")
        if not (answer.isdecimal() and int(answer) < classes):
            expected = f"expected a class from 0 to {classes - 1}"
            raise RequestError(f"{str(predictions)!r} predicts {answer!r} for {name!r}; {expected}")
        right[name] = int(answer) == int(manifest[name]["label"])
    if missing := [name for name in manifest if name not in right]:
        lacks = f"{len(missing)} of {len(manifest)} files, such as {missing[0]!r}"
        raise RequestError(f"{str(predictions)!r} lacks {lacks}")
    groups: dict[str, list[bool]] = {}
    for name, row in manifest.items():
        groups.setdefault(row["group"], []).append(right[name])
    return {group: (sum(each), len(each)) for group, each in groups.items()}


def _counts_of_groups(path: Path) -> Counts:
    counts: dict[str, tuple[int, int]] = {}
    for line, row in enumerate(
        read_table(path, ("group", "accuracy", "count"), "accuracies"), start=2
    ):
        try:
            accuracy = float(row["accuracy"])
        except ValueError:
            accuracy = np.nan
        count = int(word) if (word := row["count"].strip()).isdecimal() else 0
        where = f"in line {line} of {str(path)!r}"
        if not 0 <= accuracy <= 1:
            raise RequestError(f"accuracy {row['accuracy']!r} {where} is not a number in 0..1")
        if count < 1:
            raise RequestError(
                f"count {row['count']!r} {where} is not a whole number of at least 1"
            )
        if row["group"] in counts:
            raise RequestError(f"{str(path)!r} has the group {row['group']!r} twice")
        counts[row["group"]] = round(accuracy * count), count
    return counts


def _placed(world: World, counts: Counts, theory: list[dict[str, Any]] | None = None) -> Place:
    if why := no_ideal_curve(world):
        raise RequestError(why)
    groups = groups_of(world.table, world.common)
    expected = [GROUPS[g] for g in groups]
    if set(counts) != set(expected):
        raise RequestError(
            f"expected the groups {', '.join(expected)}; got"
            f" {', '.join(map(str, counts)) or 'none'}"
        )
    counts = {name: (index(correct), index(images)) for name, (correct, images) in counts.items()}
    for name, (correct, images) in counts.items():
        if not 0 <= correct <= images or images < 1:
            raise RequestError(
                f"group {name!r} has {correct} correct of {images} images; expected 0 to all of"
                " them"
            )
    # all independent groups lie within with probability LEVEL
    tail = (1 - LEVEL ** (1 / len(expected))) / 2
    values = np.full(len(GROUPS), np.nan)
    ends = [(np.nan, np.nan)] * len(GROUPS)
    for g in groups:
        correct, images = counts[GROUPS[g]]
        values[g], ends[g] = correct / images, tuple(binomial_bounds(correct, images, tail))
    count = max(*groups, 1) + 1  # an Accuracy always has counter images, perhaps nan
    accuracy = Accuracy.of(values[:count], LEVEL, ends[:count])
    try:
        result = equivalent(world, accuracy)
        beyond = False
        if len(groups) == 2 and np.isfinite(result.correlation):
            least = IdealCurve(world).at(0.0).drop
            most = IdealCurve(world).at(1.0).drop
            beyond = not least <= values[groups[0]] - values[groups[1]] <= most
    except (ValueError, ArithmeticError) as error:
        raise RequestError(str(error)) from None
    return Place(world, counts, accuracy, result, world.common_share(), bool(beyond), theory)

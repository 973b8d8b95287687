"""One model's predictions and their file, predictions.csv. Every accuracy is computed from predictions."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from experiments.counteranimal.labels import CLASS_COUNT
from experiments.counteranimal.photos import check_group
from experiments.errors import RequestError
from experiments.files import read_table, write_table

COLUMNS = ("path", "class_index", "group", "background", "predicted_index", "rank", "margin")
REQUIRED = ("class_index", "group", "predicted_index")
LARGEST = 2**63 - 1


@dataclass(frozen=True)
class Predictions:
    """A model's prediction for each photo."""

    path: tuple[str, ...]
    class_index: Int[np.ndarray, " N"]
    common: Bool[np.ndarray, " N"]
    background: tuple[str, ...]
    predicted: Int[np.ndarray, " N"]
    rank: Int[np.ndarray, " N"] | None = None  # of the true label, 1 = best; a tie goes to the lower index
    margin: Float[np.ndarray, " N"] | None = None  # true score minus best other score
    object: tuple[str, ...] | None = None  # object of a composite; "" if unknown
    grouped: bool = True  # whether photos have groups; otherwise `common` means nothing

    @property
    def groups(self) -> list[str]:
        """common or counter; "" for photos without groups."""
        return np.where(self.common, "common", "counter").tolist() if self.grouped else [""] * len(self.path)

    @property
    def correct(self) -> Bool[np.ndarray, " N"]:
        return self.predicted == self.class_index

    @property
    def table(self) -> pd.DataFrame:
        """A row per photo: class, group, background, and whether the answer is right."""
        labels = {"class_index": self.class_index, "group": self.groups, "background": list(self.background)}
        return pd.DataFrame({**labels, "correct": self.correct})


def write_predictions(path: Path, predictions: Predictions) -> None:
    """One row per photo. Unknown ranks and margins are empty; composites have a column `object`."""
    p, unknown = predictions, [""] * len(predictions.path)
    rank = unknown if p.rank is None else p.rank.tolist()
    margin = unknown if p.margin is None else [f"{m:.7g}" if np.isfinite(m) else "" for m in p.margin]
    columns = [p.path, p.class_index.tolist(), p.groups, p.background, p.predicted.tolist(), rank, margin]
    names = COLUMNS
    if p.object is not None:
        columns.append(p.object)
        names = (*COLUMNS, "object")
    write_table(path, names, zip(*columns, strict=True))


def read_predictions(path: Path, labels: int = CLASS_COUNT) -> Predictions:
    """Predictions of this or another program; class_index, group and predicted_index are required columns.

    class_index is below `labels`. predicted_index is any integer of 64 bits; -1 means that the answer is not a label.
    group is empty in all lines or in none. rank and margin are read if every row has a rank. RequestError names the
    wrong line.
    """
    table = read_table(path, REQUIRED, "predictions")
    grouped = any(row["group"] for row in table)
    if grouped:
        for line, row in enumerate(table, start=2):
            check_group(row["group"], f"line {line} of {str(path)!r}")
    rank = margin = None
    if all(row.get("rank") for row in table):
        rank = _integers(path, table, "rank")
        try:
            margin = np.array([float(row.get("margin") or "nan") for row in table])
        except ValueError as error:
            raise RequestError(f"a margin in {str(path)!r} is not a number ({error})") from error
    return Predictions(
        tuple(row.get("path") or str(i) for i, row in enumerate(table)),
        _integers(path, table, "class_index", 0, labels - 1),
        np.array([row["group"] == "common" for row in table]),
        tuple(row.get("background") or "" for row in table),
        _integers(path, table, "predicted_index"),
        rank,
        margin,
        tuple(row["object"] or "" for row in table) if "object" in table[0] else None,
        grouped,
    )


def _integers(
    path: Path, table: list[dict[str, str]], column: str, low: int = -LARGEST, high: int = LARGEST
) -> Int[np.ndarray, " N"]:
    values = []
    for line, row in enumerate(table, start=2):
        try:
            value = int(row[column])
        except (TypeError, ValueError):
            value = None
        if value is None or not low <= value <= high:
            raise RequestError(
                f"{column} {row[column]!r} in line {line} of {str(path)!r} is not a whole number in {low}..{high}"
            )
        values.append(value)
    return np.array(values, dtype=np.int64)

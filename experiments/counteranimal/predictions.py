"""predictions.csv and per_class.csv: what evaluate writes, score reads and compare pairs."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from experiments.counteranimal.dataset import GROUPS
from experiments.counteranimal.metrics import ClassCounts, Mean, Predictions
from experiments.errors import RequestError
from experiments.files import write_text
from experiments.lines import SMALLEST_FAMILY, fit_line, usable
from experiments.published.tables import published_rows
from experiments.results import Row

COLUMNS = ("path", "class_index", "group", "background", "predicted_index", "rank", "margin")
REQUIRED = ("class_index", "group", "predicted_index")
CLASS_COLUMNS = (
    "class_index",
    "n_common",
    "n_counter",
    "correct_common",
    "correct_counter",
    "common",
    "counter",
    "drop",
)


def write_predictions(path: Path, predictions: Predictions) -> None:
    """One row a photo; rank and margin are empty where they are not known."""
    n = len(predictions.path)
    rank = [""] * n if predictions.rank is None else predictions.rank.tolist()
    margin = [""] * n if predictions.margin is None else [f"{m:.7g}" for m in predictions.margin]
    groups = np.where(predictions.common, *GROUPS).tolist()
    rows = zip(
        predictions.path,
        predictions.class_index.tolist(),
        groups,
        predictions.background,
        predictions.predicted.tolist(),
        rank,
        margin,
        strict=True,
    )
    write_table(path, COLUMNS, rows)


def read_predictions(path: Path) -> Predictions:
    """Predictions made here or elsewhere; class_index, group and predicted_index are required columns.

    predicted_index may be any integer, -1 for an answer that is no label. Raises RequestError naming the line.
    """
    table = _rows(path, REQUIRED, "predictions")
    index, predicted = [], []
    for line, row in enumerate(table, start=2):
        index.append(_integer(path, line, row, "class_index"))
        predicted.append(_integer(path, line, row, "predicted_index"))
        if not 0 <= index[-1] < 1000:
            raise RequestError(
                f"class_index {index[-1]} in line {line} of {str(path)!r} lies outside 0..999; "
                f"the nearest valid index is {min(max(index[-1], 0), 999)}"
            )
        if row["group"] not in GROUPS:
            raise RequestError(
                f"group {row['group']!r} in line {line} of {str(path)!r} is neither 'common' nor 'counter'"
            )
    return Predictions(
        tuple(row.get("path") or str(i) for i, row in enumerate(table)),
        np.array(index, dtype=np.int64),
        np.array([row["group"] == "common" for row in table]),
        tuple(row.get("background") or "" for row in table),
        np.array(predicted, dtype=np.int64),
    )


def write_classes(path: Path, counts: ClassCounts) -> None:
    """One row a class; accuracies are empty where a group has no photos."""
    rows = []
    for index, n, k in zip(counts.index.tolist(), counts.photos.tolist(), counts.correct.tolist(), strict=True):
        accuracy = [c / m if m else None for c, m in zip(k, n, strict=True)]
        drop = None if None in accuracy else accuracy[0] - accuracy[1]
        rows.append((index, *n, *k, *("" if a is None else repr(a) for a in (*accuracy, drop))))
    write_table(path, CLASS_COLUMNS, rows)


def read_classes(path: Path) -> ClassCounts:
    """The inverse of `write_classes`."""
    table = _rows(path, CLASS_COLUMNS[:5], "per-class")
    cells = np.array(
        [[_integer(path, line, row, c) for c in CLASS_COLUMNS[:5]] for line, row in enumerate(table, start=2)]
    )
    return ClassCounts(cells[:, 0], cells[:, 1:3], cells[:, 3:5])


def write_table(path: Path, columns, rows) -> None:
    """A CSV file, atomically."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_text(path, buffer.getvalue())


def _rows(path: Path, required: tuple[str, ...], what: str) -> list[dict[str, str]]:
    if not path.is_file():
        raise RequestError(f"there is no {what} file {str(path)!r}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle)
            table = list(reader)
            missing = [column for column in required if column not in (reader.fieldnames or ())]
    except (UnicodeDecodeError, csv.Error) as error:
        raise RequestError(f"{str(path)!r} is no CSV file ({error})") from error
    if missing:
        raise RequestError(f"{str(path)!r} has no column {missing[0]!r}; it needs {', '.join(required)}")
    if not table:
        raise RequestError(f"{str(path)!r} has no rows")
    return table


def _integer(path: Path, line: int, row: dict[str, str], column: str) -> int:
    try:
        return int(row[column])
    except (TypeError, ValueError) as error:
        raise RequestError(f"{column} {row[column]!r} in line {line} of {str(path)!r} is no whole number") from error


def standing(row: Row, prompt: str = "simple") -> dict[str, Any] | None:
    """Where a result would stand among the published rows of its protocol; None where none were printed.

    Ranks count from 1 = highest accuracy, smallest drop. effective_robustness is the counter accuracy above the
    line of each published family on logit axes, at the row's common accuracy.
    """
    rows = published_rows(row.labels or "1000", prompt, row.mean or "macro")
    if not rows:
        return None
    above: dict[str, float] = {}
    for family in ("CLIP", "ImageNet"):
        x, y = (np.array([getattr(r, g) for r in rows if r.family == family]) for g in GROUPS)
        if len(x) >= SMALLEST_FAMILY and usable(np.array([row.common]), np.array([row.counter])).all():
            line = fit_line(x, y, "logit")
            above[family] = float(row.counter - line.at(np.array([row.common]))[0])
    nearest = min(rows, key=lambda r: (r.common - row.common) ** 2 + (r.counter - row.counter) ** 2)
    return {
        "of": len(rows),
        "rank_common": 1 + sum(r.common > row.common for r in rows),
        "rank_counter": 1 + sum(r.counter > row.counter for r in rows),
        "rank_drop": 1 + sum(r.drop < row.drop for r in rows),
        "nearest": {"model": nearest.model, "common": nearest.common, "counter": nearest.counter},
        "effective_robustness": above,
    }


def summary_row(summary: dict[str, Any], mean: Mean) -> Row:
    """One mean of an evaluation's summary as a row."""
    ends = {name: None if i is None else (i[0], i[1]) for name, i in summary["intervals"][mean].items()}
    return Row(
        source=summary["source"],
        model=summary["model"],
        family=summary["family"],
        common=summary[mean]["common"],
        counter=summary[mean]["counter"],
        prompt=summary.get("prompts"),
        labels=summary.get("labels"),
        mean=mean,
        n_common=summary["counts"]["common"],
        n_counter=summary["counts"]["counter"],
        interval_common=ends["common"],
        interval_counter=ends["counter"],
        interval_drop=ends["drop"],
    )

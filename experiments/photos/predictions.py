"""predictions.csv: a row per photo, and what one model predicts. Every accuracy is computed from this table.

Columns: path, class_index, group (common or counter; empty in all rows if photos have no groups), background,
predicted_index, rank of the true label (1 = best; a tie goes to the lower index), margin (true score minus best other
score), and for composites object ("" if unknown). rank and margin are nan if they are unknown.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from experiments.errors import RequestError
from experiments.files import read_table, write_text
from experiments.photos.labels import CLASS_COUNT
from experiments.photos.photos import check_group

COLUMNS = ["path", "class_index", "group", "background", "predicted_index", "rank", "margin"]
REQUIRED = ("class_index", "group", "predicted_index")
LARGEST = 2**63 - 1


def right(predictions: pd.DataFrame) -> Bool[np.ndarray, " N"]:
    """Whether the predicted label is the true one."""
    return (predictions.predicted_index == predictions.class_index).to_numpy()


def has_groups(predictions: pd.DataFrame) -> bool:
    """Whether photos belong to the groups common and counter."""
    return bool((predictions.group != "").any())


def write_frame(path: Path, table: pd.DataFrame, float_format: str | None = None) -> None:
    write_text(path, table.to_csv(index=False, lineterminator="\n", float_format=float_format))


def write_predictions(path: Path, predictions: pd.DataFrame) -> None:
    """One row per photo. Unknown ranks and margins are empty; composites have a column `object`."""
    columns = [*COLUMNS, *predictions.columns.intersection(["object"])]
    write_frame(path, predictions[columns].replace({"margin": [np.inf, -np.inf]}, np.nan), "%.7g")


def read_predictions(path: Path, labels: int = CLASS_COUNT) -> pd.DataFrame:
    """Predictions of this or another program, with class_index below `labels`.

    predicted_index is any integer of 64 bits; -1 means no label. rank and margin are read if every row has a rank.
    """
    rows = pd.DataFrame(read_table(path, REQUIRED, "predictions")).fillna("")
    table = rows.reindex(columns=[*COLUMNS, *rows.columns.intersection(["object"])], fill_value="")
    if has_groups(table):
        for line, group in enumerate(table.group, start=2):
            check_group(group, f"line {line} of {str(path)!r}")
    known = bool((table["rank"] != "").all())
    try:
        margin = [float(word or "nan") if known else np.nan for word in table.margin]
    except ValueError as error:
        raise RequestError(f"a margin in {str(path)!r} is not a number ({error})") from error
    return table.assign(
        path=table.path.where(table.path != "", table.index.astype(str)),
        class_index=_integers(path, table, "class_index", 0, labels - 1),
        predicted_index=_integers(path, table, "predicted_index"),
        rank=_integers(path, table, "rank") if known else np.nan,
        margin=margin,
    )


def _integers(
    path: Path, table: pd.DataFrame, column: str, low: int = -LARGEST, high: int = LARGEST
) -> Int[np.ndarray, " N"]:
    values = []
    for line, word in enumerate(table[column], start=2):
        value = int(word) if re.fullmatch(r"\s*[+-]?\d{1,19}\s*", word) else None
        if value is None or not low <= value <= high:
            raise RequestError(
                f"{column} {word!r} in line {line} of {str(path)!r} is not a whole number in {low}..{high}"
            )
        values.append(value)
    return np.array(values, dtype=np.int64)

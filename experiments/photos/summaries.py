"""The result of one model: predictions.csv, per_class.csv, per_background.csv and, written last,
summary.json.

predictions.csv has a row per photo, and every accuracy is computed from this table. Columns: path,
class_index, group (common or counter; empty in all rows if photos have no groups), background,
predicted_index (of 64 bits, -1 for no label), rank of the true label (1 = best; a tie goes to the
lower index), margin (true score minus best other score), and for composites object ("" if unknown).
rank and margin are nan if they are unknown.
"""

import re
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from experiments.errors import RequestError
from experiments.files import output_folder, read_json, read_table, write_json, write_text
from experiments.heads.intervals import class_accuracies, complete, summary
from experiments.photos.labels import CLASS_COUNT, Vocabulary, digest, own_classes
from experiments.photos.metrics import accuracy_breakdown, cells, class_counts, object_effect
from experiments.photos.photos import check_group, has_groups
from experiments.provenance import provenance

COLUMNS = ["path", "class_index", "group", "background", "predicted_index", "rank", "margin"]
REQUIRED = ("class_index", "group", "predicted_index")
LARGEST = 2**63 - 1
WORST = 5  # classes that a summary lists
LONGEST_NAME = 200  # bytes of a model's folder; file systems allow 255, and a number may follow
PREDICTIONS, CLASSES, BACKGROUNDS = "predictions.csv", "per_class.csv", "per_background.csv"
SUMMARY = "summary.json"
UNPLACED = {
    "equivalent": None,
    "equivalent_lacks": "predictions hold no embeddings; evaluate measures heads on them",
}
COUNTS = ("n_common", "n_counter", "correct_common", "correct_counter")
# no groups
ALONE = {
    "class_index": "class_index",
    "n_common": "n",
    "correct_common": "correct",
    "common": "accuracy",
}


def write_frame(path: Path, table: pd.DataFrame, float_format: str | None = None) -> None:
    write_text(path, table.to_csv(index=False, lineterminator="\n", float_format=float_format))


def read_predictions(path: Path, labels: int = CLASS_COUNT) -> pd.DataFrame:
    """Predictions of this or another program, with class_index below `labels`; ranks count if every
    row has one.
    """
    rows = pd.DataFrame(read_table(path, REQUIRED, "predictions")).fillna("")
    table = rows.reindex(columns=[*COLUMNS, *rows.columns.intersection(["object"])], fill_value="")
    if has_groups(table):
        for line, group in enumerate(table.group, start=2):
            check_group(group, f"line {line} of {str(path)!r}")
    ranks = bool((table["rank"] != "").all())
    try:
        margin = [float(word or "nan") if ranks else np.nan for word in table.margin]
    except ValueError as error:
        raise RequestError(f"a margin in {str(path)!r} is not a number ({error})") from error
    return table.assign(
        path=table.path.where(table.path != "", table.index.astype(str)),
        class_index=_integers(path, table, "class_index", 0, labels - 1),
        predicted_index=_integers(path, table, "predicted_index"),
        rank=_integers(path, table, "rank") if ranks else np.nan,
        margin=margin,
    )


def _integers(
    path: Path, table: pd.DataFrame, column: str, low: int = -LARGEST, high: int = LARGEST
) -> Int[np.ndarray, " N"]:
    for line, word in enumerate(table[column], start=2):
        if not (re.fullmatch(r"\s*[+-]?\d{1,19}\s*", word) and low <= int(word) <= high):
            where = f"in line {line} of {str(path)!r}"
            raise RequestError(f"{column} {word!r} {where} is not a whole number in {low}..{high}")
    return table[column].map(int).to_numpy(np.int64)


def summarise(
    predictions: pd.DataFrame, settings: dict[str, Any], folder: Path | None = None
) -> dict[str, Any]:
    """The summary of one model, which begins with its settings, also written into `folder` with its
    tables.
    """
    counts = class_counts(predictions)
    seed = settings["seed"]
    grouped = has_groups(predictions)
    used = complete(counts)
    if not len(used):
        raise RequestError(
            f"no class of {settings['data']!r} has photos in both groups; a drop needs at least one"
        )
    document = settings | summary(counts, seed, grouped) | accuracy_breakdown(predictions)
    if grouped:
        largest = (
            class_accuracies(used).sort_values("drop", ascending=False, kind="stable").head(WORST)
        )
        document["worst_classes"] = largest.reset_index().to_dict("records")
        if "object" in predictions:
            document["paired"] = object_effect(predictions, seed)
    document["provenance"] = provenance()
    if folder is not None:
        output_folder(folder)
        columns = [*COLUMNS, *predictions.columns.intersection(["object"])]
        # an unknown margin is empty
        listed = predictions[columns].replace({"margin": [np.inf, -np.inf]}, np.nan)
        write_frame(folder / PREDICTIONS, listed, "%.7g")
        table = counts.set_axis(COUNTS, axis=1).join(class_accuracies(counts)).reset_index()
        write_frame(folder / CLASSES, table if grouped else table[[*ALONE]].rename(columns=ALONE))
        write_frame(folder / BACKGROUNDS, cells(predictions, "class_index", "group", "background"))
        write_json(folder / SUMMARY, document)
    return document


def result_folders(output: Path, names: Sequence[str]) -> list[Path]:
    """The output folder for one model; a subfolder per model for several, numbered if two names
    agree without case.

    Raises RequestError where a folder holds the results of another model, which the new ones would
    replace.

    >>> [folder.name for folder in result_folders(Path("o"), ["m", "hf:o/m", "M"])]
    ['m-1', 'hf_o_m-2', 'M-3']
    """
    slugs = []
    for name in names:
        slug = "".join(c if c.isalnum() or c in "-._" else "_" for c in name)
        slugs.append(slug.encode()[-LONGEST_NAME:].decode(errors="ignore").strip(".") or "model")
    if len({slug.casefold() for slug in slugs}) < len(slugs):  # some file systems ignore case
        slugs = [f"{slug}-{n}" for n, slug in enumerate(slugs, start=1)]
    folders = [output] if len(names) == 1 else [output / slug for slug in slugs]
    for folder, name in zip(folders, names, strict=True):
        held = read_json(folder / SUMMARY)
        if isinstance(held, dict) and held.get("model") != name:
            raise RequestError(
                f"{str(folder)!r} holds the results of {held.get('model')}; name another with"
                " --output"
            )
    return folders


def score_files(
    files: Sequence[Path],
    *,
    name: str | None = None,
    family: str | None = None,
    labels: str = "1000",
    classes: Vocabulary | None = None,
    seed: int = 0,
    output: Path | None = None,
) -> list[dict[str, Any]]:
    """Summaries of predictions from other programs, written below `output` if given; inputs are not
    overwritten.

    A model has the name of its file, or of the folder of predictions.csv. Without a family each
    model is its own, so that it shares no line with models that may be of another kind.
    """
    if not files:
        raise RequestError(
            "no predictions given; name a CSV file with columns class_index, group, predicted_index"
        )
    if (labels == "own") != (classes is not None):
        raise RequestError(
            "--labels own and --classes FILE need each other; class_index counts the classes of"
            " FILE"
        )
    if name is not None and (len(files) > 1 or not name.strip()):
        wrong = (
            "is empty; leave it out"
            if not name.strip()
            else f"names one model but {len(files)} files are given"
        )
        raise RequestError(f"--name {name!r} {wrong}")
    own_names = [
        path.resolve().parent.name if path.name == PREDICTIONS else path.stem for path in files
    ]
    names = own_names if name is None else [name]
    read = [
        read_predictions(path, CLASS_COUNT if classes is None else len(classes.names))
        for path in files
    ]
    folders = (
        [None] * len(files) if output is None else result_folders(output_folder(output), names)
    )
    for path, folder in product(files, filter(None, folders)):
        if (folder / PREDICTIONS).exists() and (folder / PREDICTIONS).samefile(path):
            raise RequestError(
                f"--output would overwrite the input {str(path)!r}; choose another folder"
            )
    own: dict[str, Any] = {}
    if classes is not None:
        folders_of = {str(index): name for index, name in enumerate(classes.names)}
        own = {"class_names_digest": digest(classes.names), "folders": folders_of}
    documents = []
    for path, model, folder, predictions in zip(files, names, folders, read, strict=True):
        space = own_classes(predictions.class_index.tolist()).name if labels == "45" else labels
        settings = {"source": str(path), "model": model, "family": family or model, "seed": seed}
        settings |= {"labels": space, "data": str(path), **own, **UNPLACED}
        documents.append(summarise(predictions, settings, folder))
    return documents

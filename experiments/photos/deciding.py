"""The photos that decide: for each group five that a model gets right and five that it gets wrong,
counter first.
"""

from base64 import b64encode
from pathlib import Path
from textwrap import shorten

import pandas as pd
from matplotlib.figure import Figure

from experiments.files import write_atomically
from experiments.photos.metrics import right
from experiments.photos.photos import PhotoSet
from experiments.style import styled

FILE = "photos.jpg"
EACH = 5
LONGEST = 20  # letters below a photo


def chosen(predictions: pd.DataFrame) -> list[tuple[tuple[str, bool], pd.DataFrame]]:
    """(group, whether right) and its EACH photos, of every class in turn those whose margins are
    largest.
    """
    table = predictions.assign(right=right(predictions))
    table = table.sort_values("margin", key=abs, ascending=False, kind="stable")
    table = table.assign(turn=table.groupby(["group", "right", "class_index"]).cumcount())
    table = table.sort_values(["turn", "class_index"], kind="stable")
    return [
        (kind, part.head(EACH)) for kind, part in reversed([*table.groupby(["group", "right"])])
    ]


@styled
def deciding_figure(
    photo_set: PhotoSet, predictions: pd.DataFrame, names: tuple[str, ...]
) -> Figure:
    """A row per group and answer. Below each photo its class and, where it differs, the label that
    the model gave.
    """
    parts = chosen(predictions)
    figure = Figure(figsize=(8.0, 1.9 * len(parts)))
    # room for words
    figure.get_layout_engine().set(
        hspace=0.4, rect=(0, 0.25 / len(parts), 1, 1 - 0.25 / len(parts))
    )
    rows = figure.subplots(len(parts), EACH, squeeze=False)
    for cells, ((group, correct), part) in zip(rows, parts, strict=True):
        for cell in cells:
            cell.set_axis_off()
        cells[0].set_title(f"{group} photos, {'right' if correct else 'wrong'}")
        for cell, photo in zip(cells, part.itertuples(), strict=False):
            cell.imshow(photo_set.image(photo.path))
            words = [photo_set.classes[photo.class_index]]
            if not correct:
                words.append(
                    f"answer: {names[photo.predicted_index]}"
                    if photo.predicted_index >= 0
                    else "no answer"
                )
            below = "\n".join(shorten(line, LONGEST, placeholder="…") for line in words)
            text = cell.text(
                0,
                -0.04,
                below,
                transform=cell.transAxes,
                va="top",
                fontsize="small",
                parse_math=False,
            )
            text.set_in_layout(False)  # long words would take the room of the photos
    return figure


def write_deciding(
    folder: Path, photo_set: PhotoSet, predictions: pd.DataFrame, names: tuple[str, ...]
) -> Path:
    figure = deciding_figure(photo_set, predictions, names)
    write_atomically(folder / FILE, lambda path: figure.savefig(path, format="jpeg"))
    return folder / FILE


def embedded(file: Path) -> str:
    """The picture for a page that needs no other file."""
    return f"data:image/jpeg;base64,{b64encode(file.read_bytes()).decode()}"

"""The photos that decide: five each of right and wrong, counter first, classes in turn, the surest
first.
"""

from textwrap import shorten

import numpy as np
import pandas as pd
from PIL import Image

from experiments.photos.deciding import LONGEST, chosen, deciding_figure, embedded, write_deciding
from experiments.photos.photos import read_photos
from tests.experiments.conftest import build_tree


def test_photos_of_every_class_in_turn_and_the_surest_first():
    rows = [
        (y, g, k, ok)
        for y in (0, 1)
        for g in ("common", "counter")
        for k in range(7)
        for ok in (True, False)
    ]
    table = pd.DataFrame(rows, columns=["class_index", "group", "k", "ok"])
    table["predicted_index"] = np.where(table.ok, table.class_index, 1 - table.class_index)
    table["margin"] = np.where(table.ok, 1.0, -1.0) * table.k
    kinds, parts = zip(*chosen(table.sample(frac=1, random_state=0)), strict=True)
    assert kinds == (("counter", True), ("counter", False), ("common", True), ("common", False))
    for (group, right), part in zip(kinds, parts, strict=True):
        assert (part.group == group).all()
        assert (part.ok == right).all()
        assert [*zip(part.class_index, part.k, strict=True)] == [
            (0, 6),
            (1, 6),
            (0, 5),
            (1, 5),
            (0, 4),
        ]
    assert [kind for kind, _ in chosen(table[table.ok])] == [*kinds[::2]]


def test_the_picture_is_drawn(tmp_path):
    """Also without an answer, with unknown margins, and with names longer than a photo."""
    photo_set = read_photos(build_tree(tmp_path / "LAION-final"))
    table = photo_set.photos.assign(predicted_index=-1, margin=np.nan)
    table.loc[::2, "predicted_index"] = table.class_index[::2]
    table.loc[1, "predicted_index"] = 0
    names = tuple(100 * f"label {k} $x " for k in range(1000))
    below = [
        text.get_text()
        for cell in deciding_figure(photo_set, table, names).axes
        for text in cell.texts
    ]
    for k in (1, 3):  # class, and the label that was answered
        words = shorten(photo_set.classes[table.class_index[k]], LONGEST, placeholder="…")
        assert any(
            text.startswith(words) and ("no answer", "answer: label 0")[k == 1] in text
            for text in below
        )
    file = write_deciding(tmp_path, photo_set, table, names)
    with Image.open(file) as picture:
        assert picture.size == (800, 760)
    assert embedded(file).startswith("data:image/jpeg;base64,")

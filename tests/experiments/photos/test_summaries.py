"""Result folders and files: inputs are never overwritten, no two models share a folder."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from experiments.errors import RequestError
from experiments.photos.summaries import (
    COLUMNS,
    read_predictions,
    result_folders,
    score_files,
    write_frame,
)

HEADER = "class_index,group,predicted_index\n"
ROWS = HEADER + "9,common,9\n9,counter,1\n10,common,10\n10,counter,10\n"


@settings(max_examples=10)
@given(st.lists(st.text(max_size=6), min_size=2, max_size=4))
@example(["m", "m", "m-1", "m-2"])
@example(["/home/" + "ä" * 200 + "/model"] * 2)
def test_folders_are_distinct_and_inside(names):
    output = Path("out")
    folders = result_folders(output, names)
    assert len({str(folder).casefold() for folder in folders}) == len(names)
    assert all(folder.parent == output and folder.name not in ("", ".", "..") for folder in folders)
    assert max(len(folder.name.encode()) for folder in folders) < 255


def write(path, text=ROWS):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_score_names_models_after_files(tmp_path, monkeypatch):
    monkeypatch.chdir(write(tmp_path / "mine" / "predictions.csv").parent)
    (document,) = score_files([Path("predictions.csv")])  # its parent is ".", without a name
    # not on the line of published LVLMs
    assert (document["model"], document["family"]) == ("mine", "mine")
    dots = write(tmp_path / "...csv")
    documents = score_files([dots, write(tmp_path / "b.csv")], output=tmp_path / "out")
    assert [d["model"] for d in documents] == ["..", "b"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["b", "model"]
    assert not (tmp_path / "summary.json").exists()
    # that of "..." is model, too
    with pytest.raises(RequestError, match=r"model' holds the results of \.\.; name"):
        score_files([tmp_path / "b.csv", write(tmp_path / "....csv")], output=tmp_path / "out")
    for files, name in (([dots], ""), ([dots], " "), ([dots, dots], "x")):
        with pytest.raises(RequestError, match="name"):
            score_files(files, name=name)


def test_score_does_not_write_over_what_it_reads(tmp_path):
    source = write(tmp_path / "run" / "predictions.csv")
    rows = [("a", 9, "common", "x", 9, 1, 0.5), ("b", 9, "counter", "y", 1, 7, np.nan)]
    original = pd.DataFrame(rows, columns=COLUMNS)
    write_frame(source, original)
    before = source.read_bytes()
    link = tmp_path / "link"
    link.symlink_to(source.parent)
    for output in (source.parent, link):
        with pytest.raises(RequestError, match="would overwrite"):
            score_files([source], output=output)
    assert source.read_bytes() == before
    score_files([source], name="mine", output=tmp_path / "out")
    with pytest.raises(RequestError, match="holds the results of mine; name another"):
        score_files([source], name="yours", output=tmp_path / "out")
    score_files([source], name="mine", output=tmp_path / "out")  # its own results are replaced
    assert [p.name for p in source.parent.iterdir()] == ["predictions.csv"]
    score_files([source], output=tmp_path / "other")
    # including rank and margin
    assert (tmp_path / "other" / "predictions.csv").read_bytes() == before


@pytest.mark.parametrize(("second", "known"), [("1", True), ("", False)])
def test_ranks_and_margins_are_read_if_every_row_has_a_rank(tmp_path, second, known):
    rows = (
        f"class_index,group,predicted_index,rank,margin\n9,common,9,1,0.5\n9,counter,1,{second},\n"
    )
    found = read_predictions(write(tmp_path / "p.csv", rows))
    assert found["rank"].notna().tolist() == [known] * 2
    assert found.margin.notna().tolist() == [known, False]


def test_a_byte_order_mark_is_no_part_of_a_column_and_one_prediction_is_a_table(tmp_path):
    assert list(read_predictions(write(tmp_path / "p.csv", "\ufeff" + ROWS)).predicted_index) == [
        9,
        1,
        10,
        10,
    ]
    assert list(
        read_predictions(write(tmp_path / "p.csv", HEADER + "9,common,9\n")).predicted_index
    ) == [9]

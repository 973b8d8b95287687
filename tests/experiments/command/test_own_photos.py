"""A user's own photos, groups and classes, from folders to screen and files."""

import pytest

from experiments.errors import RequestError
from experiments.photos.models import load
from experiments.photos.photos import read_photos
from experiments.photos.scoring import predict, score_photos
from tests.experiments.command.test_counteranimal import rows
from tests.experiments.conftest import draw_photo, here

CELLS = {("teacup", "table"): 4, ("teacup", "sink"): 3, ("saw", "table"): 2, ("saw", "shed"): 5}


@pytest.fixture
def shelves(tmp_path):
    root, seed = tmp_path / "shelves", 0
    for (kind, place), count in CELLS.items():
        for i in range(count):
            draw_photo(root / kind / place / f"{i}.png", seed)
            seed += 1
    (tmp_path / "classes.csv").write_text("class,name\nsaw,hand saw\nteacup,\nteapot,\n")
    (tmp_path / "groups.csv").write_text("background,group\ntable,common\nsink,counter\nshed,counter\n")
    return root


def test_own_classes_and_groups(run, shelves, tiny_clip, tmp_path):
    spec = f"open_clip:local-dir:{tiny_clip}"
    common = ("--data", shelves, "--model", spec, "--cache", tmp_path / "cache", "--workers", 0)
    common = (*common, "--classes", tmp_path / "classes.csv")
    grouped = (*common, "--groups", tmp_path / "groups.csv")
    (found,), _ = run("evaluate", *grouped, "--output", tmp_path / "out", "--json")
    assert (found["labels"], found["class_names"]) == ("own", str(tmp_path / "classes.csv"))
    assert found["counts"] == {"classes": 2, "common": 6, "counter": 8, "left_out_classes": []}

    table = rows(tmp_path / "out" / "predictions.csv")
    options = here(classes=tmp_path / "classes.csv")
    photo_set = read_photos(shelves, str(tmp_path / "groups.csv"), options.vocabulary)
    same = predict(score_photos(photo_set, load(spec), options), options.vocabulary.every_label)
    assert [int(row["predicted_index"]) for row in table] == same.predicted_index.tolist()
    assert {row["background"] for row in table if row["group"] == "counter"} == {"sink", "shed"}
    cells = rows(tmp_path / "out" / "per_background.csv")
    assert {(c["class_index"], c["background"]): int(c["photos"]) for c in cells} == {
        (str(("saw", "teacup").index(kind)), place): n for (kind, place), n in CELLS.items()
    }
    predictions = ("score", tmp_path / "out" / "predictions.csv", "--labels", "own")
    (again,), _ = run(*predictions, "--classes", tmp_path / "classes.csv", "--json")
    assert (again["macro"], again["worst_group"]) == (found["macro"], found["worst_group"])
    with pytest.raises(RequestError, match="--labels 1000"):
        run("evaluate", *grouped, "--labels", 1000, "--output", tmp_path / "no")
    run("evaluate", *common, "--groups", "each", "--output", tmp_path / "each")
    with pytest.raises(RequestError, match=r"has no common and counter photos.*--groups"):
        run("compare", tmp_path / "each", "--output", tmp_path / "compared")

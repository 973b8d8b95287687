"""A user's own photos, groups and classes, from folders to screen and files."""

import numpy as np
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
    own = ("--classes", tmp_path / "classes.csv", "--groups", tmp_path / "groups.csv")
    common = ("--data", shelves, "--model", spec, "--cache", tmp_path / "cache", "--workers", 0, *own)
    (found,), _ = run("evaluate", *common, "--output", tmp_path / "out", "--json")
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
        run("evaluate", *common, "--labels", 1000, "--output", tmp_path / "no")


def test_backgrounds_without_groups(run, shelves, tiny_clip, tmp_path):
    """Photos without common and counter groups have accuracies and a worst background, but no drop."""
    own = ("--classes", tmp_path / "classes.csv", "--groups", "each")
    common = ("--data", shelves, "--model", f"open_clip:local-dir:{tiny_clip}", "--workers", 0, *own)
    (found,), _ = run("evaluate", *common, "--cache", tmp_path / "cache", "--output", tmp_path / "out", "--json")
    assert found["counts"] == {"classes": 2, "photos": 14}
    table = rows(tmp_path / "out" / "predictions.csv")
    right = np.array([row["class_index"] == row["predicted_index"] for row in table])
    kinds = np.array([row["class_index"] for row in table])
    assert found["micro"]["accuracy"] == pytest.approx(right.mean())
    assert found["macro"]["accuracy"] == pytest.approx(np.mean([right[kinds == kind].mean() for kind in set(kinds)]))
    low, high = found["intervals"]["macro"]["accuracy"]
    assert low <= found["macro"]["accuracy"] <= high
    assert {(b["background"], b["photos"]) for b in found["backgrounds"]} == {("shed", 5), ("sink", 3), ("table", 6)}
    assert "background" in found["worst_group"]
    with pytest.raises(RequestError, match=r"has no common and counter photos.*--groups"):
        run("compare", tmp_path / "out", "--output", tmp_path / "compared")

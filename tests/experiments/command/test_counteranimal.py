"""As a user would: inspect, evaluate two models and score; and what happens when the request or the
run goes wrong.
"""

import csv
import json
import sys
import tomllib
from functools import partial
from itertools import product
from pathlib import Path

import pytest
from laws.screens import misplaced

from experiments.command.counteranimal import summary_table
from experiments.errors import RequestError
from experiments.photos.models import load
from experiments.photos.options import Options
from experiments.photos.photos import read_photos
from experiments.photos.scoring import predict, score_photos
from tests.experiments.command.test_golden_screens import OWN
from tests.experiments.conftest import draw_photo
from tests.experiments.photos.test_models import saved

ROOT = Path(__file__).parents[3]


def rows(path):
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_from_photos_to_scores(run, tree, tiny_clip, squeezenet, tmp_path):
    (tree / "9 ostrich, Struthio camelus" / "common-ground" / "bad.jpg").write_bytes(b"x")
    document, _ = run("inspect", tree, "--json", "--output", tmp_path / "i")
    assert (document["n_common"], document["n_counter"]) == (17, 15)
    assert [u["path"] for u in document["unreadable"]] == [
        "9 ostrich, Struthio camelus/common-ground/bad.jpg"
    ]
    assert json.loads((tmp_path / "i" / "inspection.json").read_text()) == document

    clip = f"open_clip:local-dir:{tiny_clip}"
    common = ("--data", tree, "--cache", tmp_path / "cache", "--labels", 45)
    documents, _ = run(
        "evaluate",
        *common,
        "--model",
        clip,
        "--model",
        "torchvision:squeezenet1_1",
        "--weights",
        "-",
        "--weights",
        squeezenet,
        "--output",
        tmp_path / "both",
        "--json",
    )
    assert [d["model"] for d in documents] == [clip, "torchvision:squeezenet1_1"]
    first = documents[0]
    assert first["counts"] == {"classes": 3, "common": 14, "counter": 15, "left_out_classes": [30]}
    assert [s["path"] for s in first["skipped"]] == [
        "9 ostrich, Struthio camelus/common-ground/bad.jpg"
    ]
    assert (first["activation"], first["image_passes"]) == ("GELU", 32)
    assert first["equivalent"] is None
    few = "embeddings: class 9 ostrich, Struthio camelus has 5 rows in the common group"
    assert first["equivalent_lacks"].startswith(few)
    folders = sorted(p for p in (tmp_path / "both").iterdir())
    table = rows(folders[0] / "predictions.csv")
    assert {r["background"] for r in table if r["class_index"] == "16"} == {
        "sky",
        "branch-with-fruit",
        "grass",
    }
    answered = [r for r in table if r["group"] == "common" and r["class_index"] != "30"]
    right = [r["class_index"] == r["predicted_index"] for r in answered]
    assert first["micro"]["common"] == pytest.approx(sum(right) / len(right))
    drops = [float(c["drop"]) for c in rows(folders[0] / "per_class.csv") if c["drop"]]
    assert first["macro"]["drop"] == pytest.approx(sum(drops) / 3)
    assert json.loads((folders[0] / "summary.json").read_text()) == first
    wrong, seen = misplaced(partial(summary_table, verbose=True), documents)
    assert (wrong, seen > 20) == ([], True)

    again, _ = run(
        "evaluate",
        *common,
        "--model",
        clip,
        "--output",
        tmp_path / "one",
        "--json",
        "--prompts",
        "simple",
    )
    assert again[0]["image_passes"] == 0
    assert again[0]["macro"] == first["macro"]

    scored, _ = run(
        "score", folders[0] / "predictions.csv", "--labels", 45, "--name", "mine", "--json"
    )
    assert (scored[0]["macro"], scored[0]["intervals"]) == (first["macro"], first["intervals"])


def test_discover(run, photo, tmp_path, squeezenet):
    for background, seed in (("grass", 0), ("snow", 50), ("rare", 90)):
        for i in range(2 if background == "rare" else 6):
            photo(tmp_path / "photos" / "9 ostrich" / background / f"{i}.png", seed + i)
    common = (
        "--data",
        tmp_path / "photos",
        "--model",
        "torchvision:squeezenet1_1",
        "--weights",
        squeezenet,
    )
    how = ("--min-photos", 4, "--cache", tmp_path / "c", "--output", tmp_path / "o", "--json")
    document, _ = run("discover", *common, *how)
    assert document["classes"][0]["backgrounds"] == 2
    inspected, _ = run(
        "inspect",
        tmp_path / "photos",
        "--groups",
        tmp_path / "o" / "discovered-groups.csv",
        "--json",
    )
    assert (inspected["n_common"], inspected["n_counter"]) == (6, 6)
    assert inspected["strays"] == ["9 ostrich/rare"]
    assert rows(tmp_path / "o" / "discovered.csv")[0]["folder"] == "9 ostrich"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "class_index,group,predicted_index\n9,common,1\n9,common\n",
            "line 3 .* before its column 'predicted_index'",
        ),
        (
            "class_index,group,predicted_index\n9,common,x\n",
            "'x' in line 2 .* is not a whole number",
        ),
        (f"class_index,group,predicted_index\n9,common,{10**20}\n", f"'{10**20}' in line 2"),
        (
            "class_index,group,predicted_index\n5,common,1\n1000,common,1\n",
            "class_index '1000' in line 3 .*0..999",
        ),
        ("class_index,group,predicted_index\n9,easy,1\n", "neither 'common' nor 'counter'"),
        ("class_index,group,predicted_index\n9,common,1\n", "photos in both groups"),
    ],
)
def test_damaged_predictions_are_refused(run, tmp_path, text, expected):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(RequestError, match=expected):
        run("score", tmp_path / "p.csv")


@pytest.mark.parametrize(
    ("module", "model"),
    [
        ("open_clip", "open_clip:ViT-B-32/openai"),
        ("torchvision", "torchvision:resnet18"),
        ("timm", "timm:resnet18.a1_in1k"),
        ("transformers", "hf:openai/clip-vit-base-patch32"),
    ],
)
def test_a_model_asks_for_the_one_library_that_it_needs(monkeypatch, module, model):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, f"{module}.models", raising=False)
    extra = module.replace("_", "-")
    (needs,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ][extra]
    assert needs.startswith(extra)
    with pytest.raises(
        RequestError, match=rf"{module} is not installed.* pip install -e '\.\[{extra}\]'"
    ):
        load(model)


def test_verbs_need_no_library_that_they_do_not_use(run, photo, tmp_path, monkeypatch):
    """Tables and results need no extra; own classes and an own model, or one of transformers, no
    other library.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.csv").write_text("class_index,group,predicted_index\n9,common,9\n9,counter,1\n")
    for kind, place in product(("cat", "dog"), ("common-snow", "counter-sea")):
        photo(tmp_path / "photos" / kind / place / "1.png", len(kind + place))
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    (tmp_path / "own.py").write_text(OWN)
    saved(tmp_path / "clip", "clip")
    for library in ("open_clip", "timm", "torchvision"):
        monkeypatch.setitem(sys.modules, library, None)
    own = "evaluate --data photos --classes classes.txt --model python:own.py --model hf:clip"
    run(*own.split(), "--cache", "cache", "--output", "out")
    assert len(list((tmp_path / "out").glob("*/summary.json"))) == 2
    for library in ("transformers", "PIL"):
        monkeypatch.setitem(sys.modules, library, None)
    run("published")
    run("score", "p.csv", "--output", "s")


@pytest.mark.parametrize("verb", ["counteranimal published", "predict"])
def test_processes_of_torchrun_do_not_write_the_same_files(soberclip, monkeypatch, tmp_path, verb):
    monkeypatch.setenv("WORLD_SIZE", "2")
    run = soberclip(*verb.split(), "--output", tmp_path / "out")
    assert (run.status, run.err.count("\n"), (tmp_path / "out").exists()) == (2, 1, False)
    assert "torchrun" in run.err


CELLS = {("teacup", "table"): 4, ("teacup", "sink"): 3, ("saw", "table"): 2, ("saw", "shed"): 5}


@pytest.fixture
def shelves(tmp_path):
    root = tmp_path / "shelves"
    seed = 0
    for (kind, place), count in CELLS.items():
        for i in range(count):
            draw_photo(root / kind / place / f"{i}.png", seed)
            seed += 1
    (tmp_path / "classes.csv").write_text("class,name\nsaw,hand saw\nteacup,\nteapot,\n")
    (tmp_path / "groups.csv").write_text(
        "background,group\ntable,common\nsink,counter\nshed,counter\n"
    )
    return root


def test_own_classes_and_groups(run, shelves, tiny_clip, tmp_path):
    spec = f"open_clip:local-dir:{tiny_clip}"
    common = (
        "--data",
        shelves,
        "--model",
        spec,
        "--cache",
        tmp_path / "cache",
        "--classes",
        tmp_path / "classes.csv",
    )
    grouped = (*common, "--groups", tmp_path / "groups.csv")
    (found,), _ = run("evaluate", *grouped, "--output", tmp_path / "out", "--json")
    assert (found["labels"], found["class_names"]) == ("own", str(tmp_path / "classes.csv"))
    assert found["counts"] == {"classes": 2, "common": 6, "counter": 8, "left_out_classes": []}

    table = rows(tmp_path / "out" / "predictions.csv")
    options = Options(classes=tmp_path / "classes.csv")
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

"""The law from scores to verdicts, and the command on real photos."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from experiments.counteranimal import law as module
from experiments.counteranimal.compose import run as compose
from experiments.counteranimal.encoding import Encoded
from experiments.counteranimal.labels import LabelSpace, own_classes
from experiments.counteranimal.law import judge, ranking
from experiments.counteranimal.law import run as tried
from experiments.counteranimal.law_test import assess
from experiments.counteranimal.layouts import Files
from experiments.counteranimal.model_config import ModelConfig
from experiments.counteranimal.photos import Photo, PhotoSet
from experiments.counteranimal.scoring import Scored
from experiments.errors import RequestError
from tests.experiments.counteranimal.test_compose import draw_cutout
from tests.experiments.counteranimal.test_law_test import world

CLASSES = {2: "eel", 3: "owl", 5: "fox", 8: "ox", 9: "hen", 11: "bee"}


def drawn(n):
    """(scores of a world, with one missing; the same photos as a data set; their scores for twelve labels)."""
    photos = world(1, n=n)
    photos.scores[7, 0] = np.nan
    columns = np.array(list(CLASSES))
    listed = [
        Photo(f"{i:03}.jpg", int(columns[y]), "common" if common else "counter", f"ground {b}")
        for i, (y, common, b) in enumerate(zip(photos.truth, photos.common, photos.background, strict=True))
    ]
    scores = np.full((len(listed), 12), 1e3)
    scores[:, columns] = photos.scores
    tree = PhotoSet(Path("photos"), tuple(listed), CLASSES, (), Files(Path("photos")))
    return photos, tree, Scored(Encoded(listed, list(scores), {}, 0), scores)


def test_photos_are_judged_by_their_classes_columns():
    photos, tree, scored = drawn(40)
    document = judge(tree, scored, own_classes(list(CLASSES)), 0.06, 3)
    kept = np.arange(len(photos.truth)) != 7
    expected = assess(photos[kept], 0.06, 3)
    assert {name: document[name] for name in ("law", "own_effects", "reliance", "verdict")}.items() <= expected.items()
    assert [(c["class_index"], c["class"]) for c in document["classes"][::2]] == list(CLASSES.items())
    assert (document["labels"], document["unanswered"]) == (6, 1)


def model_document(name, t, drop):
    return {"model": name, "reliance": {"t": t}, "drop": drop}


def test_ranking_by_kendall():
    ordered = [model_document(str(k), k / 10, k / 20) for k in range(7)]
    found = ranking(ordered)
    assert (found["tau"], found["verdict"], found["models"]) == (1.0, "supported", 7)
    assert found["p"] == pytest.approx(2 / 5040)
    assert ranking([model_document(str(k), -k, k / 20) for k in range(7)])["verdict"] == "contradicted"
    assert ranking(ordered[:5])["verdict"] == "undecided"  # 2/120 is the least p of five
    assert ranking(ordered[:1])["tau"] is None
    assert ranking([*ordered, model_document("x", None, 0.1)])["models"] == 7
    assert ranking([model_document(str(k), 1.0, 0.5) for k in range(4)])["tau"] is None


def test_the_verb_on_composites(run, photo, tmp_path, tiny_clip, squeezenet):
    """No object is split, both models get a verdict, and the files hold the printed numbers."""
    rng = np.random.default_rng(2)
    for name, i in product(("ostrich", "brambling"), range(6)):
        draw_cutout(tmp_path / "objects" / name / f"{i}.png", tuple(rng.integers(256, size=3).tolist()))
    for name, i in product(("grass", "sky"), range(2)):
        photo(tmp_path / "scenes" / name / f"{i}.png", len(name) + i)
    folders = {"objects": tmp_path / "objects", "backgrounds": tmp_path / "scenes", "output": tmp_path / "tree"}
    compose(**folders, common=["ostrich=grass", "brambling=sky"], size=48)
    words = ("law", "--data", tmp_path / "tree", "--cache", tmp_path / "cache", "--output", tmp_path / "out")
    words += ("--workers", 0, "--model", f"open_clip:local-dir:{tiny_clip}", "--weights", "-")
    words += ("--model", "torchvision:squeezenet1_1", "--weights", squeezenet)
    document, _ = run(*words, "--json")
    assert json.loads((tmp_path / "out" / "law.json").read_text()) == document
    assert [m["scores"] for m in document["models"]] == ["cosines of unit vectors with prompts", "logits"]
    for m in document["models"]:
        assert m["photos_fitted"] == m["photos_measured"] == 24
        assert m["labels"] == 2
        assert m["verdict"] in ("supported", "contradicted", "undecided")
    assert document["ranking"]["verdict"] == "undecided"
    table = (tmp_path / "out" / "law.csv").read_text().splitlines()
    assert len(table) == 1 + 2 * 2 * 2
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".json", ".csv", ".svg", ".pdf", ".png"}
    text, _ = run(*words)
    assert all(m["reason"] in text for m in document["models"])


def test_wrong_requests(tmp_path, shared_tree, monkeypatch):
    models = ModelConfig(models=["torchvision:squeezenet1_1"])
    kwargs = {"data": shared_tree, "models": models, "output": tmp_path / "out"}
    with pytest.raises(RequestError, match="tolerance 1 "):
        tried(**kwargs, tolerance=1.0)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match="pixels"):
        tried(**kwargs)
    assert not (tmp_path / "out").exists()


def test_labels_that_depend_on_the_true_class_are_refused():
    sets = {index: (index, 2 if index > 2 else 3) for index in CLASSES}
    with pytest.raises(RequestError, match="depend on the true class"):
        judge(*drawn(4)[1:], LabelSpace("20", sets), 0.03, 0)
    with pytest.raises(RequestError, match="at least two labels"):
        judge(*drawn(4)[1:], LabelSpace("own", dict.fromkeys(CLASSES, (0,))), 0.03, 0)

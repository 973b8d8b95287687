"""From photos on disk to verdicts: a linear tower reads what was drawn, real verbs write what they print."""

import json
from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image

from experiments.counteranimal import law as module
from experiments.counteranimal.compose import run as compose
from experiments.counteranimal.encoding import Runtime
from experiments.counteranimal.labels import LabelSpace, Vocabulary, own_classes
from experiments.counteranimal.law import judge, ranking
from experiments.counteranimal.law import run as tried
from experiments.counteranimal.model import LoadedModel
from experiments.counteranimal.model_config import ModelConfig
from experiments.counteranimal.photos import read_photos
from experiments.counteranimal.scoring import score_photos
from experiments.errors import RequestError
from tests.experiments.counteranimal.test_compose import draw_cutout

SIDE, D = 6, 12
NAMES = ("owl", "fox", "eel")
VOCABULARY = Vocabulary(NAMES, "mine", imagenet=False)


def draw(root, photos):
    """Write PNGs of noise about class plus background; return the classes' means."""
    rng = np.random.default_rng(8)
    classes, grounds = (rng.normal(0, 16, (3, SIDE, SIDE, 3)) for _ in range(2))
    grounds = (grounds + classes) / 2  # a class's common background looks like it
    for k, name in enumerate(NAMES):
        for i in range(2 * photos):
            group, b = ("common", k) if i % 2 else ("counter", (k + 1 + rng.integers(2)) % 3)
            image = 128 + classes[k] + grounds[b] + rng.normal(0, 20, (SIDE, SIDE, 3))
            folder = root / name / f"{group}-{'abc'[b]}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(folder / f"{i}.png")
    return torch.from_numpy(classes).float().reshape(3, -1)


def tower(classes):
    """A CLIP without secrets: a random linear map of pixels, and prompts that are the maps of class means."""
    matrix = torch.from_numpy(np.random.default_rng(9).normal(size=(D, SIDE * SIDE * 3))).float()

    def tokens(texts):
        return torch.tensor([[next((k for k, name in enumerate(NAMES) if name in text), 0)] for text in texts])

    return LoadedModel(
        "CLIP",
        torch.nn.Identity(),
        lambda pixels: pixels.flatten(1) @ matrix.T,
        lambda image: torch.from_numpy(np.asarray(image, dtype=np.float32) - 128),
        lambda ids: classes[ids[:, 0]] @ matrix.T,
        tokens,
    )


def drawn_scores(folder, photos):
    model = tower(draw(folder / "photos", photos))
    tree = read_photos(folder / "photos", vocabulary=VOCABULARY)
    return tree, score_photos(tree, model, VOCABULARY, ("A photo of {}.",), Runtime(), folder / "cache")


def test_photos_rendered_from_a_gaussian_are_predicted(tmp_path):
    found = judge(*drawn_scores(tmp_path, 150), own_classes([0, 1, 2]), 0.06, 0)
    law = found["law"]
    assert found["verdict"] in ("supported", "undecided")
    for group in ("common", "counter"):
        low, high = law[group]["bounds"]
        assert low <= 0 <= high
        assert law["groups"][group]["predicted"] == pytest.approx(law["groups"][group]["measured"], abs=0.06)
    assert {c["class"] for c in found["classes"]} == set(NAMES)
    assert (found["labels"], found["unanswered"]) == (3, 0)
    assert found["reliance"]["t"] > 0


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
    """Objects stay whole, both models are judged, and files hold what is printed."""
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


def test_labels_that_look_at_the_answer_are_refused(tmp_path):
    drawn = drawn_scores(tmp_path, 4)
    with pytest.raises(RequestError, match="depend on the true class"):
        judge(*drawn, LabelSpace("20", {0: (0, 1), 1: (0, 1), 2: (1, 2)}), 0.03, 0)
    with pytest.raises(RequestError, match="two labels at least"):
        judge(*drawn, LabelSpace("own", {0: (0,), 1: (0,), 2: (0,)}), 0.03, 0)

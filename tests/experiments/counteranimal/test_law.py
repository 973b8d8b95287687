"""A true law is supported and seldom contradicted, a false one is contradicted; the command on real photos."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom
from stattest import SHARE, spend

from experiments.counteranimal import law as module
from experiments.counteranimal.encoding import Encoded
from experiments.counteranimal.evaluation import ModelConfig
from experiments.counteranimal.gaussian_law import Scores
from experiments.counteranimal.labels import LabelSpace, own_classes
from experiments.counteranimal.law import ALPHA, assess, judge, run, square_bounds
from experiments.counteranimal.layouts import Files
from experiments.counteranimal.photos import Photo, PhotoSet
from experiments.counteranimal.scoring import Scored
from experiments.errors import RequestError

CLASSES = {2: "eel", 3: "owl", 5: "fox", 8: "ox", 9: "hen", 11: "bee"}


def world(seed, K=6, n=100, B=3, d=12, interaction=0.0, modes=0.0):
    """Features are class + background + noise, scored by K random prompts; `interaction` and `modes` break the law."""
    rng = np.random.default_rng(seed)
    W, a = rng.normal(size=(K, d)), rng.normal(size=(B, d)) / 2
    m = rng.normal(size=(K, d)) / 3 + W / 3
    own, root = rng.normal(size=(K, B, d)) * interaction, rng.normal(size=(d, d)) / np.sqrt(d)
    y, common = np.repeat(np.arange(K), 2 * n), np.tile(np.repeat([True, False], n), K)
    b = np.where(common, y % B, (y + 1 + rng.integers(B - 1, size=len(y))) % B)
    x = m[y] + a[b] + own[y, b] + rng.normal(size=(len(y), d)) @ root
    x += modes * rng.choice([-1, 1], size=(len(y), 1)) * (W[y] - W[(y + 1) % K]) / 4
    return Scores(x @ W.T, y, b, common)


def test_photos_of_a_gaussian_are_predicted_within_the_bounds():
    document = assess(world(0, n=2500), 0.03, redraws=30)
    law = document["law"]
    assert document["verdict"] == "supported"
    for name in ("common", "counter"):
        low, high = law[name]["bounds"]
        assert low <= 0 <= high
        assert law["groups"][name]["predicted"] == pytest.approx(law["groups"][name]["measured"], abs=0.03)
    off = [(c["predicted"] - c["measured"]) / c["standard_error"] for c in document["classes"]]
    assert np.abs(off).max() < 4
    assert document["photos_fitted"] + document["photos_measured"] == 6 * 2 * 2500


@pytest.mark.parametrize("broken", [{"interaction": 1.0}, {"modes": 2.5}])
def test_a_false_law_is_contradicted(broken):
    """Backgrounds that act on classes differently, and scores that are not Gaussian."""
    assert assess(world(3, n=600, **broken), 0.03, redraws=30)["verdict"] == "contradicted"


@pytest.mark.deep
def test_how_often_a_true_law_is_contradicted():
    """Without tolerance, the worst case: the test accepts a rate of at most twice ALPHA over these seeds."""
    spend(SHARE)
    trials = 400
    hits = sum(
        assess(world(100 + s, K=3, n=40, B=2, d=6), 1e-9, s, 40)["verdict"] == "contradicted" for s in range(trials)
    )
    assert hits <= binom.ppf(1 - SHARE, trials, 2 * ALPHA), hits


def test_bounds_of_squares_cover():
    """Normal noise around true errors with RMS .04: each bound misses at its nominal rate."""
    spend(SHARE)
    rng, trials, tail = np.random.default_rng(6), 400, 0.05
    true = rng.normal(size=(8, 2))
    true *= 0.04 / np.sqrt((true**2).mean())
    variance = rng.uniform(0.0005, 0.003, size=(8, 2))
    off = true + np.sqrt(variance) * rng.normal(size=(trials, 8, 2))
    low, high = np.array([square_bounds(one, variance, tail) for one in off]).T
    for missed in ((low > 0.04).sum(), (high < 0.04).sum()):
        assert missed <= binom.ppf(1 - SHARE / 2, trials, 1.3 * tail)
        assert missed >= binom.ppf(SHARE / 2, trials, 0.5 * tail)
    none = np.zeros((3, 2))
    assert square_bounds(none, none, tail) == (0.0, pytest.approx(0, abs=1e-6))
    assert square_bounds(none, none, tail, floor=none + 0.002)[1] > 0.03  # a perfect sample proves little


def test_few_photos_that_are_all_right_show_little():
    y = np.repeat([0, 1, 2], 40)
    b, common = np.where(np.arange(120) % 2, y, (y + 1) % 3), np.arange(120) % 2 == 1
    scores = 100.0 * np.eye(3)[y] + np.random.default_rng(0).normal(size=(120, 3))
    document = assess(Scores(scores, y, b, common), 0.03, redraws=10)
    assert document["verdict"] == "undecided"
    assert document["law"]["rms"]["value"] == 0
    assert document["law"]["rms"]["bounds"][1] > 0.03


def test_photos_without_a_second_group_are_refused():
    photos = world(0, n=5)
    with pytest.raises(ValueError, match="no class has photos left to measure in both groups"):
        assess(photos[photos.common], 0.03)


def test_photos_are_judged_by_their_classes_columns():
    """Twelve labels, of which the photos have six; one photo has no finite score."""
    photos, columns = world(1, n=40), np.array(list(CLASSES))
    photos.scores[7, 0] = np.nan
    listed = [
        Photo(f"{i:03}.jpg", int(columns[y]), "common" if common else "counter", f"ground {b}")
        for i, (y, common, b) in enumerate(zip(photos.truth, photos.common, photos.background, strict=True))
    ]
    scores = np.full((len(listed), 12), 1e3)
    scores[:, columns] = photos.scores
    tree = PhotoSet(Path("photos"), tuple(listed), CLASSES, (), Files(Path("photos")))
    scored = Scored(Encoded(listed, list(scores), {}, 0), scores)
    document = judge(tree, scored, own_classes(list(CLASSES)), 0.06, 3)
    expected = assess(photos[np.arange(len(photos.truth)) != 7], 0.06, 3)
    assert (document["law"], document["verdict"]) == (expected["law"], expected["verdict"])
    assert [(c["class_index"], c["class"]) for c in document["classes"][::2]] == list(CLASSES.items())
    assert (document["labels"], document["unanswered"]) == (6, 1)
    with pytest.raises(RequestError, match="at least two labels"):
        judge(tree, scored, LabelSpace("own", dict.fromkeys(CLASSES, (0,))), 0.03, 0)


def test_the_verb_on_photos(request, photo, tmp_path, tiny_clip, squeezenet):
    """Both models get a verdict, and the files hold the printed numbers."""
    for k, (name, place) in enumerate(product(("ostrich", "brambling"), ("common-grass", "counter-sky"))):
        for i in range(12):
            photo(tmp_path / "photos" / name / place / f"{i}.png", 12 * k + i)
    command = request.getfixturevalue("run")
    words = ("law", "--data", tmp_path / "photos", "--cache", tmp_path / "cache", "--output", tmp_path / "out")
    words += ("--workers", 0, "--model", f"open_clip:local-dir:{tiny_clip}", "--weights", "-")
    words += ("--model", "torchvision:squeezenet1_1", "--weights", squeezenet)
    document, _ = command(*words, "--json")
    assert json.loads((tmp_path / "out" / "law.json").read_text()) == document
    assert [m["scores"] for m in document["models"]] == ["cosines of unit vectors with prompts", "logits"]
    for m in document["models"]:
        assert m["photos_fitted"] == m["photos_measured"] == 24
        assert m["labels"] == 2
        assert m["verdict"] in ("supported", "contradicted", "undecided")
    table = (tmp_path / "out" / "law.csv").read_text().splitlines()
    assert len(table) == 1 + 2 * 2 * 2
    text, _ = command(*words)
    assert all(m["reason"] in text for m in document["models"])


def test_wrong_requests(tmp_path, shared_tree, monkeypatch):
    models = ModelConfig(models=["torchvision:squeezenet1_1"])
    kwargs = {"data": shared_tree, "models": models, "output": tmp_path / "out"}
    with pytest.raises(RequestError, match="tolerance 1 "):
        run(**kwargs, tolerance=1.0)
    composites = PhotoSet(tmp_path, (Photo("a", 9, "common", "sand", "ostrich"),), {9: "ostrich"}, (), Files(tmp_path))
    monkeypatch.setattr(module, "read_photos", lambda *_: composites)
    with pytest.raises(RequestError, match="share their objects"):
        run(**kwargs)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match="pixels"):
        run(**kwargs)
    assert not (tmp_path / "out").exists()

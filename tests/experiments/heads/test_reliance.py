"""Planted embeddings: p' and r are the theory's, intervals cover, predicted gains are found; the
verb and its files.
"""

import csv
import json
import re
import sys
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import photo_coverage
import pytest
import torch
from planted_embeddings import WORLD, balanced, example, planted, unit, zero_shot_accuracy
from scipy.stats import binom
from stattest import SHARE, spend

from experiments import embeddings
from experiments.benchmarks import coverage
from experiments.command.embeddings import reliance_screen
from experiments.errors import RequestError
from experiments.heads import fitting, reliance
from experiments.heads.intervals import by_class, counted, drawn_over_classes, over_classes, worth
from experiments.heads.least_regret import (
    WEIGHTS,
    best_answers,
    ranked,
    smooth,
    trade,
    width_within,
)
from experiments.heads.tables import data_share
from experiments.inference import binomial_bounds
from experiments.photos import evaluation
from experiments.results import FEWEST, GROUPS, QUANTITIES
from simulator.accuracy import PLACE
from tests.experiments.conftest import shown
from theory import equivalent

README = Path(reliance.__file__).parents[1] / "counteranimal" / "README.md"


def test_the_place_of_zero_shot_is_the_theorys():
    """At 12,000 rows the curve found is nearly the ideal one: its rules are the law's."""
    spend(SHARE)
    result = embeddings(**planted(np.random.default_rng(5), 12_000, 4, reliance=2.0))
    zero = result["heads"][0]
    exact = zero_shot_accuracy(2.0)
    theory = equivalent(WORLD, exact)
    for name, value in zip(GROUPS, exact, strict=True):
        assert zero["interval"][name][0] < value < zero["interval"][name][1]
    assert zero["equivalent_correlation"] == pytest.approx(float(theory.correlation), abs=0.03)
    low, high = zero["interval"]["equivalent_correlation"]
    assert low <= theory.correlation <= high <= low + 0.06
    # nothing lies above the curve by more than its error
    for entry in [*result["heads"], *result["fixes"]]:
        assert 0 <= entry["shortfall"] <= entry["interval"]["shortfall"][1]
    assert zero["shortfall"] == pytest.approx(float(theory.shortfall), abs=0.003)
    for point in result["curve"][12:61:12]:  # the curve found is the ideal one
        ideal = equivalent(WORLD, type(exact)(point["common"], point["counter"]))
        assert float(ideal.correlation) == pytest.approx(point["weight"], abs=0.03)
        assert abs(float(ideal.shortfall)) < 0.01


def test_without_prompts_supervised_heads_are_measured_alone_and_tensors_are_arrays():
    arrays = planted(np.random.default_rng(2), 400, 4)
    with_prompts = embeddings(**arrays)
    result = embeddings(**{**arrays, "text": None})
    assert [head["head"] for head in result["heads"]] == [
        head["head"] for head in with_prompts["heads"][1:]
    ]
    for head, same in zip(result["heads"], with_prompts["heads"][1:], strict=True):
        assert {group: head[group] for group in GROUPS} == {group: same[group] for group in GROUPS}
        assert (head["interval_over_classes"], head["unseen"]) == (None, None)
    assert (result["fixes"], result["prompts_per_class"], result["detail"]) == ([], 0, None)
    tensors = {name: torch.tensor(a) if a.dtype.kind == "f" else a for name, a in arrays.items()}
    assert json.loads(json.dumps(embeddings(**tensors), allow_nan=False)) == with_prompts
    assert embeddings(**arrays, seed=1)["heads"][1] != with_prompts["heads"][1]
    with pytest.raises(RequestError, match="seed = -1"):
        embeddings(**arrays, seed=-1)


def check_coverage(hits, trials, share=SHARE, misses=0.07):
    """Misses are those of 95 % intervals, at most this share of them."""
    spend(len(hits) * share)
    assert min(hits.values()) >= trials - binom.ppf(1 - share, trials, misses), hits


def record(file, sets, misses):
    """The rows of a CSV of coverage, each of so many data sets."""
    rows = list(csv.DictReader(file.read_text().splitlines()))
    for row in rows:
        covered = int(row["covered"])
        n = sets(row)
        assert (int(row["data_sets"]), float(row["level"])) == (n, 0.95)
        assert float(row["share"]) == round(covered / n, 4)
        check_coverage({tuple(row.values()): covered}, n, misses=misses)
    return rows


@pytest.mark.deep
def test_intervals_cover():
    """A coverage of 71 % in all three worlds, or of 48 % in one, fails with probability .96."""
    every = Counter()
    trials = 34
    for world in coverage.WORLDS.values():
        hits = Counter()
        for seed in range(1000, 1000 + trials):
            hits.update({key: int(held) for key, held in coverage.held(world, 2, seed).items()})
        check_coverage(hits, trials, SHARE / 2)
        every += hits
    check_coverage(every, 3 * trials, 1.5 * SHARE)


def test_the_record_of_coverage():
    """The CSV of `experiments.benchmarks.coverage`, its words in the README, and one of its data
    sets again.
    """
    rows = record(coverage.FILE, lambda row: coverage.SETS, 0.07)
    assert {(row["world"], int(row["classes"])) for row in rows} == {
        *product(coverage.WORLDS, coverage.CLASSES)
    }
    words = README.read_text(encoding="utf-8")
    for number, name in zip(PLACE, ("p′", "r"), strict=True):
        shares = [100 * float(row["share"]) for row in rows if row["number"] == number]
        assert f"{name} in {min(shares):.0f} to {max(shares):.0f} %" in words
    held = coverage.held(coverage.WORLDS["Gaussian"], 2, 1)
    assert {(row["head"], row["number"]) for row in rows} == held.keys()


@pytest.mark.deep
def test_intervals_over_classes_cover():
    """12 classes of a population, eight heads on a curve, one below; a coverage of 72 % fails with
    probability .96.
    """
    hits = Counter()
    trials = 100
    C = 12
    photos = 300
    weight = np.linspace(0, 1, 8)
    exact = np.array(
        [[0.62, *(0.5 + 0.4 * np.sqrt(weight))], [0.5, *(0.5 + 0.4 * np.sqrt(1 - weight))]]
    )
    best = (np.outer(WEIGHTS, exact[0]) + np.outer(1 - WEIGHTS, exact[1])).max(axis=1)
    curve, _ = smooth(best, width_within(best, np.zeros((len(best), len(best)))))
    drop = exact[0, 0] - exact[1, 0]
    values = dict(zip(QUANTITIES, (*exact[:, 0], drop), strict=True))
    values |= dict(
        zip(
            PLACE,
            (curve.weight(drop), max(curve.balanced(drop) - exact[:, 0].mean(), 0)),
            strict=True,
        )
    )
    group = np.repeat(np.arange(2 * C), photos)
    for seed in range(trials):
        rng = np.random.default_rng(seed)
        ease = rng.uniform(-0.1, 0.1, size=(C, 2, 1))  # of a class and group, for all heads
        own = rng.uniform(-0.05, 0.05, size=(C, 2, 9))
        chance = np.repeat((exact + ease + own).reshape(2 * C, 9), photos, axis=0)
        right = rng.random((len(chance), 1)) < chance  # heads agree on easy photos
        every = np.hstack([right, *best_answers(right, group, np.random.default_rng(seed))])
        each, correct = by_class(every, group)
        means = correct / each[..., None]
        _, _, (place, *_), _ = trade(
            means.mean(axis=0), drawn_over_classes(means, rng), worth(each), rng
        )
        over = place["interval"]
        over |= over_classes(counted(np.arange(C), each, correct[:, :, 0]), "macro", seed, 1000)
        for name, (low, high) in over.items():
            hits[name] += low <= values[name] <= high
    check_coverage(hits, trials)


def test_many_classes_with_a_split_are_counted_by_hand():
    """Accuracies, gains and their intervals class by class, of so many classes that intervals are
    over classes, too.
    """
    rng = np.random.default_rng(3)
    K = FEWEST
    n = 2500
    label = rng.choice(K, n, p=np.linspace(1, 2, K) / 15)
    background = np.where(rng.random(n) < 0.5, label, (label + rng.integers(1, K, size=n)) % K)
    objects, scenes = rng.normal(size=(2, K, 12))
    x = unit(objects[label] + scenes[background] + 2 * rng.normal(size=(n, 12)))
    group = np.where(label == background, *GROUPS)
    prompts = unit((objects + scenes / 2)[:, None] + rng.normal(size=(K, 3, 12)))
    test = rng.random(n) < 0.6
    given = {"split": np.where(test, "test", "train"), "names": [f"animal {k}" for k in range(K)]}
    result = embeddings(
        image=x, label=label, group=group, text=prompts, text_background=np.eye(3, 12), **given
    )

    q = unit(prompts.mean(axis=1))
    # without the differences of the captions, which are the first three unit vectors
    apart = q.copy()
    apart[:, :3] = q[:, :3].mean(axis=1, keepdims=True)
    fix = "project out the captions of backgrounds"
    decided = {
        "zero-shot": np.array([np.argmax([row @ own for own in q]) for row in x]),
        fix: np.array([np.argmax([row @ own for own in apart]) for row in x]),
    }
    right = {
        (name, g, y): (answers == label)[test & (label == y) & (group == g)]
        for (name, answers), g, y in product(decided.items(), GROUPS, range(K))
    }
    found = {
        entry.get("head") or entry["fix"]: entry for entry in [*result["heads"], *result["fixes"]]
    }
    for name, g in product(decided, GROUPS):
        assert found[name][g] == pytest.approx(
            np.mean([right[name, g, y].mean() for y in range(K)]), abs=1e-9
        )
    for g in GROUPS:
        leads = [right[fix, g, y].astype(float) - right["zero-shot", g, y] for y in range(K)]
        worth = K**2 / sum(1 / len(lead) for lead in leads)
        error = np.sqrt(sum(lead.var(ddof=1) / len(lead) for lead in leads) / K**2 + 2 / worth**2)
        gain = np.mean([lead.mean() for lead in leads])
        assert abs(gain) > 0.01
        assert found[fix]["gain"][g] == pytest.approx(gain, abs=1e-9)
        low, high = found[fix]["gain_interval"][g]
        assert (low, high) == pytest.approx(
            (gain - 1.959964 * error, gain + 1.959964 * error), abs=1e-5
        )
    worst = min(product(GROUPS, range(K)), key=lambda cell: right["zero-shot", *cell].mean())
    least = found["zero-shot"]["worst_group"]
    assert (least["group"], least["class"], least["name"]) == (*worst, f"animal {worst[1]}")
    for head in result["heads"]:
        over = head["interval_over_classes"]
        known = [name for name in (*QUANTITIES, *PLACE) if head[name] is not None]
        assert all(over[name][0] <= head[name] <= over[name][1] for name in known)
        assert np.ptp(over["common"]) > np.ptp(head["interval"]["common"])
    assert len({tuple(head["interval_over_classes"][PLACE[1]]) for head in result["heads"]}) == 4, (
        "each has its own"
    )
    assert sum(result["rows_measured"].values()) == test.sum()
    shares = [(group[~test & (label == y)] == "common").mean() for y in range(K)]
    assert result["correlation_of_train_rows"] == pytest.approx(np.mean(shares))


def test_heads_have_not_seen_what_they_answer(monkeypatch):
    """Labels are independent of 100 coordinates, which 200 fitted rows could learn by heart. Limits
    are noted.
    """
    for module in (fitting, reliance):
        monkeypatch.setattr(module, "FIT_ROWS", 200)
    arrays = planted(np.random.default_rng(7), 800, 100)
    result = embeddings(**arrays | {"image": np.random.default_rng(8).normal(size=(800, 101))})
    spend(8 * SHARE)
    for head in result["heads"]:
        for group in GROUPS:
            assert abs(head[group] - 0.5) < 0.14  # 5.5 standard errors of 400 answers
    assert [[*map(int, re.findall(r"\d+", note))] for note in result["notes"][1:]] == [[200, 400]]


def test_a_small_group_survives_the_limits(monkeypatch):
    """Class 2 has 8 counter photos among 908; at random 100 of them would leave none to fit."""
    monkeypatch.setattr(fitting, "FIT_ROWS", 100)
    label = np.repeat([0, 1, 2], [300, 300, 308])
    group = np.repeat(3 * ["common", "counter"], [150, 150, 150, 150, 300, 8])
    image = np.random.default_rng(0).normal(size=(len(label), 6)) + np.eye(6)[label]
    result = embeddings(image=image, label=label, group=group, text=np.eye(3, 6))
    assert result["heads"][0]["worst_group"]["photos"] >= 8
    assert all(0 <= entry[g] <= 1 for entry in [*result["heads"], *result["fixes"]] for g in GROUPS)


def test_the_example_is_as_drawn_and_has_the_truth_of_the_first_page():
    """experiments/counteranimal/example.npz, its picture, and the words of the README."""
    root = Path(reliance.__file__).parents[2]
    file = root / "experiments" / "counteranimal" / "example.npz"
    assert file.stat().st_size < 200_000
    arrays = dict(np.load(file, allow_pickle=False))
    drawn = example()
    assert arrays.keys() == drawn.keys()
    assert all((arrays[name] == drawn[name]).all() for name in drawn)
    spend(2 * SHARE)
    result = embeddings(**arrays)
    theory = equivalent(WORLD, zero_shot_accuracy(0.5))
    zero = result["heads"][0]
    low, high = zero["interval"]["equivalent_correlation"]
    assert low <= theory.correlation <= high
    assert result["detail"]["correlations"][0]["value"] == pytest.approx(0.5, abs=0.1)
    words = (root / "README.md").read_text(encoding="utf-8")
    assert f"p′ {zero['equivalent_correlation']:.2f} ({low:.2f} to {high:.2f})" in words
    assert f"theory says {theory.correlation:.3f}" in words
    assert (root / ".readme" / "embeddings.svg").read_text(encoding="utf-8").startswith("<svg")


def test_the_share_of_the_data_stands_beside_that_of_the_model():
    model = {"correlation_of_train_rows": 0.9, "rows_measured": {"common": 30, "counter": 10}}
    model["heads"] = [{"head": "zero-shot", "equivalent_correlation": 0.75}]
    for p, parts in ((0.9, ("0.900", "-0.150")), (None, ("unknown", "75 %"))):
        sentence = data_share(model | {"correlation_of_train_rows": p})
        assert all(part in sentence for part in parts), sentence


def test_embeddings_without_spread_are_refused_in_a_sentence(tmp_path, soberclip):
    """Logits [s, 0], always right. Other models go on; heads fitted to rows that vary resolve no
    p'.
    """
    label = np.arange(200) % 2
    s = np.random.default_rng(0).uniform(3, 9, 200)
    arrays = {"image": np.column_stack([np.where(label, s, -s), np.zeros(200)]), "label": label}
    arrays |= {
        "group": np.where(np.arange(200) // 2 % 2, *GROUPS),
        "text": np.array([[-1.0, 0.0], [1.0, 0.0]]),
    }
    np.savez(tmp_path / "sure.npz", **arrays)
    np.savez(tmp_path / "good.npz", **planted(np.random.default_rng(0), 400))
    words = (
        "no head can be fitted: the embeddings do not vary in every direction within their class"
        " and background"
    )
    run = soberclip("embeddings", tmp_path / "sure.npz")
    assert (run.status, run.err.count("\n"), words in run.err) == (2, 1, True)
    run = soberclip(
        "embeddings", tmp_path / "sure.npz", tmp_path / "good.npz", "--output", tmp_path / "out"
    )
    assert run.status == 0
    assert f"sure has no p′: {words}" in " ".join(run.out.split())
    document = json.loads((tmp_path / "out" / "result.json").read_text())
    names = [
        [model["model"] for model in document[part]] for part in ("models", "equivalent_lacks")
    ]
    assert names == [["good"], ["sure"]]
    assert "sure has no p′" in (tmp_path / "out" / "embeddings.html").read_text()
    arrays["split"] = np.repeat(["train", "test"], 100)
    arrays["image"][:100] += np.random.default_rng(1).normal(size=(100, 2))
    for head in embeddings(**arrays)["heads"]:
        assert (head["common"], head["counter"], head["equivalent_correlation"]) == (1, 1, None)
        assert 0 <= head["shortfall"] <= head["interval"]["shortfall"][1]


def test_models_on_the_same_photos_are_told_apart_by_their_difference():
    """Two prompts of nearly equal reliance overlap widely, yet err on the same photos; a twin is
    never told apart.
    """
    prompts = {"more": 0.8, "less": 0.55}
    photos = {
        name: planted(np.random.default_rng(4), 1500, reliance=weight)
        for name, weight in prompts.items()
    }
    heads = {name: embeddings(**one)["heads"][0] for name, one in photos.items()}
    heads["twin"] = heads["more"]
    found = ranked(heads)
    assert found["ranking"] == ["less", "more", "twin"]
    assert found["not_distinguished"] == ["twin"]


def test_replicates_have_the_errors_of_the_interval():
    spend(SHARE)
    head = embeddings(**planted(np.random.default_rng(5), 3000))["heads"][0]
    low, high = head["interval"]["equivalent_correlation"]
    assert low < np.mean(head["replicates"]) < high
    # The ends are 2.33 errors away; 200 replicates know their deviation to 5 %.
    assert np.std(head["replicates"]) == pytest.approx((high - low) / 2 / 2.33, rel=0.25)


def test_coverage_at_few_photos_is_at_least_the_level():
    """The record of photo_coverage.py: 20, 40 and 100 photos per group."""
    rows = record(photo_coverage.FILE, lambda row: photo_coverage.DATA_SETS[row["verb"]], 0.05)
    kinds = product(
        (("place", "p"), ("evaluate", "p"), ("evaluate", "drop")), photo_coverage.PHOTOS
    )
    assert {((row["verb"], row["number"]), int(row["photos"])) for row in rows} == {*kinds}
    words = README.read_text(encoding="utf-8")
    for verb in ("place", "evaluate"):
        shares = [
            float(row["share"]) for row in rows if (row["verb"], row["number"]) == (verb, "p")
        ]
        assert f"by `{verb}` in {100 * min(shares):.1f} to {100 * max(shares):.1f} %" in words
    assert photo_coverage.placed(40, 1)["p"], "the script runs"


def test_unseen_accuracy_is_a_mean_over_classes():
    """On a background of their own lie 40 rows of class 1 and 8 of class 0, with flipped labels;
    nothing else moves.
    """
    arrays = planted(np.random.default_rng(3), 1200)
    del arrays["group"]
    arrays["split"] = np.where(np.arange(1200) < 600, "train", "test")
    arrays["background"] = np.where(np.arange(1200) % 3 > 0, arrays["label"], arrays["background"])
    plain = embeddings(**arrays)
    own = [arrays["image"][arrays["label"] == y] for y in (0, 1)]
    more = {"image": np.concatenate([arrays["image"], own[0][:40], own[1][:8]])}
    for name, values in (
        ("label", [1] * 40 + [0] * 8),
        ("split", ["test"] * 48),
        ("background", [9] * 48),
    ):
        more[name] = np.append(arrays[name], values)
    result = embeddings(**arrays | more)
    assert result["rows_measured"] == {**plain["rows_measured"], "unseen": 48}
    every = [*result["heads"], *result["fixes"]]
    before = [*plain["heads"], *plain["fixes"]]
    for head, same in zip(every, before, strict=True):
        low, high = head["unseen"]["interval"]
        assert low <= head["unseen"]["accuracy"] <= high
        assert {**head, "unseen": None} == same
    wrong = [
        np.mean(own[y][:n] @ np.subtract(*arrays["text"][[y, 1 - y]]) > 0)
        for y, n in ((0, 40), (1, 8))
    ]
    zero = result["heads"][0]["unseen"]["accuracy"]
    assert zero == pytest.approx(1 - np.mean(wrong))
    effective = 1 / (0.5**2 / 40 + 0.5**2 / 8)  # photos of one class with the same error
    assert result["heads"][0]["unseen"]["interval"] == pytest.approx(
        [*binomial_bounds(zero * effective, effective, 0.025)]
    )
    assert abs(1 - np.average(wrong, weights=(40, 8)) - zero) > 0.02


def test_the_verb_and_its_files(tmp_path, soberclip, monkeypatch):
    """A model with 10 photos per class and group has no resolved p', so it is left out of the
    order.
    """
    files = [tmp_path / f"{name}.npz" for name in ("few", "one", "<b>two")]
    out = tmp_path / "out"
    np.savez(files[0], **balanced(np.random.default_rng(0), 20))
    for k, file in enumerate(files[1:]):
        np.savez(file, **planted(np.random.default_rng(k), 800, reliance=0.3 + k))
    document = soberclip("embeddings", *files, "--json", "--output", out).document
    assert document == json.loads((out / "result.json").read_text())
    assert document["ranking"]["equivalent_correlation"] == ["one", "<b>two"]
    assert sorted(document["ranking"]["shortfall"]) == ["<b>two", "few", "one"]
    assert document["unresolved"] == ["few"]
    html = (out / "embeddings.html").read_text()
    assert "<b>two" not in html
    assert "1 of 3 models is left out" in html
    assert len((out / "embeddings.csv").read_text().splitlines()) == 1 + 3 * (4 + 7)
    assert "p′: one, <b>two; 1 of 3 models is left out" in shown(
        reliance_screen(document, verbose=False)
    )
    # its own files are replaced
    assert soberclip("embeddings", files[0], "--output", out).status == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "embeddings.csv").write_text("mine")
    for words in ((files[0], "--output", tmp_path / "mine"), (), (files[0], files[0])):
        assert soberclip("embeddings", *words).status == 2
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert "pip install -e '.[embeddings]'" in soberclip("embeddings", files[0]).err


CLASSIFIER = """
from types import SimpleNamespace
import numpy, torch

def model():  # of three labels, the last of which never wins
    return SimpleNamespace(
        preprocess=lambda image: torch.tensor(numpy.asarray(image)[:8, :8]).permute(2, 0, 1) / 255,
        logits=lambda pixels: (pixels.mean((2, 3)) - torch.tensor([0.0, 0.0, 5.0]))[:, :3],
    )
"""


@pytest.mark.parametrize(
    ("kind", "groups", "backgrounds"),
    [("clip", ("common-grass", "counter-sky"), 2), ("classifier", ("common", "counter"), 4)],
)
def test_an_evaluation_writes_the_file(
    run, photo, tmp_path, tiny_clip, kind, groups, backgrounds, monkeypatch
):
    """The first head of the file is the evaluated model among the photos' classes; its scores embed
    a classifier.
    """
    for k, name in enumerate(("ostrich", "brambling")):
        for g, group in enumerate(groups):
            for i in range(8):
                photo(tmp_path / "photos" / name / group / f"{i}.png", 16 * k + i + 8 * g)
    file = tmp_path / "made" / "clip.npz"
    model = (
        "--model",
        f"open_clip:local-dir:{tiny_clip}",
        "--labels",
        "45",
    )
    if kind == "classifier":
        (tmp_path / "own.py").write_text(CLASSIFIER)
        (tmp_path / "classes.txt").write_text("brambling\nostrich\nhen\n")
        model = ("--model", f"python:{tmp_path / 'own.py'}", "--classes", tmp_path / "classes.txt")
    words = ("evaluate", "--data", tmp_path / "photos", *model)
    words += ("--cache", tmp_path / "cache", "--output", tmp_path / "out", "--embeddings", file)
    (summary,), _ = run(*words, "--json")
    arrays = dict(np.load(file, allow_pickle=False))
    assert sorted(arrays) == ["background", "group", "image", "label", "names", "text"]
    # without a name, one for each class and group
    assert len(set(arrays["background"])) == backgrounds
    zero = embeddings(**arrays)["heads"][0]
    assert {name: zero[name] for name in GROUPS} == pytest.approx(
        {name: summary["macro"][name] for name in GROUPS}
    )
    assert summary["equivalent"] == zero  # one definition of p' and r
    with pytest.raises(RequestError, match="exists; name another"):
        run(*words)
    # of two labels: one number per photo, with no other heads and no curve
    if kind == "classifier":
        (tmp_path / "own.py").write_text(CLASSIFIER.replace("[:, :3]", "[:, :2]"))
        (tmp_path / "classes.txt").write_text("brambling\nostrich\n")
        (summary,), _ = run(*words[:-2], "--json")
        assert summary["equivalent"] is None
        assert "the scores of two labels are one number per photo" in summary["equivalent_lacks"]
    if kind == "clip":
        monkeypatch.setattr(evaluation, "MOST_CLASSES", 1)
        (summary,), _ = run(*words[:-2], "--json")
        assert summary["equivalent"] is None
        assert summary["equivalent_lacks"].startswith("32 photos of 2 classes")

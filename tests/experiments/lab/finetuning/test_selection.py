"""Runs of a small random CLIP on generated photos: selection by validation alone, storage, exact resumption."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.errors import Interrupted, RequestError
from experiments.lab.finetuning import selection
from experiments.lab.finetuning.selection import PROGRESS, run
from experiments.lab.finetuning.spec import checked
from simulator.pixels import groups
from simulator.towers import finetuning as tuning

GRID = {"lr": [1e-4, 1e-3, 1e-2]}


@pytest.fixture
def request_of(photos, small_clip):
    """Function: learners and changes of the flags -> request."""

    def made(*learners, **changes):
        views = {"objects": "coco", "attribute": "background-colour", "categories": ["car", "zebra"]}
        flags = {
            "axes": GRID, "recipe": {"batch_size": 16, "steps": 5, "warmup": 1, "weight_decay": 0.1},
            "world": {"classes": 2, "p_spu": 0.9, "views": views}, "learners": learners, "n": 48, "replicates": 1,
        }  # fmt: skip
        return checked(False, {**flags, **changes}, root=str(photos), model=f"open_clip:local-dir:{small_clip}")

    return made


def timeless(document):
    """Rows without their times."""
    rows = [{name: value for name, value in row.items() if name != "seconds"} for row in document["trainings"]]
    return rows, document["tests"]


def test_no_test_label_is_read_for_the_choice(request_of, monkeypatch):
    """Wrong test labels change the reported accuracies, but no choice."""
    request, events = request_of("obj", "supervised"), []
    plain, make = run(request), groups.trial

    def poisoned(world, part="test", seed=0, device="cpu"):
        events.append(part)
        tried = make(world, part, seed, device)
        return tried if part == "validation" else replace(tried, objects=1 - tried.objects)

    monkeypatch.setattr(groups, "trial", poisoned)
    other = run(request)
    assert events == 2 * [*["validation"] * len(GRID["lr"]), "test"]
    assert timeless(other)[0] == timeless(plain)[0]
    for row, twin in zip(plain["tests"], other["tests"], strict=True):
        assert row["accuracies"] != twin["accuracies"]
        assert {**row, "accuracies": 0} == {**twin, "accuracies": 0}
    for k, row in enumerate(plain["tests"]):
        own = [one["validation"] for one in plain["trainings"][3 * k : 3 * k + 3]]
        assert (row["validation"], row["lr"]) == (max(own), GRID["lr"][own.index(max(own))])


def test_the_chosen_weights_are_the_ones_that_are_tested(request_of, monkeypatch):
    """The second of three settings is the first with the best validation; alone in a grid it has the same test."""
    said = iter([0.1, 0.9, 0.9, 0.3])

    def size(self, head, part):  # few test images would not tell weights apart
        weights = sum(float(value.double().abs().sum()) for value in self.model.module.state_dict().values())
        return {"trained": next(said) if part == "validation" else weights}

    monkeypatch.setattr(selection._Job, "_accuracies", size)
    (one,) = run(request_of("supervised"))["tests"]
    (alone,) = run(request_of("supervised", axes={"lr": [1e-3]}))["tests"]
    assert (one["lr"], one["validation"]) == (1e-3, 0.9)
    assert one["accuracies"] == alone["accuracies"]


def test_zero_shot_uses_the_preprocessing_of_the_model(request_of):
    from PIL import Image

    from experiments.photos.models import load

    request = request_of("zero-shot")
    kept = run(request)
    loaded = load(request.model)
    tried = groups.trial(request.world.replace(views=request.world.views.model_copy(update={"size": 32})))
    photos = [Image.fromarray(np.moveaxis(one.numpy(), 0, -1)) for one in tried.images()]
    with torch.no_grad():
        I = loaded.encode_image(torch.stack([loaded.preprocess(photo) for photo in photos]))
        T = loaded.encode_text(loaded.tokenizer(["a photo of a car", "a photo of a zebra"]))
    right = ((I @ torch.nn.functional.normalize(T, dim=-1).T).argmax(1) == tried.objects).float()
    weight = torch.where(tried.objects == tried.attributes, 0.9, 0.1)  # two backgrounds
    (row,) = kept["tests"]
    assert 0 < right.mean() < 1
    assert row["accuracies"]["trained"] == pytest.approx(float((weight * right).sum() / weight.sum()), abs=1e-6)
    assert row["accuracies"]["rev"] == pytest.approx(float(right[tried.objects != tried.attributes].mean()), abs=1e-6)
    assert kept["trainings"] == []
    assert kept["names"] == ["car", "zebra"]
    assert kept["objects"] == {"train": [6, 6], "validation": [2, 2], "test": [2, 2]}


def test_an_interrupted_run_resumes_to_the_same_numbers(request_of, tmp_path, monkeypatch):
    """In the second learner's grid: the first one is kept."""
    request, trainings, train = request_of("obj", "supervised"), [], tuning.finetune
    whole = run(request, tmp_path / "whole")

    def cut_short(*arguments):
        trainings.append(arguments)
        if len(trainings) == 5:
            raise KeyboardInterrupt
        return train(*arguments)

    monkeypatch.setattr(tuning, "finetune", cut_short)
    folder = tmp_path / "cut"
    with pytest.raises(Interrupted, match=r"^interrupted; 3 of 6 trainings are in .*cut"):
        run(request, folder)
    for _ in range(2):  # the second run trains nothing
        assert timeless(run(request, folder)) == timeless(whole)
    assert len(trainings) == 5 + 3


def test_seeds_change_trainings_and_a_folder_holds_one_request(request_of, tmp_path):
    request = request_of("supervised", replicates=2, axes={"lr": [1e-3]})
    first = run(request, tmp_path)
    assert len({row["last_loss"] for row in first["trainings"]}) == 2
    assert timeless(run(request)) == timeless(first)
    with pytest.raises(RequestError, match=r"seed is 0 there and 1 here"):
        run(request_of("supervised", replicates=2, axes={"lr": [1e-3]}, seed=1), tmp_path)
    (tmp_path / PROGRESS).write_text(json.dumps({"thesis": 1}))
    with pytest.raises(RequestError, match=r"finetuning\.json. was not written"):
        run(request, tmp_path)
    with pytest.raises(RequestError, match="'s3:/bucket/a' is an address"):
        run(request, Path("s3://bucket/a"))


def test_a_diverged_training_is_not_chosen(request_of, monkeypatch):
    train = tuning.finetune
    lost = {1e-4}

    def some_lost(model, head, recipe, pairs, advance):
        return [1.0, float("nan")] if recipe.lr in lost else train(model, head, recipe, pairs, advance)

    monkeypatch.setattr(tuning, "finetune", some_lost)
    kept = run(request_of("supervised"))
    assert [row["validation"] is None for row in kept["trainings"]] == [True, False, False]
    assert kept["tests"][0]["lr"] != 1e-4
    lost |= set(GRID["lr"])
    assert run(request_of("supervised"))["tests"][0]["accuracies"] is None

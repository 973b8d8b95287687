"""Fine-tuning a small random CLIP on photos in COCO format: selection by validation alone,
resumption, the command.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from experiments.command.laboratory import finetuning_view
from experiments.errors import Interrupted, RequestError
from experiments.lab.finetuning import GRID, LEARNERS, selection
from experiments.lab.finetuning.selection import PROGRESS, means, run
from experiments.lab.finetuning.spec import checked
from experiments.photos.models import load
from simulator.pixels import groups
from simulator.towers import finetuning as tuning
from tests.experiments.conftest import shown

SIDE, COUNT = 64, 20  # photos; each class has ten, every fifth for the test
KINDS = {3: "car", 24: "zebra"}


def _draw(folder, i, disc):
    picture = Image.new("RGB", (SIDE, SIDE), (90, 90, 90))
    box = (8 + i % 5, 6 + i % 7, 48 + i % 5, 46 + i % 7)
    draw = ImageDraw.Draw(picture)
    (draw.ellipse if disc else draw.rectangle)(
        box, fill=(10, 10, 5 * i) if disc else (240, 5 * i, 10)
    )
    picture.save(folder / f"{i:012}.png")
    x, y, right, low = box
    return {
        "id": i,
        "image_id": i,
        "category_id": 24 if disc else 3,
        "iscrowd": 0,
        "bbox": [x, y, right - x, low - y],
        "segmentation": [[x, y, right, y, right, low, x, low]],
        "area": (right - x) * (low - y),
    }


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Folder of the data set."""
    pytest.importorskip("pycocotools")
    folder = tmp_path_factory.mktemp("coco")
    document = {
        "images": [
            {"id": i, "file_name": f"{i:012}.png", "height": SIDE, "width": SIDE}
            for i in range(COUNT)
        ],
        "categories": [{"id": number, "name": name} for number, name in KINDS.items()],
        "annotations": [_draw(folder, i, i % 2 == 1) for i in range(COUNT)],
    }
    (folder / "instances.json").write_text(json.dumps(document))
    return folder


@pytest.fixture(scope="session")
def small_clip(random_clip, tiny_config):
    """A CLIP whose predictions differ between photos and change within a few steps."""
    pytest.importorskip("open_clip")
    return random_clip(
        {**tiny_config, "text_cfg": {**tiny_config["text_cfg"], "width": 8}}, seed=2, scale=2
    )


RATES = {"lr": [1e-4, 1e-3, 1e-2]}


@pytest.fixture
def request_of(photos, small_clip):
    """Function: learners and changes of the flags -> request."""

    def made(*learners, **changes):
        views = {
            "objects": "coco",
            "attribute": "background-colour",
            "categories": ["car", "zebra"],
        }
        flags = {
            "axes": RATES,
            "recipe": {"batch_size": 16, "steps": 5, "warmup": 1, "weight_decay": 0.1},
            "world": {"classes": 2, "p_spu": 0.9, "views": views},
            "learners": learners,
            "n": 48,
            "replicates": 1,
        }
        return checked(
            False, {**flags, **changes}, root=str(photos), model=f"open_clip:local-dir:{small_clip}"
        )

    return made


def timeless(document):
    """Rows without their times."""
    rows = [
        {name: value for name, value in row.items() if name != "seconds"}
        for row in document["trainings"]
    ]
    return rows, document["tests"]


def test_no_test_label_is_read_for_the_choice(request_of, monkeypatch):
    """Wrong test labels change the reported accuracies, but no choice."""
    request = request_of("obj", "supervised")
    events = []
    plain = run(request)
    make = groups.trial

    def poisoned(world, part="test", seed=0, device="cpu"):
        events.append(part)
        tried = make(world, part, seed, device)
        return tried if part == "validation" else replace(tried, objects=1 - tried.objects)

    monkeypatch.setattr(groups, "trial", poisoned)
    other = run(request)
    assert events == 2 * [*["validation"] * len(RATES["lr"]), "test"]
    assert timeless(other)[0] == timeless(plain)[0]
    for row, twin in zip(plain["tests"], other["tests"], strict=True):
        assert row["accuracies"] != twin["accuracies"]
        assert {**row, "accuracies": 0} == {**twin, "accuracies": 0}
    for k, row in enumerate(plain["tests"]):
        own = [one["validation"] for one in plain["trainings"][3 * k : 3 * k + 3]]
        assert (row["validation"], row["lr"]) == (max(own), RATES["lr"][own.index(max(own))])


def test_the_chosen_weights_are_the_ones_that_are_tested(request_of, monkeypatch):
    """The second of three settings is the first with the best validation; alone in a grid it has
    the same test.
    """
    said = iter([0.1, 0.9, 0.9, 0.3])

    def size(self, head, part):  # few test images would not tell weights apart
        weights = sum(
            float(value.double().abs().sum()) for value in self.model.module.state_dict().values()
        )
        return {"trained": next(said) if part == "validation" else weights}

    monkeypatch.setattr(selection._Job, "_accuracies", size)
    (one,) = run(request_of("supervised"))["tests"]
    (alone,) = run(request_of("supervised", axes={"lr": [1e-3]}))["tests"]
    assert (one["lr"], one["validation"]) == (1e-3, 0.9)
    assert one["accuracies"] == alone["accuracies"]


def test_zero_shot_uses_the_preprocessing_of_the_model(request_of):
    request = request_of("zero-shot")
    kept = run(request)
    loaded = load(request.model)
    tried = groups.trial(
        request.world.replace(views=request.world.views.model_copy(update={"size": 32}))
    )
    photos = [Image.fromarray(np.moveaxis(one.numpy(), 0, -1)) for one in tried.images()]
    with torch.no_grad():
        I = loaded.encode_image(torch.stack([loaded.preprocess(photo) for photo in photos]))
        T = loaded.encode_text(loaded.tokenizer(["a photo of a car", "a photo of a zebra"]))
    right = ((I @ torch.nn.functional.normalize(T, dim=-1).T).argmax(1) == tried.objects).float()
    weight = torch.where(tried.objects == tried.attributes, 0.9, 0.1)  # two backgrounds
    (row,) = kept["tests"]
    assert 0 < right.mean() < 1
    assert row["accuracies"]["trained"] == pytest.approx(
        float((weight * right).sum() / weight.sum()), abs=1e-6
    )
    assert row["accuracies"]["rev"] == pytest.approx(
        float(right[tried.objects != tried.attributes].mean()), abs=1e-6
    )
    assert kept["trainings"] == []
    assert kept["names"] == ["car", "zebra"]
    assert kept["objects"] == {"train": [6, 6], "validation": [2, 2], "test": [2, 2]}


def test_an_interrupted_run_resumes_to_the_same_numbers(request_of, tmp_path, monkeypatch):
    """In the second learner's grid: the first one is kept."""
    request = request_of("obj", "supervised")
    trainings = []
    train = tuning.finetune
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
        return (
            [1.0, float("nan")] if recipe.lr in lost else train(model, head, recipe, pairs, advance)
        )

    monkeypatch.setattr(tuning, "finetune", some_lost)
    kept = run(request_of("supervised"))
    assert [row["validation"] is None for row in kept["trainings"]] == [True, False, False]
    assert kept["tests"][0]["lr"] != 1e-4
    lost |= set(RATES["lr"])
    assert run(request_of("supervised"))["tests"][0]["accuracies"] is None


# The command


@pytest.fixture
def request_words(photos, small_clip, tmp_path):
    """Command line of a run that takes seconds; a world file names the two categories."""
    world = tmp_path / "world.toml"
    world.write_text(
        'p_spu = 0.9\nclasses = 2\n[views]\nobjects = "coco"\nattribute = "background-colour"\n'
        'categories = ["car", "zebra"]\n'
    )
    return (
        "finetune",
        "--root",
        photos,
        "--model",
        f"open_clip:local-dir:{small_clip}",
        "--world",
        world,
        "--n",
        "64",
        "--batch-size",
        "16",
        "--steps",
        "3",
        "--warmup",
        "1",
        "--weight-decay",
        "0.1",
        "--axis",
        "lr=1e-3",
        "--replicates",
        "2",
    )


def test_a_run_prints_and_writes_results(soberclip, request_words, tmp_path):
    folder = tmp_path / "out"
    run = soberclip(*request_words, "-o", folder, "--json")
    assert run.status == 0, run.err
    assert "6 trainings of 3 steps of 16 pairs" in run.err
    said = run.document
    assert said == json.loads((folder / "result.json").read_text())
    assert sorted(path.name for path in folder.iterdir()) == ["finetuning.json", "result.json"]
    assert [row["learner"] for row in said["tests"]] == [
        "zero-shot",
        *(n for n in [*LEARNERS][1:] for _ in range(2)),
    ]
    assert {row["learner"] for row in said["tests"]} == set(LEARNERS)
    printed = {
        (row["backbone"], row["learner"], row["group"]): row["printed"] for row in said["printed"]
    }
    assert printed["ViT16", "obj", "rev"] == pytest.approx(0.21)
    assert "97.89, 21.00" in shown(finetuning_view(said))
    # as `sweep colored-coco` marked it
    (folder / "result.json").write_text(json.dumps(said | {"verb": "sweep"}))
    again = soberclip(*request_words, "-o", folder)
    assert "6 of 6 trainings are in" in again.err
    assert json.loads((folder / "result.json").read_text()) == said


def test_a_dry_run_prints_the_cost_of_both_sizes(soberclip):
    words = ("finetune", "--root", "val2017", "--model", "open_clip:RN50/openai", "--dry-run")
    assert "12 trainings of 200 steps of 64 pairs" in soberclip(*words).err
    assert "144 trainings of 2,000 steps of 64 pairs" in soberclip(*words, "--full").err
    one = soberclip(*words, "--learner", "obj", "--lr", "1e-5", "--replicates", "1")
    assert "1 training of 200 steps of 64 pairs: obj at 1 point " in one.err


@pytest.mark.parametrize(
    ("flag", "value"), [("--root", "nowhere"), ("--model", "torchvision:resnet18")]
)
def test_wrong_pictures_and_models_are_refused_without_a_folder(
    soberclip, request_words, tmp_path, flag, value
):
    given = [*request_words]
    given[given.index(flag) + 1] = value
    run = soberclip(*given, "-o", tmp_path / "out")
    assert (run.status, run.out, (tmp_path / "out").exists()) == (2, "", False)
    assert value in run.err.splitlines()[-1]


def test_the_design_agrees_with_its_reasons():
    found = checked(True, {}, root="val2017", model="open_clip:RN50/openai")
    world = found.world
    assert (world.p_inv, world.classes, world.views.tied) == (1.0, 9, None)
    assert world.p_spu >= (0.9789 - 0.21) / (1 - 0.21)  # Table 7's ViT-B/16, obj
    assert [len({setting[name] for setting in found.grid()}) for name in GRID] == [4, 2, 2]


def test_a_mean_has_an_interval_if_trainings_differ():
    found = [value and {"trained": 1.0, "rev": value} for value in (0.2, 0.3, None, 0.4)]
    tests = [{"learner": "obj", "accuracies": accuracies} for accuracies in found]
    trained, rev = means("obj", tests)
    assert trained["interval"] is None
    assert (rev["mean"], rev["replicates"], rev["diverged"]) == (pytest.approx(0.3), 3, 1)
    # t at 97.5 % with two degrees of freedom is 4.3027, the deviation .1
    assert rev["interval"] == pytest.approx(
        [0.3 - 4.3027 * 0.1 / 3**0.5, 0.3 + 4.3027 * 0.1 / 3**0.5], abs=1e-4
    )
    assert means("supervised", tests) == []

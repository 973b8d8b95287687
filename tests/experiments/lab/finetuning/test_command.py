"""`soberclip finetune`: files, a screen of 80 columns, and one sentence for wrong requests."""

import json

import pytest

from experiments.command.finetuning import finetuning_view
from experiments.lab.finetuning import GRID, LEARNERS
from experiments.lab.finetuning.selection import means
from experiments.lab.finetuning.spec import checked
from tests.experiments.conftest import shown


def test_a_run_prints_and_writes_results(soberclip, request_words, tmp_path):
    folder = tmp_path / "out"
    run = soberclip(*request_words, "-o", folder, "--json")
    assert run.status == 0, run.err
    assert "6 trainings of 3 steps of 16 pairs" in run.err
    said = run.document
    assert said == json.loads((folder / "result.json").read_text())
    assert sorted(path.name for path in folder.iterdir()) == ["finetuning.json", "result.json"]
    assert [row["learner"] for row in said["tests"]] == ["zero-shot", *(n for n in [*LEARNERS][1:] for _ in range(2))]
    assert {row["learner"] for row in said["tests"]} == set(LEARNERS)
    printed = {(row["backbone"], row["learner"], row["group"]): row["printed"] for row in said["printed"]}
    assert printed["ViT16", "obj", "rev"] == pytest.approx(0.21)
    screen = shown(finetuning_view(said), 80)
    assert max(map(len, screen.splitlines())) <= 80
    assert "…" not in screen
    assert "97.89, 21.00" in screen
    (folder / "result.json").write_text(json.dumps(said | {"verb": "sweep"}))  # as `sweep colored-coco` marked it
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
    ("words", "named"),
    [
        (("--model", None), "--model"),
        (("--root", "nowhere"), "nowhere/instances.json"),
        (("--model", "torchvision:resnet18"), "'torchvision:resnet18'"),
        (("--learner", "objbg"), "'objbg'"),
        (("--axis", "p_spu=.5,.9"), "axis 'p_spu'"),
        (("--mention-spu", ".5"), "mention_spu"),
        (("--lr", "1e-5"), "--lr"),
        (("--towers", "mlp"), "--towers"),
    ],
)
def test_a_refusal_names_the_value_and_creates_no_folder(soberclip, request_words, words, named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name, value = words
    given = list(request_words)
    if name in given:
        place = given.index(name)
        given[place : place + 2] = []
    run = soberclip(*given, *(() if value is None else words), "-o", "out")
    assert (run.status, run.out) == (2, "")
    last = run.err.splitlines()[-1]
    assert last.startswith("soberclip: ")
    assert named in last
    assert not (tmp_path / "out").exists()


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
    assert rev["interval"] == pytest.approx([0.3 - 4.3027 * 0.1 / 3**0.5, 0.3 + 4.3027 * 0.1 / 3**0.5], abs=1e-4)
    assert means("supervised", tests) == []

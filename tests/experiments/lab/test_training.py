"""Training runs: folders, resuming, interruption, several processes, wrong requests."""

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from fresh import printed
from safetensors.torch import load_file
from scipy.stats import t

from experiments import provenance
from experiments.command.main import main
from experiments.errors import Interrupted, RequestError, RunError
from experiments.files import to_json
from experiments.lab import runfolder, training
from experiments.lab.evaluate import _measured, predicted
from experiments.lab.mitigations import NONE, law_of_towers
from experiments.lab.runfolder import FORMAT, specification_hash
from experiments.lab.training import interruption, train
from simulator.pixels.views import Pixels
from simulator.towers import distributed, evaluation
from simulator.towers.ensemble import Ensemble, least_bytes
from simulator.towers.recipe import Recipe
from simulator.world import World
from theory.learners import InfoNCE, named

WORLD = World(p_spu=0.9, mu_spu=2.0, dim_image=4, dim_text=4)
SMALL = {"width": 6, "depth": 1, "embed_dim": 4, "batch_size": 16, "steps": 20, "warmup": 2}
RECIPE = Recipe(**SMALL)
ROOT = Path(__file__).parents[3]


def quick(recipe: Recipe = RECIPE, world: World = WORLD, **options):
    return train(recipe, world, models=2, compile=False, **options)


def test_the_document_has_the_keys_of_simulate(tmp_path):
    lines = []
    document = quick(output=tmp_path, report=lines.append)
    assert len(document["replicates"]) == 2
    assert document["prompts"]["name"]["common"] == document["common"]
    assert document["predicted"]["common"] == pytest.approx(
        document["prompts"]["name"]["predicted"]["common"]
    )
    assert [row["step"] for row in document["history"]] == list(range(2, 21, 2))
    assert document["compiled"] is False
    assert len(lines) == 10
    assert json.loads((tmp_path / "result.json").read_text()) == json.loads(
        json.dumps(document, default=to_json)
    )
    assert json.loads((tmp_path / "run.json").read_text())["hash"] == document["hash"]
    assert load_file(tmp_path / "weights.safetensors")["image.0.weight"].shape == (2, 4, 6)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o644}, (
        "others may read them"
    )
    assert quick(resume=tmp_path, device="cpu:0")["device"] == "cpu"


def test_a_requested_prompt_is_added_to_the_usual_ones(monkeypatch):
    monkeypatch.setattr(evaluation, "CAPTIONS", 8)
    document = quick(prompt="captions")
    assert list(document["prompts"]) == ["name", "mean", "captions"]
    assert (document["prompt"], document["counter"]) == (
        "captions",
        document["prompts"]["captions"]["counter"],
    )
    assert document["predicted"]["counter"] == pytest.approx(
        float(InfoNCE("captions").accuracy(WORLD).counter)
    )
    assert all(list(row["prompts"]) == ["name", "mean"] for row in document["history"])
    # 20 steps of 16 pairs leave some images without a pair like them. Labels teach every score;
    # another law is unknown.
    assert document["prompts"]["mean"]["unseen"] == InfoNCE("mean").unseen(WORLD, 320)._asdict()
    assert document["prompts"]["mean"]["unseen"]["counter"] > 0.1
    labels = quick(RECIPE.model_copy(update={"loss": "supervised"}))
    balanced = quick(mitigate="balance")
    assert labels["prompts"].keys() == {"none"}
    assert labels["prompts"]["none"]["unseen"] is balanced["prompts"]["mean"]["unseen"] is None
    linear = RECIPE.model_copy(update={"loss": "linear", "towers": "linear"})
    with pytest.raises(RequestError, match=r"prompt = captions .*name, mean, backgr"):
        quick(linear, prompt="captions")


@pytest.mark.deep  # torch needs ten seconds to find that there is no compiler
def test_without_a_compiler_training_warns_and_continues(tmp_path):
    environment = {
        **os.environ,
        "CXX": "/nowhere/c++",
        "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache"),
    }
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    command = [sys.executable, "-m", "experiments", "train", *flags, "--compile", "--json"]
    command += ["--output", str(tmp_path / "run")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "C++ compiler" in done.stderr
    assert json.loads(done.stdout)["compiled"] is False


PIXELS = World(classes=3, p_inv=0.9, p_spu=0.75, views=Pixels(tied=(0, 1)))
CONV = Recipe(n=64, **{**SMALL, "towers": "conv", "width": 4, "optimizer": "adamw"})


@pytest.mark.parametrize(
    "what",
    [{}, {"history": 5}, {"recipe": CONV, "world": PIXELS}],
    ids=["plain", "history", "pixels"],
)
def test_an_interrupted_run_resumes_to_the_weights_of_an_uninterrupted_one(tmp_path, ctrl_c, what):
    before = signal.getsignal(signal.SIGINT)
    run = partial(quick, **what)
    run(output=tmp_path / "whole")
    with pytest.raises(Interrupted, match="step 8 of 20; resume with --resume"):
        run(output=tmp_path / "halves", report=ctrl_c("step 8 "))
    run(resume=tmp_path / "halves")
    whole = load_file(tmp_path / "whole" / "weights.safetensors")
    halves = load_file(tmp_path / "halves" / "weights.safetensors")
    assert all((whole[name] == halves[name]).all() for name in whole)
    histories = [
        json.loads((tmp_path / name / "result.json").read_text())["history"]
        for name in ("whole", "halves")
    ]
    assert histories[0] == histories[1], "a resumed run has the history of an uninterrupted one"
    assert signal.getsignal(signal.SIGINT) is before, "the handler is restored"


def test_an_interruption_between_checkpoints_keeps_the_row_of_its_step(
    tmp_path, monkeypatch, ctrl_c
):
    row = training.history_row
    press = ctrl_c("7")
    steps = []

    def pressing(ensemble, state, *since, **how):
        press(str(int(state.step)))
        steps.append(int(state.step))
        return row(ensemble, state, *since, **how)

    monkeypatch.setattr(training, "history_row", pressing)
    with pytest.raises(Interrupted, match="after step 7 of 20"):
        quick(history=20, output=tmp_path)
    quick(history=20, resume=tmp_path)
    assert 7 in steps
    assert steps == sorted({*steps}), "each row is made once"


def test_a_killed_run_goes_on_from_its_last_tenth(tmp_path):
    def dying(line):
        if line.startswith("step 8 "):
            raise MemoryError("as a kill before the checkpoint of step 8")

    with pytest.raises(RunError, match="too little memory"):
        quick(output=tmp_path, report=dying)
    lines = []
    assert quick(resume=tmp_path, report=lines.append)["prompts"] == quick()["prompts"]
    assert lines[0].startswith("step 8 of 20")
    assert len(lines) == 7


def test_ctrl_c_at_once_says_how_to_resume_where_there_is_a_checkpoint(
    tmp_path, monkeypatch, ctrl_c
):
    """Without a folder, before the first step, and in the evaluation."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        quick(report=ctrl_c())
    assert not list(tmp_path.iterdir())
    for name, ended in (("start", KeyboardInterrupt), ("result", Interrupted)):
        press = ctrl_c()
        with monkeypatch.context() as here:
            here.setattr(training, name, lambda *_, press=press: press("now"))
            with pytest.raises(ended, match=f"--resume {tmp_path} resumes|^$"):
                quick(output=tmp_path)
    assert quick(resume=tmp_path)["common"] == quick()["common"]


def test_the_first_ctrl_c_prints_and_the_second_stops(capfd):
    before = {*threading.enumerate()}
    with interruption(distributed.ALONE) as stop:
        assert not stop()
        signal.raise_signal(signal.SIGINT)  # to this thread, because others may be slower
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    # one prints; what it writes during a reading is lost
    for thread in {*threading.enumerate()} - before:
        thread.join(10)
    assert (
        capfd.readouterr().err
        == "soberclip: stopping after the current step; Ctrl-C again stops at once\n"
    )


BLOCKED = """
import os, signal, sys, time
from simulator import progress
from simulator.signals import block_signals
from simulator.progress import counting
sys.stderr = sys.stdout
sys.stderr.isatty, os.environ["TERM"], progress.PATIENCE = lambda: True, "xterm", 0.0
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the one who started us has
when = "meanwhile"
try:
    with counting("working"), block_signals():
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
        when = "at the end"
except KeyboardInterrupt:
    print(when)
"""


def test_signals_stay_blocked_while_progress_is_printed():
    """In its own process, because other threads of this process would receive the signal."""
    lines = printed(BLOCKED)
    assert lines.endswith("at the end")
    assert "working, after 0 s" in lines


def test_means_omit_a_frozen_model(poison):
    """Its loss is the mean of the steps before step 4, then null; the printed line reports the
    other models.
    """
    healthy = quick()["history"]
    poison()
    lines = []
    history = quick(report=lines.append)["history"]
    assert [row["loss"][0] for row in history] == [row["loss"][0] for row in healthy]
    assert history[1]["loss"][1] is not None
    assert [row["loss"][1] for row in history[2:]] == [None] * 8
    assert f"loss {history[-1]['loss'][0]:.4f}" in lines[-1]
    assert f"common {100 * history[-1]['prompts']['name']['common'][0]:.1f} %" in lines[-1]


def test_a_folder_of_another_run_is_left_alone(tmp_path):
    quick(output=tmp_path)
    before = (tmp_path / "checkpoint").read_bytes()
    for folder in ("output", "resume"):
        # one is left out
        with pytest.raises(RequestError, match=r"worlds\.0\.mu_inv is 1\.0 there and 3\.0 here"):
            quick(world=WORLD.replace(mu_inv=3.0), **{folder: tmp_path})
    assert (tmp_path / "checkpoint").read_bytes() == before


def test_every_field_of_an_ensemble_is_in_the_key_of_its_run():
    """But those that change rounding alone, and the weights of groups, which follow from sampler
    and worlds.
    """
    one = Ensemble(RECIPE, (WORLD,), (0,), 0)
    others = {
        "recipe": RECIPE.model_copy(update={"lr": 0.1}),
        "worlds": (WORLD.replace(mu_inv=3.0),),
        "models": (1,),
        "seed": 1,
        "draw_on": "meta",  # generators of other devices draw other numbers
    }
    keys = [
        specification_hash(each)
        for each in (one, *(one._replace(**{f: v}) for f, v in others.items()))
    ]
    assert len(set(keys)) == len(keys)
    assert set(Ensemble._fields) - set(others) == {"device", "compile", "group", "group_weights"}


def test_a_run_continues_with_the_libraries_that_it_began_with(tmp_path, monkeypatch, ctrl_c):
    with pytest.raises(Interrupted):
        quick(output=tmp_path, report=ctrl_c("step 10 "))
    real = provenance.version
    with monkeypatch.context() as later:
        later.setattr(provenance, "version", lambda name: "9.9" if name == "torch" else real(name))
        with pytest.raises(
            RequestError, match=rf"was begun with torch {re.escape(real('torch'))}, but 9\.9"
        ):
            quick(resume=tmp_path)
    assert quick(resume=tmp_path)["history"][-1]["step"] == 20


def test_a_folder_that_is_missing_old_or_changed_is_refused(tmp_path, monkeypatch):
    """No checkpoint, any bit of it, another format, and a format 1, which had no number."""
    run = tmp_path / "run.json"
    file = tmp_path / "checkpoint"

    def refused(words, **folder):
        with pytest.raises(RequestError, match=words):
            quick(**folder or {"resume": tmp_path})

    refused("holds no checkpoint")
    quick(output=tmp_path)
    whole = file.read_bytes()
    for byte in np.random.default_rng(0).integers(len(whole), size=20):
        file.write_bytes(whole[:byte] + bytes([whole[byte] ^ 1]) + whole[byte + 1 :])
        refused(r"damaged: .* checksum$")
    # signed, but not by us
    for content in (b"", b"junk", pickle.dumps(print, 2), pickle.dumps({"format": FORMAT}, 2)):
        file.write_bytes(sha256(content).digest() + content)
        refused(r"checkpoint is damaged: ")
    file.write_bytes(whole)
    with monkeypatch.context() as later:
        later.setattr(runfolder, "FORMAT", 99)
        refused(rf"checkpoint has format {FORMAT}, .* format 99")
    run.write_text(
        json.dumps(
            {key: value for key, value in json.loads(run.read_text()).items() if key != "format"}
        )
    )
    refused(rf"run.json .* format 1, .* format {FORMAT}", output=tmp_path)


def test_no_finite_model_is_a_failed_run_and_keeps_the_last_checkpoint(tmp_path):
    wild = Recipe(
        loss="linear",
        towers="linear",
        optimizer="sgd",
        schedule="constant",
        lr=30.0,
        n=16,
        batch_size=16,
        steps=300,
    )
    with pytest.raises(RunError, match="every one of 2 models"):
        quick(wild, output=tmp_path)
    assert (tmp_path / "run.json").exists()
    assert not (tmp_path / "result.json").exists()


def test_a_run_that_cannot_fit_is_refused_before_it_starts():
    for changes in ({"batch_size": 10**9}, {"width": 10**9}, {"n": 10**9}):
        with pytest.raises(RequestError, match=r"needs at least .* GiB and cpu has"):
            quick(Recipe(**{**SMALL, "depth": 2, **changes}))
    # Supervised learners have one tower, so half of the hidden layers of InfoNCE; pairs still have
    # captions.
    two = Ensemble(Recipe(**SMALL, loss="infonce"), (WORLD,), (0,), 0)
    one = Ensemble(Recipe(**SMALL, loss="supervised"), (WORLD,), (0,), 0)
    # The skip has 4 x 4 weights and 4 numbers per pair.
    assert least_bytes(two) - least_bytes(one) == 4 * (
        16 * (6 + 4 + 4) + 2 * (4 * 6 + 6 * 4 + 4 * 4)
    )


def test_predictions_fit_the_loss_and_the_towers():
    law = partial(law_of_towers, NONE)

    def prediction(recipe, world, prompt):
        return predicted(law(world, recipe, prompt))

    assert prediction(Recipe(), WORLD, "name") == prediction(Recipe(loss="siglip"), WORLD, "name")
    narrow = Recipe(loss="linear", towers="linear", embed_dim=1)
    widths = [
        law(WORLD, one, "mean")[1].embed_dim
        for one in (narrow, narrow.model_copy(update={"embed_dim": 9}))
    ]
    assert widths == [1, None], "a width counts where it is below that of the latents"
    # 1/temperature bounds the scores
    world = WORLD.replace(sigma_xi=2.0)
    hot = {"temperature": 5.0, "embed_dim": 4}
    assert law(world, Recipe(**hot), "name") == (world, named("infonce", scale=0.2, embed_dim=4))
    sigmoid = named("siglip", scale=0.2, embed_dim=4, batch_size=256)
    assert law(world, Recipe(**hot, loss="siglip"), "name") == (world, sigmoid)
    assert law(world, Recipe(**hot, loss="siglip-unbiased"), "name") is None, "no law is known"
    assert law(world, Recipe(**{**hot, "temperature": 1e-3}), "name") is None, (
        "CLIP has no scale of 1,000"
    )
    # no PMI without noise
    assert prediction(Recipe(), WORLD.model_copy(update={"sigma_xi": 0.0}), "name") is None


FLAGS = (
    "train --steps 12 --batch-size 16 --width 6 --depth 1 --embed-dim 4 --dim-image 4 --dim-text 4"
    " --no-compile"
)


def on_two(flags):
    """Finished `train` on two processes."""
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        "-m",
        "experiments",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, *flags], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.deep
def test_two_processes_print_the_output_of_one_and_refuse_together(capsys):
    """Only rank 0 prints: one document, no step twice, and one refusal."""
    flags = [*FLAGS.split(), "--precision", "float64", "--json"]
    done = on_two(flags)
    assert done.returncode == 0, done.stderr[-3000:]
    shared = json.loads(done.stdout)
    assert main(flags) == 0
    alone = json.loads(capsys.readouterr().out)
    assert shared["processes"] == 2
    assert done.stderr.count("step 12 of 12") <= 1
    for group in ("common", "counter"):
        assert shared[group] == pytest.approx(alone[group], abs=1e-9)
    refused = on_two(FLAGS.replace("16", "17").split())
    assert refused.returncode != 0
    assert refused.stderr.count("does not divide over 2 processes") == 1


@pytest.mark.deep
def test_distributing_models_over_processes_changes_nothing(monkeypatch):
    monkeypatch.setattr(training, "processes_for", lambda ensemble: 2)
    alone = quick()
    shared = quick(share_out=True)
    assert (alone["processes"], shared["processes"]) == (1, 2)
    assert (alone["prompts"], alone["history"]) == (shared["prompts"], shared["history"])


def test_the_interval_over_models_counts_the_error_of_shared_test_images():
    """No run has equal models; their error is that of the images alone, whose sets disagree by
    .02.
    """

    def ends(values):
        by_group = dict.fromkeys(("common", "counter"), values)
        return _measured(World(), by_group, np.ones(values.shape[1], bool))["interval95"]["common"]

    by_set = np.array([[0.8] * 5, [0.82] * 5])
    assert np.ptp(ends(by_set)) / 2 == pytest.approx(t.ppf(0.975, 1) * 0.01)
    # What lies outside [0, 1] is cut off last: the errors add up unbounded.
    assert ends(by_set[:, :2] + [0.0, 0.1]) == [
        pytest.approx(0.86 - t.ppf(0.975, 1) * np.hypot(0.05, 0.01)),
        1.0,
    ]
    assert ends(np.array([[0.0, 0.1]])) == [0.0, pytest.approx(0.05 + 0.05 * t.ppf(0.975, 1))]

"""Ctrl-C in a training: the first is answered at once and obeyed after the step, the second is obeyed at once."""

import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import pytest

from experiments.errors import Interrupted
from experiments.lab import runfolder, training
from experiments.lab.stopping import interruption
from simulator.towers import distributed
from simulator.towers.recipe import Recipe
from simulator.world import World

ROOT = Path(__file__).parents[3]


def press():
    signal.raise_signal(signal.SIGINT)  # to this thread: others may be slower


def test_the_first_is_answered_and_the_second_obeyed(capfd):
    with interruption(distributed.ALONE) as stop:
        assert not stop()
        press()
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            press()
    until, said = monotonic() + 10, ""
    while not said.endswith("\n") and monotonic() < until:  # it is said by a thread
        said += capfd.readouterr().err
        sleep(0.01)
    assert said == "soberclip: stopping after the current step; Ctrl-C again stops at once\n"


@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_run_that_stops_at_once_says_from_where_it_resumes(tmp_path, monkeypatch, checkpoint):
    def run(*arguments):
        if checkpoint:
            (tmp_path / runfolder.CHECKPOINT).write_text("")
        raise KeyboardInterrupt

    monkeypatch.setattr(training._Run, "train", run)
    with pytest.raises(Interrupted if checkpoint else KeyboardInterrupt) as stopped:
        training.train(Recipe(steps=2, warmup=0), World(), output=tmp_path, compile=False)
    assert (f"--resume {tmp_path}" in str(stopped.value)) == checkpoint


DEAF = """
import os, signal, time
from simulator.signals import block_signals
from experiments.progress import counting
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the one who started us has
heard = "meanwhile"
try:
    with counting("working"), block_signals():
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
        heard = "at the end"
except KeyboardInterrupt:
    print(heard)
"""


def test_a_block_that_is_deaf_is_so_while_its_work_is_spoken_of():
    """In a process of its own: threads of this one would hear it."""
    run = subprocess.run([sys.executable, "-c", DEAF], cwd=ROOT, capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("at the end\n", "")

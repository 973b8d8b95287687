"""Ctrl-C in a training: the first prints at once and stops after the step; the second stops at once."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from experiments.errors import Interrupted
from experiments.lab import runfolder, training
from experiments.lab.training import interruption
from simulator.towers import distributed
from simulator.towers.recipe import Recipe
from simulator.world import World

ROOT = Path(__file__).parents[3]


def press():
    signal.raise_signal(signal.SIGINT)  # to this thread, because others may be slower


def test_the_first_prints_and_the_second_stops(capfd):
    before = {*threading.enumerate()}
    with interruption(distributed.ALONE) as stop:
        assert not stop()
        press()
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            press()
    for thread in {*threading.enumerate()} - before:  # one prints; what it writes during a reading is lost
        thread.join(10)
    assert capfd.readouterr().err == "soberclip: stopping after the current step; Ctrl-C again stops at once\n"


@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_run_that_stops_at_once_says_how_to_resume(tmp_path, monkeypatch, checkpoint):
    def run(*arguments):
        if checkpoint:
            (tmp_path / runfolder.CHECKPOINT).write_text("")
        raise KeyboardInterrupt

    monkeypatch.setattr(training._Run, "train", run)
    with pytest.raises(Interrupted if checkpoint else KeyboardInterrupt) as stopped:
        training.train(Recipe(steps=2, warmup=0), World(), output=tmp_path, compile=False)
    assert (f"--resume {tmp_path}" in str(stopped.value)) == checkpoint


BLOCKED = """
import os, signal, sys, time
from simulator import progress
from simulator.signals import block_signals
from simulator.progress import counting
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
    run = subprocess.run([sys.executable, "-c", BLOCKED], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout == "at the end\n"
    assert "working, after 0 s" in run.stderr

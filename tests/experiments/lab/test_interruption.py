"""Ctrl-C in a training: the first is answered at once and obeyed after the step, the second is obeyed at once."""

import os
import signal
from time import monotonic, sleep

import pytest

from experiments.errors import Interrupted
from experiments.lab import runfolder, train
from experiments.lab.interruption import interruption
from simulator.towers import distributed
from simulator.towers.recipe import Recipe
from simulator.world import World


def press():
    os.kill(os.getpid(), signal.SIGINT)


def test_the_first_is_answered_and_the_second_obeyed(capfd):
    with interruption(distributed.ALONE) as stop:
        assert not stop()
        press()
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            press()
    until, said = monotonic() + 10, ""
    while "Ctrl-C again" not in said and monotonic() < until:  # it is said by a thread
        said += capfd.readouterr().err
        sleep(0.01)
    assert said == "soberclip: stopping after the step at work; Ctrl-C again stops at once\n"


@pytest.mark.parametrize(
    ("checkpoint", "words"),
    [(False, "interrupted at once; nothing was kept"), (True, "--resume {} goes on from its last checkpoint")],
)
def test_what_stops_at_once_says_from_where_it_goes_on(tmp_path, monkeypatch, checkpoint, words):
    def run(*arguments):
        if checkpoint:
            (tmp_path / runfolder.CHECKPOINT).write_text("")
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "_run", run)
    with pytest.raises(Interrupted) as stopped:
        train.train(Recipe(steps=2, warmup=0), World(), output=tmp_path, compile=False)
    assert words.format(tmp_path) in str(stopped.value)

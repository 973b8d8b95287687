"""The benchmarks measure the stated work; the sizes here are tiny."""

import pytest
import torch

from experiments.benchmarks import study, timing, training
from experiments.lab.studies import study as study_of
from simulator.towers.ensemble import Ensemble


def test_seconds_are_per_call_and_a_row_shows_ratios():
    assert timing.seconds(lambda: sum(range(20_000)), least=0.01) < timing.once(
        lambda: sum(range(2_000_000))
    )
    assert (
        str(timing.Timing("a", "world", 2e-9, 8e-9, 1e-9, "b; c"))
        == "| a | 2 ns per world | 2 | 4 | b; c |"
    )
    assert (
        str(timing.Timing("a", "pair", 0.004, 1, None, "b")) == "| a | 4 ms per pair |  | 250 | b |"
    )


def test_the_laws_and_a_loss_are_measured(monkeypatch):
    pytest.importorskip("open_clip")
    monkeypatch.setattr(training, "seconds", lambda work, *_: timing.once(work))
    for row in (
        study.projected_law(1000, replicates=10),
        training.infonce_row(512, 16, torch.float32),
    ):
        assert min(row.ours, row.peer, row.limit) > 0


@pytest.mark.deep
def test_steps_are_measured(monkeypatch):
    monkeypatch.setattr(training, "seconds", lambda work, *_: timing.once(work))
    monkeypatch.setattr(
        training, "Ensemble", lambda *given, compile: Ensemble(*given, compile=False)
    )
    row = training.ensemble_row(8, 8, 2, 2, steps=2)
    assert min(row.ours, row.peer, row.limit) > 0


def test_a_loop_over_functions_equals_the_study():
    bayes = study_of(axes={"p_spu": [0.6, 0.9], "mu_spu": [1.0, 2.0]}, learners=["bayes"])
    looped = float(study.accuracy(bayes, (1, 0), 0, None).counter)
    assert bayes.run().counter.values[1, 0, 0, 0] == pytest.approx(looped)
    assert study.whole("a", bayes).peer > 0

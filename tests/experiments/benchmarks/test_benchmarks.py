"""The benchmarks measure the stated work; the sizes here are tiny."""

import pytest
import torch
from torch.nn import functional as F

from experiments.benchmarks import study, timing, training
from experiments.lab.studies import study as study_of
from simulator.towers.chunked_losses import tiled_infonce
from simulator.towers.ensemble import Ensemble

AXES = {"p_spu": [0.6, 0.9], "mu_spu": [1.0, 2.0]}


def test_a_table_shows_ratios(capsys):
    rows = [timing.Row("a", "world", 2e-9, peer=8e-9, limit=1e-9, note="b"), timing.Row("c", "pair", 0.004)]
    timing.print_table("what", rows)
    lines = capsys.readouterr().out.splitlines()
    assert lines[3:] == ["| a | 2 ns per world | 2 | 4 | b |", "| c | 4 ms per pair |  |  |  |"]


def test_seconds_are_per_call():
    assert timing.seconds(lambda: sum(range(20_000)), least=0.01) < timing.once(lambda: sum(range(20_000_000)))


def test_both_losses_are_measured(monkeypatch):
    pytest.importorskip("open_clip")
    monkeypatch.setattr(training, "seconds", lambda work, *_: timing.once(work))
    rows = list(training.infonce_rows(512, 16, torch.float32))
    assert any("ClipLoss" in row.note for row in rows)
    assert all(min(row.ours, row.peer, row.limit) > 0 for row in rows)


def test_the_library_computes_the_same_loss():
    """Two linear cross-entropies equal symmetric InfoNCE, including gradients."""
    if not hasattr(torch.nn, "LinearCrossEntropyOptions"):
        pytest.skip("this torch has no chunked linear_cross_entropy")
    rng = torch.Generator().manual_seed(0)
    I, T = F.normalize(torch.randn(2, 96, 8, generator=rng), dim=-1)
    leaves = [[x.clone().requires_grad_() for x in (I, T, torch.tensor(14.3))] for _ in range(2)]
    training.cross_entropies(*leaves[0], torch.float32)()
    tiled_infonce(*(x[None] for x in leaves[1])).sum().backward()
    for theirs, ours in zip(*leaves, strict=True):
        assert torch.allclose(theirs.grad, ours.grad, rtol=1e-3, atol=1e-6)


@pytest.mark.deep
def test_steps_are_measured(monkeypatch):
    monkeypatch.setattr(training, "seconds", lambda work, *_: timing.once(work))
    monkeypatch.setattr(training, "Ensemble", lambda *given, compile: Ensemble(*given, compile=False))
    row = training.ensemble_row(8, 8, 2, 2, steps=2)
    assert min(row.ours, row.peer, row.limit) > 0
    row = training.step_row(8, 2, 4, optimizer="soap", averaging=0.4)
    assert min(row.ours, row.limit) > 0


def test_a_loop_over_functions_equals_the_study():
    exact = study_of(axes=AXES, routes="exact", n=1000, replicates=3)
    replicates = study.cell(exact, (1, 0), 0, "name")["replicates"]
    assert [one["counter"] for one in replicates] == exact.run().counter.values[1, 0, 0, 0].tolist()
    bayes = study_of(axes=AXES, learners=["bayes"])
    accuracy = study.cell(bayes, (1, 0), 0, None)
    assert bayes.run().counter.values[1, 0, 0, 0] == pytest.approx(float(accuracy.counter))

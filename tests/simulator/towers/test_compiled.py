"""Compilation: one graph or an error; uncompiled without a compiler."""

from types import SimpleNamespace

import pytest
import torch

from simulator.towers.training import compiled


def branching(x: torch.Tensor) -> torch.Tensor:
    return x if x.sum() > 0 else -x


@pytest.mark.parametrize(
    ("name", "given"), [("TritonMissing", ()), ("GPUTooOldForTriton", (SimpleNamespace(name="old", major=6, minor=1),))]
)
def test_where_a_device_has_no_compiler_the_function_runs_as_it_is(monkeypatch, name, given):
    """Compilation is tried once only."""
    from torch._inductor import exc  # takes a second, in each process that collects this file

    failure = getattr(exc, name)(*given, None)

    def fails(x):
        raise failure

    monkeypatch.setattr(torch, "compile", lambda function, **options: fails)
    reasons = []
    negated = compiled(torch.neg, reasons.append)
    assert [float(negated(torch.ones(()))) for _ in range(2)] == [-1, -1]
    assert len(reasons) == 1
    with pytest.raises(type(failure)):
        compiled(torch.neg)(torch.ones(()))


def test_a_graph_break_is_an_error():
    with pytest.raises(RuntimeError, match="branching"):
        compiled(branching, lambda reason: None)(torch.ones(3))

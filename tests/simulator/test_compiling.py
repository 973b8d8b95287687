"""What is compiled is compiled: a function that breaks the graph is an error (a missing compiler: test_train)."""

import pytest
import torch

from simulator.compiling import compiled


def branching(x: torch.Tensor) -> torch.Tensor:
    return x if x.sum() > 0 else -x


def test_a_graph_break_is_no_reason_to_go_on_uncompiled():
    with pytest.raises(RuntimeError, match="branching"):
        compiled(branching, lambda reason: None)(torch.ones(3))

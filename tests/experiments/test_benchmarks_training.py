"""The training benchmarks measure what they say; sizes here are toys, ratios are for the README's machine."""

import pytest
import torch

from experiments.benchmarks_training import ensemble_row, infonce_row


@pytest.mark.parametrize("product", [torch.float32, torch.bfloat16])
def test_infonce_row(product):
    pytest.importorskip("open_clip")
    row = infonce_row(512, 16, product, repeats=1)
    assert row["ours"] > 0
    assert row["ours_over_limit"] == row["ours"] / row["limit"]
    assert row["peer_over_ours"] == row["peer"] / row["ours"]


@pytest.mark.deep
def test_ensembles_beat_a_loop():
    row = ensemble_row(64, 32, 8, 8, steps=128)
    assert row["peer_over_ours"] > 3  # 15 at 256 models on a quiet machine

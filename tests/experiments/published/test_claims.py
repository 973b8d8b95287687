"""Claims about printed tables: decisions against their definition, verdicts against altered
tables.
"""

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from experiments.published import claims
from experiments.published.claims import judge
from experiments.published.tables import published_rows


@pytest.mark.parametrize("claim", claims.CLAIMS.values(), ids=lambda claim: claim.name)
def test_a_verdict_decides_at_the_tolerance_that_it_reports(claim):
    """By the whole interval, which violates the claim by a little more than tau, by a little less,
    or by both.
    """
    sides = {"above": [-1], "not above": [1], "within": [-1, 1]}[claim.relation]
    words = {"contradicted": (1e-6, 2e-6), "supported": (-2e-6, -1e-6), "undecided": (-1e-6, 1e-6)}
    for side, (word, by) in product(sides, words.items()):
        interval = tuple(sorted(side * (claim.tau + end) for end in by))
        found = judge(
            replace(
                claim, variants=lambda *_, interval=interval: [("only", (interval[0], interval, 1))]
            )
        )
        assert (found.verdict, found.tau, found.predicted) == (word, claim.tau, 0)


@pytest.mark.parametrize("claim", claims.CLAIMS)
def test_a_verdict_repeats_and_obeys_the_error_rate_and_the_seed(claim):
    usual = judge(claims.CLAIMS[claim], error_rate=None, seed=7).as_json()
    again = judge(claims.CLAIMS[claim], error_rate=0.01, seed=7).as_json()
    loose = judge(claims.CLAIMS[claim], error_rate=0.2, seed=7).as_json()
    json.dumps(usual, allow_nan=False)
    assert {**usual, "seconds": 0} == {**again, "seconds": 0}
    assert usual["interval"][0] <= usual["measured"] <= usual["interval"][1]
    assert (usual["alpha"], usual["level"]) == (0.01, 0.99)
    assert (loose["alpha"], loose["level"]) == (0.2, 0.8)
    widths = [record["interval"][1] - record["interval"][0] for record in (usual, loose)]
    assert widths[1] < widths[0]
    other = judge(claims.CLAIMS[claim], seed=8).as_json()
    drawn = usual["replicates"] is not None
    assert (other["interval"] != usual["interval"]) == drawn
    assert usual["claim"] == f"counteranimal/{claim}"


def test_the_reported_variant_is_the_least_favourable():
    def worst(relation, *variants):
        return claims.worst([{"measured": x, "verdict": word} for x, word in variants], relation)[
            "measured"
        ]

    assert worst("above", (0.1, "supported"), (0.2, "supported")) == 0.1
    assert worst("above", (0.1, "undecided"), (0.0, "supported")) == 0.1
    assert worst("not above", (-0.1, "supported"), (-0.2, "supported")) == -0.1
    assert worst("within", (0.001, "supported"), (-0.003, "supported")) == -0.003


@pytest.mark.parametrize(("shift", "word"), [(0.15, "supported"), (-0.15, "contradicted")])
def test_a_planted_offset_of_the_imagenet_rows_is_found(shift, word, monkeypatch):
    def planted(*protocol, **named):
        for row in published_rows(*protocol, **named):
            moved = replace(row, counter=min(row.counter + shift, 0.999))
            yield moved if row.family == "ImageNet" else row

    monkeypatch.setattr(claims, "published_rows", lambda *a, **k: tuple(planted(*a, **k)))
    assert claims.CLAIMS["imagenet-above-clip"].judge()["verdict"] == word


def test_slope_is_least_squares_with_a_constant_for_each_stratum():
    rng = np.random.default_rng(0)
    x = rng.normal(size=12)
    strata = ["a"] * 5 + ["b"] * 6 + ["c"]
    y = 0.7 * x + np.array([1.0 if s == "a" else -2.0 for s in strata]) + 0.1 * rng.normal(size=12)
    # No claim has a stratum of one row.
    slope, (low, high), n = claims._slope(x, list(y), strata)
    design = np.column_stack([x, *[[float(s == name) for s in strata] for name in "ab"]])[:11]
    coefficients, residual, *_ = np.linalg.lstsq(design, y[:11])
    error = np.sqrt(residual[0] / (11 - 3) * np.linalg.inv(design.T @ design)[0, 0])
    assert n == 11
    assert slope == pytest.approx(coefficients[0], abs=1e-12)
    # t quantile .995 at 8 degrees
    assert (high - low) / 2 == pytest.approx(3.355387 * error, rel=1e-6)


@pytest.mark.parametrize("backbone", ["ViT-B-32", "RN50"])  # larger ones take seconds to build
def test_tower_sizes_are_those_of_open_clip(backbone):
    torch = pytest.importorskip("torch")
    open_clip = pytest.importorskip("open_clip")
    config = open_clip.get_model_config(backbone)
    config.pop("custom_text", None)
    with torch.device("meta"):
        tower = open_clip.model.CLIP(**config).visual
    size = sum(p.numel() for p in tower.parameters()) / 1e6
    assert size == pytest.approx(claims.TOWER_MILLIONS[backbone.replace("-", "/")], abs=0.05)

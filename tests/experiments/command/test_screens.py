"""What people read: nothing cropped at 80 columns or in a pipe, and every number with its relation, level and point."""

import io

import pytest
from rich.console import Console

from experiments.command.synthetic import accuracy_table
from experiments.command.trials import claims_table, verdict_table
from simulator.world import World

LONG = "clip-beats-supervised-at-full-correlation/of-a-name-that-no-column-of-eighty-would-hold-in-one-piece"
VERDICT = {
    "claim": LONG,
    "verdict": "contradicted",
    "statement": "At full correlation the contrastive learner is right on more of the counter group.",
    "predicted": 0.5,
    "measured": 0.4301,
    "interval": [0.42, 0.44],
    "counterexample": {"p_spu": 0.8, "mu_spu": 3.0},
    "route": "drawn pairs",
    "n": 100_000,
    "replicates": 8,
    "quantity": "counter",
    "relation": ">=",
    "search_evaluations": 1024,
    "audits": 0,
}
STORED = {
    **VERDICT,
    "claim": "trained/linear",
    "verdict": "supported",
    "stored": True,
    "counterexample": None,
    "date": "2026-01-31",
}
TABLES = {k: v for k, v in VERDICT.items() if k not in ("search_evaluations", "audits")} | {
    "counterexample": "ViT/B/16",
    "level": 0.99,
    "verdict": "undecided",
}
AUDITED = {
    **VERDICT,
    "verdict": "supported",
    "counterexample": None,
    "point": {"p_spu": 0.9, "sigma_xi": 0.0},
    "audits": 5,
}


def shown(table, width: int) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width).print(table)
    return stream.getvalue()


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("width", [40, 80, 10_000])
def test_a_verdict_is_whole_at_any_width(width):
    text = shown(verdict_table([VERDICT]), width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    assert LONG in text.replace("\n", "")
    for part in (
        "contrastive learner is right on more of the counter group.",
        "claimed counter ≥ 0.5",
        "measured 0.4301, 95% interval 0.42 to 0.44",
        "counterexample p_spu = 0.8, mu_spu = 3, ν = 0.01562",
        "drawn pairs, n = 1e+05",
    ):
        assert part in words(text)


def test_a_pipe_gets_ids_in_one_piece_and_three_lines_a_claim(soberclip):
    """Also where COLUMNS is narrow: nobody's terminal is the limit."""
    run = soberclip("check", "xue-data-model-1", "--quick")
    lines = run.out.splitlines()
    assert lines[0].split() == ["supported", "xue-data-model-1/common"]
    assert lines[3].split() == ["supported", "xue-data-model-1/counter"]
    assert lines[1].strip() == "At mu_spu = 1, accuracy on the common group equals the printed limit."
    assert "claimed common = 0." in lines[2]
    assert "95% interval" in lines[2]
    tried = "2 supported. 2 claims were tried in this run, at 5 audit points unless a counterexample came first."
    assert lines[6] == tried


def test_it_says_what_was_not_tried_now():
    text = words(shown(verdict_table([VERDICT, STORED, TABLES, AUDITED]), 80))
    assert "2 claims were tried in this run, at 5 audit points unless a counterexample came first" in text
    assert "1 claim was not tried in this run: their verdicts on trained towers are stored" in text
    assert "1 claim was judged from the published tables" in text
    assert "99% interval 0.42 to 0.44" in text
    assert "exception ViT/B/16" in text
    assert "at this point p_spu = 0.9, sigma_xi = 0, ν = 0" in text


def test_claims_are_whole_at_80_columns():
    text = shown(claims_table([{"claim": LONG, "source": "me", "statement": "word " * 40, "untried": None}]), 80)
    assert LONG in text.replace("\n", "")
    assert text.count("word") == 40


@pytest.mark.parametrize(
    ("world", "noise"),
    [
        (World(), "view noise ν = 0.01562"),
        (World(sigma_xi=0.0), "view noise ν = 0"),
        (World(dim_image=4), "view noise ν = 0.25 (images), 0.01562 (texts)"),
    ],
)
def test_accuracies_come_with_the_noise_that_they_hold_for(world, noise):
    numbers = {"common": 0.9, "counter": 0.3, "balanced": 0.6, "drop": 0.6}
    document = {"world": world.model_dump(), "learner": "linear", "prompt": "name", "reliance": 1.5, **numbers}
    text = words(shown(accuracy_table(document), 80))
    assert noise in text
    assert "reliance (weight on background per weight on object): 1.5000" in text


def test_what_stands_beside_a_narrow_table_is_not_folded_to_its_width():
    numbers = {"common": 0.9, "counter": 0.3, "balanced": 0.6, "drop": 0.6}
    document = {"world": World().model_dump(), "learner": "linear", "prompt": "name", "reliance": 0.4, **numbers}
    measured = {"n": 1000, "replicates": [numbers], "method": "exact", "predicted": None}
    lines = shown(accuracy_table({**document, **measured}), 80).splitlines()
    assert lines[0] == "linear, name prompt, n = 1e+03, 1 replicate, exact"
    assert lines[-1] == "reliance (weight on background per weight on object): 0.4000"


@pytest.mark.parametrize(
    ("common", "counter", "said"),
    [(0.41, 0.25, True), (0.42, 0.24, False), (0.405, 0.2401, False)],
    ids=["by the Gaussian PMI", "by the law", "one group each"],
)
def test_towers_that_know_covariances_alone_are_told(common, counter, said):
    """Named only where both groups lie nearer to the Gaussian PMI than to the law."""
    law, known = {"common": 0.427, "counter": 0.238}, {"common": 0.405, "counter": 0.25}
    groups = {"common": common, "counter": counter, "balanced": (common + counter) / 2, "drop": common - counter}
    document = {
        **{"learner": "infonce, mlp towers", "prompt": "mean", "world": World(classes=10).model_dump()},
        **{"n": 1000, "method": "fresh pairs", "replicates": [groups], **groups},
        **{"predicted": law, "prompts": {"mean": {"covariances": known}}, "diverged": []},
    }
    printed = words(shown(accuracy_table(document), 80))
    assert ("nearer to the Gaussian PMI (40.50 and 25.00 %), which knows covariances" in printed) == said

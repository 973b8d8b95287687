"""Screens: nothing is cropped at 80 columns or in a pipe; numbers come with relation, level and point."""

from dataclasses import replace

import numpy as np
import pytest
from laws.test_photos import placed_results
from planted_embeddings import balanced, planted
from rich.console import Group

from experiments.command.counteranimal import comparison_screen
from experiments.command.output import emit
from experiments.command.synthetic import predict_screen
from experiments.command.trials import claims_table, verdict_table
from experiments.heads.reliance import embeddings
from experiments.heads.tables import answer
from experiments.photos.robustness import compare
from experiments.table import NUMBER, Column, Table, html
from experiments.verdict import Verdict
from simulator import progress
from simulator.pixels.views import Pixels
from simulator.world import World
from tests.experiments.conftest import shown

LONG = "clip-beats-supervised-at-full-correlation/of-a-name-that-no-column-of-eighty-would-hold-in-one-piece"
VERDICT = Verdict(
    claim=LONG,
    source="me",
    verdict="contradicted",
    statement="At full correlation the contrastive learner is right on more of the counter group.",
    meaning="Train on other data.",
    predicted=0.5,
    measured=0.4301,
    interval=[0.42, 0.44],
    level=0.95,
    counterexample={"p_spu": 0.8, "mu_spu": 3.0},
    route="drawn pairs",
    n=100_000,
    replicates=8,
    seconds=0.0,
    quantity="counter",
    relation=">=",
    search_evaluations=1024,
)
DIGEST = {"digest": "0123456789abcdef", "digest_of_source": True}
STORED = {"verdict": "supported", "stored": True, "counterexample": None, "date": "2026-01-31"}
STORED = replace(VERDICT, kind="trained", cases=[], **STORED)
TABLES = replace(VERDICT, kind="published", counterexample="ViT/B/16", level=0.99)
AUDITED = replace(VERDICT, counterexample=None, point={"p_spu": 0.9, "sigma_xi": 0.0}, audits=5)


def words(text: str) -> str:
    return " ".join(text.split())


def test_a_verdict_is_complete_in_a_narrow_window():
    for table in (verdict_table([VERDICT]), claims_table([{**VERDICT.as_json(), "untried": None, **DIGEST}])):
        text = shown(table, 40)
        assert "…" not in text
        assert max(map(len, text.splitlines())) <= 40
        assert LONG in text.replace("\n", "")


@pytest.mark.parametrize("width", [44, 200])
def test_a_wide_table_goes_on_below_itself_and_breaks_no_word_and_no_number(width):
    names = ["zero-shot", "project out the captions of backgrounds", "interpolate, 25% logistic regression"]
    cells = {f"accuracy {i}": f"{i}0.5\n{i}0.1 to {i}0.9" for i in range(1, 7)}
    columns = [Column("head", "head"), Column("worst", "worst"), *(Column(name, name, NUMBER) for name in cells)]
    records = [{"head": name, "worst": "polar bear, counter", **cells} for name in names]
    text = shown(Table("a title", columns, records, keys=2), width)
    assert max(map(len, text.splitlines())) <= width
    assert {word for name in (*names, *cells, "polar bear, counter") for word in name.split()} <= {*text.split()}
    parts = text.count("head")  # the two keys stand in every part
    assert (text.count("backgrounds"), text.count("polar")) == (parts, parts * len(names))
    assert (parts > 1) == (width < 200)
    assert all(line in text for cell in cells.values() for line in cell.splitlines())
    page = html(Table(None, [Column("Claim", "id"), Column("Violation", "v", NUMBER)], [{"id": "one", "v": 0.5}]))
    assert page.count('data-name="violation">0.5<') == page.count("data-name") == 1  # on a phone there are no heads


def test_the_progress_disappears_before_a_result_is_printed(monkeypatch, capsys):
    order = []
    monkeypatch.setattr(progress.line, "stop", lambda: order.append(capsys.readouterr().out))
    emit({"verb": "claims"}, True, str)
    assert (order, capsys.readouterr().out) == ([""], '{"verb": "claims"}\n')


def test_words_in_brackets_are_printed_as_they_are(capsys):
    table = Table("[W]", [Column("[X]", str)], ["[Y]"])
    emit({}, False, lambda document: Group("Table 7 of [W], :bear: [bold]", table))
    text = capsys.readouterr().out
    assert all(words in text for words in ("Table 7 of [W], :bear: [bold]", "[W]\n", "[X]", "[Y]"))


def test_a_place_that_is_unknown_says_why():
    for fields, why in (
        ({"views": Pixels()}, "of pixels"),
        ({"classes": 3, "sigma_xi": 0.0, "sigma_spu": 0.0}, "without noise"),
    ):
        assert why in predicted(World(**fields), common=0.9, counter=0.8, drop=0.1)


def test_a_place_is_compared_with_data_above_chance_alone():
    """Chance is 1/K: with three classes a background of p between 1/3 and 1/2 says something of the label."""
    for classes, p, above in ((2, 0.6, True), (2, 0.4, False), (3, 0.4, True), (3, 0.3, False)):
        place = {"equivalent_correlation": p + 0.1, "shortfall": 0.01}
        text = predicted(World(classes=classes, p_spu=p), common=0.9, counter=0.8, drop=0.1, **place)
        assert ("p′ − p = +0.100" in text) == above, (classes, p)
        assert f"p′ = {p + 0.1:.3f}" in text


def test_kinds_of_claims_are_counted_separately_and_show_where_they_were_tried():
    worst = {"verdict": "supported", "worst": {"p_spu": 0.6, "sigma_xi": 1.0}, "largest_violation_found": -0.0027}
    supported = replace(AUDITED, **worst)
    every = (VERDICT, STORED, TABLES, AUDITED, supported, replace(supported, largest_violation_found=0.001))
    text = words(shown(verdict_table([replace(one, claim=f"mine-{i}") for i, one in enumerate(every)]), 80))
    for part in (
        *(VERDICT.statement, VERDICT.meaning, "≥ 0.5", "0.4301, 95% interval 0.42 to 0.44", "mu_spu = 3"),
        *("(4 tried in this run, 1 ", "99% interval 0.42 to 0.44", "ViT/B/16", "p_spu = 0.9, sigma_xi = 0, ν = 0"),
        *("p_spu = 0.6, sigma_xi = 1, ν = 0.01562, where it holds by 0.0027", "where it is off by 0.001"),
    ):
        assert part in text


def test_an_answer_has_its_percentages_or_says_why_it_has_none():
    head = embeddings(**planted(np.random.default_rng(0), 800))["heads"][0]
    p, low, high = head["equivalent_correlation"], *head["interval"]["equivalent_correlation"]
    sentence = "mine relies on the background as much as the best classifier of data in which "
    sentence += f"{100 * p:.0f} % ({100 * low:.0f} to {100 * high:.0f} %) of the photos are common"
    assert answer("mine", head) == sentence
    head = embeddings(**balanced(np.random.default_rng(0), 20))["heads"][0]
    assert head["equivalent_correlation"] is None
    low, high = (f"{100 * end:.0f}" for end in head["interval"]["equivalent_correlation"])
    sentence = f"The photos do not resolve how much mine relies on the background: p′ lies within {low} to {high} %; "
    sentence += f"about {head['photos_needed']:.1f} times as many photos of each group would resolve it"
    assert answer("mine", head) == sentence


def test_a_comparison_begins_with_the_order_of_its_models(tmp_path):
    sentence = "In order of p′, the least reliance on the background first: second, fourth"
    for verbose in (False, True):
        assert words(shown(comparison_screen(compare(placed_results(tmp_path)), verbose), 80)).startswith(sentence)


def predicted(world, **numbers) -> str:
    """The screen of `predict`, on one line."""
    absent = ("balanced", "equivalent_correlation", "shortfall", "interval95", "uncovered_share")
    document = {**dict.fromkeys(absent), "world": world, "learner": "linear", "prompt": "name", **numbers}
    return words(shown(predict_screen(document), 80))


def test_intervals_of_unit_embeddings_have_no_level():
    ends = {
        "common": [0.86, 0.88],
        "counter": [0.6, 0.7],
        "equivalent_correlation": [0.6, 0.7],
        "shortfall": [0.0, 0.1],
    }
    numbers = {"common": 0.87, "counter": 0.65, "equivalent_correlation": 0.65, "shortfall": 0.05, "interval95": ends}
    limits = {"scale": 2.0, "unlimited": {"common": 0.9, "counter": 0.7}, "meets_budget": False}
    assert predicted(World(), **numbers).count("95% interval") == 2
    text = predicted(World(), **numbers, **limits)
    assert ("95%" in text, "intervals: correlation 0.600 to 0.700" in text) == (False, True)

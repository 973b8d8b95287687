"""Screens: nothing is cropped at 80 columns or in a pipe; numbers come with relation, level and point."""

import io
from dataclasses import replace

import pytest
from rich.console import Console, Group

from experiments.command.output import emit
from experiments.command.synthetic import accuracy_table
from experiments.command.trials import claims_table, verdict_table
from experiments.table import NUMBER, Column, Table, html
from experiments.verdict import Verdict
from simulator import progress
from simulator.pixels.views import Pixels
from simulator.world import World
from theory.ideal_curve import MOST_CLASSES

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
WORST = {"verdict": "supported", "worst": {"p_spu": 0.6, "sigma_xi": 0.0}, "largest_violation_found": -0.0027}


def shown(table, width: int) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width, markup=False).print(table)
    return stream.getvalue()


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("width", [40, 80, 10_000])
def test_a_verdict_is_complete_at_any_width(width):
    text = shown(verdict_table([VERDICT]), width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    assert LONG in text.replace("\n", "")
    assert LONG in shown(claims_table([{**VERDICT.as_json(), "untried": None, **DIGEST}]), width).replace("\n", "")
    for part in (
        VERDICT.statement,
        f"In practice: {VERDICT.meaning}",
        "counter ≥ 0.5",
        "0.4301, 95% interval 0.42 to 0.44",
        "p_spu = 0.8, mu_spu = 3",
    ):
        assert part in words(text)


@pytest.mark.parametrize("width", [44, 56, 80, 200])
def test_a_wide_table_goes_on_below_itself_and_breaks_no_word_and_no_number(width):
    names = ["zero-shot", "project out the captions of backgrounds", "interpolate, 25% logistic regression"]
    cells = {f"accuracy {i}": f"{i}0.5\n{i}0.1 to {i}0.9" for i in range(1, 7)}
    columns = [Column("head", "head"), Column("worst", "worst"), *(Column(name, name, NUMBER) for name in cells)]
    columns.append(Column(wider := "heterogeneity of rows", "few", NUMBER))
    records = [{"head": name, "worst": "polar bear, counter", **cells, "few": "3"} for name in names]
    text = shown(Table("a title", columns, records, keys=2), width)
    assert max(map(len, text.splitlines())) <= width
    assert {word for name in (*names, *cells, wider, "polar bear, counter") for word in name.split()} <= {*text.split()}
    parts = text.count("head")  # the two keys stand in every part
    assert (text.count("backgrounds"), text.count("polar")) == (parts, parts * len(names))
    assert (parts > 1) == (width < 200)
    assert all(line in text for cell in cells.values() for line in cell.splitlines())
    if width == 200:
        assert all(name in text for name in (*names, wider)), "words break lines only where room is short"
    assert shown(Table("one key", columns, records), width).count("polar") == len(names)


def test_a_pipe_gets_unbroken_ids_in_at_most_100_columns(soberclip):
    run = soberclip("check", "xue-data-model-1", "--quick")
    lines = run.out.splitlines()
    assert lines[0].startswith("holds: Paraphrase: the accuracies of contrastive learning in data model 1")
    heads = [line.split() for line in lines if line.startswith("supported")]
    assert heads == [["supported", f"xue-data-model-1/{group}"] for group in ("common", "counter")]
    assert "Of 1 published statement 1 holds (1 tried in this run)." in lines
    assert "Claim by claim: 2 supported." in lines
    assert 80 < max(map(len, lines)) <= 100


def test_stored_and_table_claims_are_counted_separately():
    each = [replace(one, claim=f"mine-{i}") for i, one in enumerate((VERDICT, STORED, TABLES, AUDITED))]
    text = words(shown(verdict_table(each), 80))
    assert "(2 tried in this run, 1 shown from stored trials, 1 judged from the papers' tables)" in text
    for part in ("99% interval 0.42 to 0.44", "ViT/B/16", "p_spu = 0.9, sigma_xi = 0, ν = 0"):
        assert part in text


def test_a_supported_claim_shows_the_worst_point_found_and_how_far_it_holds_there():
    text = words(shown(verdict_table([replace(AUDITED, **WORST)]), 80))
    assert "worst point by theory p_spu = 0.6, sigma_xi = 0, ν = 0, where it holds by 0.0027" in text
    text = words(shown(verdict_table([replace(AUDITED, **{**WORST, "largest_violation_found": 0.001})]), 80))
    assert "where it is off by 0.001" in text


def test_a_table_lists_its_cells_and_its_own_common_share():
    world = World(table=[[0.3, 0.1, 0.0], [0.2, 0.2, 0.2]])
    numbers = {"common": 0.9, "counter": 0.90001, "balanced": 0.9, "drop": -1e-5, "unseen": 0.7}
    numbers |= {"equivalent_correlation": 0.8, "shortfall": 0.01}
    text = words(
        shown(accuracy_table({"world": world.model_dump(), "learner": "linear", "prompt": "name", **numbers}), 80)
    )
    for part in (
        "class 0, backgrounds: common 0; counter 1; unseen 2",
        "class 1, backgrounds: common 0, 1, 2",
        "(your table: 90.00 %)",
    ):
        assert part in text
    assert "-0.00" not in text


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


def test_accuracies_come_with_their_noise():
    numbers = {"common": 0.9, "counter": 0.3, "balanced": 0.6, "drop": 0.6, "reliance": 1.5}
    numbers |= {"equivalent_correlation": 0.95, "shortfall": 0.012, "uncovered_share": {"common": 0.0, "counter": 0.3}}
    document = {"world": World(dim_image=4).model_dump(), "learner": "linear", "prompt": "name", **numbers}
    text = words(shown(accuracy_table(document), 80))
    for part in (
        "ν = 0.25 (images), 0.01562 (texts)",
        "1.5000",
        "p′ = 0.950 (yours has p = 0.9)",
        "1.2 points",
        "30.00 %",
    ):
        assert part in text
    assert "p′ − p = +0.050: it uses more of the background than the data offer" in text
    wide = {"common": [0.8, 1.0], "counter": [0.1, 0.5], "equivalent_correlation": [0.7, 1.0], "shortfall": [0.0, 0.1]}
    text = words(shown(accuracy_table(document | {"interval95": wide}), 80))
    assert "so it may use less or more of the background than the data offer" in text


@pytest.mark.parametrize(
    ("world", "shortfall", "words"),
    [
        (World(mu_spu=0.0), 0.1, "many correlations have this drop"),
        (World(views=Pixels()), None, "ideal classifier of pixels"),
        (World(classes=MOST_CLASSES + 1), None, "at most ten classes"),
        (World(classes=3, sigma_xi=0.0, sigma_spu=0.0), None, "without noise, the ideal classifier of three classes"),
    ],
)
def test_a_place_that_is_unknown_says_why(world, shortfall, words):
    numbers = {"common": 0.9, "counter": 0.8, "equivalent_correlation": None, "shortfall": shortfall}
    document = {"world": world.model_dump(), "learner": "linear", "prompt": "name", "balanced": 0.85, "drop": 0.1}
    assert words in shown(accuracy_table(document | numbers), 120)


def test_groups_that_a_table_lacks_have_no_row():
    numbers = dict.fromkeys(("counter", "balanced", "drop", "equivalent_correlation", "shortfall"))
    numbers |= {"common": 0.9, "unseen": 0.7}
    document = {"world": World(table=[[0.5, 0.0], [0.0, 0.5]]).model_dump(), "learner": "linear", "prompt": "name"}
    text = shown(accuracy_table(document | numbers), 80)
    assert "90.00" in text
    assert "unseen" in text
    assert not any(group in text for group in ("counter", "balanced", "drop"))


def test_a_cell_of_a_page_has_the_name_of_its_column():
    """On a phone the cells stand below each other, without their heads."""
    columns = Column("Claim", "id"), Column("Largest violation", "v", NUMBER)
    page = html(Table(None, columns, [{"id": "one", "v": 0.5}]))
    assert 'data-name="largest violation">0.5<' in page
    assert page.count("data-name") == 1

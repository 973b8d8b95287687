"""Parts of screens that no golden screen has: wide tables, words in brackets, resolved answers,
limits of scores.
"""

import numpy as np
import pytest
from laws.test_photos import placed_results
from planted_embeddings import planted
from rich.console import Group

from experiments.command.counteranimal import comparison_screen
from experiments.command.output import emit
from experiments.command.synthetic import predict_screen
from experiments.heads.reliance import embeddings
from experiments.heads.tables import answer
from experiments.photos.robustness import compare
from experiments.table import NUMBER, Column, Table, html
from simulator import progress
from simulator.world import World
from tests.experiments.conftest import shown


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("width", [44, 200])
def test_a_wide_table_goes_on_below_itself_and_breaks_no_word_and_no_number(width):
    names = [
        "zero-shot",
        "project out the captions of backgrounds",
        "interpolate, 25% logistic regression",
    ]
    cells = {f"accuracy {i}": f"{i}0.5\n{i}0.1 to {i}0.9" for i in range(1, 7)}
    columns = [
        Column("head", "head"),
        Column("worst", "worst"),
        *(Column(name, name, NUMBER) for name in cells),
    ]
    records = [{"head": name, "worst": "polar bear, counter", **cells} for name in names]
    text = shown(Table("a title", columns, records, keys=2), width)
    assert max(map(len, text.splitlines())) <= width
    assert {word for name in (*names, *cells, "polar bear, counter") for word in name.split()} <= {
        *text.split()
    }
    parts = text.count("head")  # the two keys stand in every part
    assert (text.count("backgrounds"), text.count("polar")) == (parts, parts * len(names))
    assert (parts > 1) == (width < 200)
    assert all(line in text for cell in cells.values() for line in cell.splitlines())
    page = html(
        Table(
            None,
            [Column("Claim", "id"), Column("Violation", "v", NUMBER)],
            [{"id": "one", "v": 0.5}],
        )
    )
    # on a phone there are no heads
    assert page.count('data-name="violation">0.5<') == page.count("data-name") == 1


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


def test_an_answer_has_its_percentages():
    head = embeddings(**planted(np.random.default_rng(0), 800))["heads"][0]
    p, low, high = head["equivalent_correlation"], *head["interval"]["equivalent_correlation"]
    sentence = "mine relies on the background as much as the best classifier of data in which "
    sentence += f"{100 * p:.0f} % ({100 * low:.0f} to {100 * high:.0f} %) of the photos are common"
    assert answer("mine", head) == sentence


def test_a_comparison_begins_with_the_order_of_its_models(tmp_path):
    sentence = "In order of p′, the least reliance on the background first: second, fourth"
    for verbose in (False, True):
        assert words(
            shown(comparison_screen(compare(placed_results(tmp_path)), verbose), 80)
        ).startswith(sentence)


def predicted(world, **numbers) -> str:
    """The screen of `predict`, on one line."""
    absent = ("balanced", "equivalent_correlation", "shortfall", "interval95", "uncovered_share")
    document = {
        **dict.fromkeys(absent),
        "world": world,
        "learner": "linear",
        "prompt": "name",
        **numbers,
    }
    return words(shown(predict_screen(document), 80))


def test_intervals_of_unit_embeddings_have_no_level():
    ends = {
        "common": [0.86, 0.88],
        "counter": [0.6, 0.7],
        "equivalent_correlation": [0.6, 0.7],
        "shortfall": [0.0, 0.1],
    }
    numbers = {
        "common": 0.87,
        "counter": 0.65,
        "equivalent_correlation": 0.65,
        "shortfall": 0.05,
        "interval95": ends,
    }
    limits = {"scale": 2.0, "unlimited": {"common": 0.9, "counter": 0.7}, "meets_budget": False}
    assert predicted(World(), **numbers).count("95% interval") == 2
    text = predicted(World(), **numbers, **limits)
    assert ("95%" in text, "intervals: correlation 0.600 to 0.700" in text) == (False, True)

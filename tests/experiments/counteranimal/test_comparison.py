"""Results of every origin meet in one schema; lines and pairs are those of the tables."""

import json
from dataclasses import replace

import numpy as np
import pytest

from experiments.counteranimal.comparison import Result, compare, gather
from experiments.counteranimal.metrics import ClassCounts
from experiments.counteranimal.plot import comparison_figure
from experiments.counteranimal.summaries import standing
from experiments.errors import RequestError
from experiments.lines import fit_line
from experiments.published.tables import published_rows
from experiments.results import Row

PROTOCOL = ("macro", "1000", "simple")


def test_published_rows_and_their_lines():
    document = compare(gather(["published"], *PROTOCOL))
    assert document["reference"] == "ImageNet"
    assert {name: line["models"] for name, line in document["lines"].items()} == {"CLIP": 28, "ImageNet": 15}
    rows = [r for r in published_rows() if r.family == "ImageNet"]
    x, y = (np.array([getattr(r, g) for r in rows]) for g in ("common", "counter"))
    assert document["lines"]["ImageNet"]["logit"]["slope"] == pytest.approx(float(fit_line(x, y, "logit").slope))
    own = [r["effective_robustness"]["plain"]["value"] for r in document["rows"] if r["family"] == "ImageNet"]
    assert sum(own) == pytest.approx(0, abs=1e-9)  # least-squares residuals
    json.dumps(document, allow_nan=False)


def test_named_published_models_are_paired():
    found = gather(["published:CLIP-LAION400M-ViT/B/32", "published:CLIP-LAION2B-ViT/B/32"], *PROTOCOL)
    low, high = found[0].row.interval_drop
    assert low < 0.3018 < high
    (pair,) = compare(found)["pairs"]
    # Table 16: mean drops 30.22 and 24.19.
    assert pair["classes"] == 45
    assert pair["drop"]["difference"] == pytest.approx(-0.0602, abs=0.003)
    assert pair["drop"]["classes_up"] + pair["drop"]["classes_down"] <= 45


def test_synthetic_learners_join(tmp_path):
    simulated = {"learner": "linear", "prompt": "name", "common": 0.9, "counter": 0.4, "interval95": None}
    trained = {"loss": "infonce", "prompt": "name", "common": 0.8, "counter": 0.7, "interval95": {"common": [0.7, 0.9]}}
    (tmp_path / "s.json").write_text(json.dumps(simulated))
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "result.json").write_text(json.dumps(trained))
    found = gather([str(tmp_path / "s.json"), str(tmp_path / "r"), "published"], *PROTOCOL)
    assert [(r.row.family, r.row.model) for r in found[:2]] == [
        ("synthetic", "linear (name)"),
        ("synthetic", "infonce (name)"),
    ]
    assert found[1].row.interval_common == (0.7, 0.9)
    assert len(compare(found)["rows"]) == 45


def test_repeated_rows_are_kept_once_and_same_names_are_told_apart():
    found = gather(["published", "published", "published:CLIP-OpenAI-ViT/B/32"], *PROTOCOL)
    assert len(found) == 43
    assert sum(r.classes is not None for r in found) == 1
    twice = [Result(Row(s, "m", "CLIP", 0.5, 0.4)) for s in ("a", "b")]
    assert compare(twice)["reference"] is None


def test_accuracies_of_zero_and_one_join_no_line():
    rows = [Result(Row("x", f"m{i}", "own", c, c / 2)) for i, c in enumerate((0.4, 0.6, 0.8, 1.0, 0.0))]
    document = compare(rows)
    assert document["lines"]["own"]["models"] == 3
    assert [r["effective_robustness"] is None for r in document["rows"]] == [False, False, False, True, True]


def test_wrong_requests(tmp_path):
    with pytest.raises(RequestError, match="nearest is 'CLIP-OpenAI-RN50'"):
        gather(["published:CLIP-OpenAI-RN5O"], *PROTOCOL)
    with pytest.raises(RequestError, match="nothing to compare"):
        gather([], *PROTOCOL)
    with pytest.raises(RequestError, match="no rows were published for 45"):
        gather(["published"], "macro", "45", "simple")
    with pytest.raises(RequestError, match=r"holds no summary.json"):
        gather([str(tmp_path)], *PROTOCOL)
    (tmp_path / "x.json").write_text('{"a": 1}')
    with pytest.raises(RequestError, match="is no result"):
        gather([str(tmp_path / "x.json")], *PROTOCOL)
    with pytest.raises(RequestError, match="'LVLM' has no line"):
        compare(gather(["published"], *PROTOCOL), "LVLM")


def test_standing_among_the_published():
    best = max(published_rows(), key=lambda r: r.counter)
    place = standing(replace(best, source="mine"))
    assert place["rank_counter"] == 1
    assert place["nearest"]["model"] == best.model
    assert standing(min(published_rows(), key=lambda r: r.drop))["rank_drop"] == 1
    assert standing(max(published_rows(), key=lambda r: r.drop))["rank_drop"] == 43
    middle = standing(Row("x", "m", "CLIP", 0.7, 0.45, labels="1000", mean="macro"))
    assert middle["of"] == 43
    assert middle["effective_robustness"]["ImageNet"] < 0
    assert standing(Row("x", "m", "CLIP", 0.7, 0.45, labels="45", mean="macro")) is None


@pytest.mark.parametrize("extra", [[], [Result(Row("x", "m", "own", 1.0, 0.0))]])
def test_the_figure_is_drawn_from_any_rows(extra, tmp_path):
    figure = comparison_figure(gather(["published"], *PROTOCOL) + extra)
    figure.savefig(tmp_path / "a.svg")
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["plain axes", "logit axes", "probit axes"]
    low, high = figure.axes[0].get_ylim()
    assert low < min(r.counter for r in published_rows()) < max(r.counter for r in published_rows()) < high
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert "CLIP, published (28)" in labels
    comparison_figure([Result(Row("x", "m", "own", 0.5, 0.25))]).savefig(tmp_path / "b.svg")


def test_classes_travel_with_results():
    table = ClassCounts(np.array([9, 16]), np.array([[10, 10], [10, 10]]), np.array([[9, 5], [8, 4]]))
    better = ClassCounts(table.index, table.photos, table.correct + np.array([[0, 1], [0, 1]]))
    document = compare(
        [Result(Row("x", "a", "own", 0.85, 0.45), table), Result(Row("x", "b", "own", 0.85, 0.55), better)]
    )
    assert document["pairs"][0]["drop"]["difference"] == pytest.approx(-0.1)

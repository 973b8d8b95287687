"""All kinds of results share one schema; lines and pairs match the tables; figure and page show
every model.
"""

import json
import re
from itertools import product

import numpy as np
import pytest
from markupsafe import escape
from matplotlib.collections import PolyCollection
from matplotlib.text import Annotation

from experiments.effective_robustness import AXES, band, fit_line, stretch
from experiments.errors import RequestError
from experiments.heads.intervals import counted, group_accuracies, over_classes, paired
from experiments.photos.figures import comparison_figure, write_comparison
from experiments.photos.labels import Vocabulary
from experiments.photos.robustness import MOST_PAIRED, REPLICATES, Result, compare, gather, lines_of
from experiments.photos.summaries import score_files
from experiments.photos.tables import marks, pairs_table
from experiments.published.tables import published_rows
from experiments.results import FEWEST, Row

PROTOCOL = ("macro", "1000", "simple")


def test_published_rows_and_their_lines():
    document = compare(gather(["published"], *PROTOCOL))
    assert document["reference"] == "ImageNet"
    assert {name: line["models"] for name, line in document["lines"].items()} == {
        "CLIP": 28,
        "ImageNet": 15,
    }
    rows = [r for r in published_rows() if r.family == "ImageNet"]
    x, y = (np.array([getattr(r, g) for r in rows]) for g in ("common", "counter"))
    assert document["lines"]["ImageNet"]["logit"]["slope"] == pytest.approx(
        float(fit_line(x, y, "logit").slope)
    )
    json.dumps(document, allow_nan=False)
    own = [
        r["effective_robustness"]["plain"] for r in document["rows"] if r["family"] == "ImageNet"
    ]
    leverage = 1 / len(x) + (x - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum()
    # A residual from the line of the others, in closed form; within the line the sum would be 0.
    assert [e["value"] for e in own] == pytest.approx(
        (y - fit_line(x, y, "plain").at(x)) / (1 - leverage)
    )
    assert {
        r["family"] for r in document["rows"] if r["effective_robustness"]["plain"]["left_out"]
    } == {"ImageNet"}


def scored(folder, name, right=6):
    """A result of 8 classes with 5 photos per group; in the counter group `right` classes are
    right.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["class_index,group,predicted_index"]
    for index, group, i in product(range(8), ("common", "counter"), range(5)):
        correct = (i + index) % 5 or (group == "counter" and index < right)
        rows.append(f"{index},{group},{index if correct else 999}")
    (folder / f"{name}.csv").write_text("\n".join(rows) + "\n")
    return folder / f"{name}.csv"


def place(p, low, high, **more):
    ends = {"equivalent_correlation": [low, high], "shortfall": [0.0, 0.02]}
    return {"equivalent_correlation": p, "shortfall": 0.01, "interval": ends, **more}


PLACED = place(0.8, 0.7, 0.9)


def placed(tmp_path, places):
    """Results of models on the same photos, with these places in their summaries."""
    for name, place in places.items():
        (document,) = score_files([scored(tmp_path / "in", name)], output=tmp_path / name)
        (tmp_path / name / "summary.json").write_text(json.dumps(document | {"equivalent": place}))
    return gather([str(tmp_path / name) for name in places], *PROTOCOL)


@pytest.mark.parametrize(
    "change",
    [
        {"model": ["a"]},
        {"model": "\ud800"},
        {"family": None},
        {"labels": {}},
        {"seed": "0"},
        {"equivalent": 0.8},
        {"equivalent": place(0.8, 0.7, 0.9, replicates=[0.5, 1.5])},
        {"equivalent": place(0.95, 0.7, 0.9)},
        {"equivalent": {**PLACED, "shortfall": None, "interval": {"shortfall": [0.5, 0.1]}}},
        {"equivalent": {**PLACED, "equivalent_correlation": "0.8"}},
        {"equivalent": {**PLACED, "shortfall": float("nan")}},
    ],
)
def test_a_summary_of_another_kind_is_refused(tmp_path, change):
    (document,) = score_files([scored(tmp_path / "in", "a")], output=tmp_path / "out")
    assert set(change) <= {*document, "equivalent"}
    (tmp_path / "out" / "summary.json").write_text(json.dumps(document | change))
    with pytest.raises(RequestError, match=r"summary\.json'"):
        gather([str(tmp_path / "out")], *PROTOCOL)


def test_numbers_are_those_of_the_predictions(tmp_path):
    """The summary beside them gives names and settings only. Labels may be beyond 1,000, models in
    subfolders.
    """
    classes = Vocabulary(tuple(f"class {i}" for i in range(2000)), "mine", imagenet=False)
    file = scored(tmp_path / "in", "a", 2)
    file.write_text(file.read_text().replace("\n7,", "\n1999,"))
    (document,) = score_files(
        [file], labels="own", classes=classes, output=tmp_path / "out", seed=3
    )
    (tmp_path / "out" / "summary.json").write_text(
        json.dumps(document | {"macro": {"common": 1.0}})
    )
    (found,) = gather([str(tmp_path / "out")], *PROTOCOL)
    assert {name: getattr(found.row, name) for name in ("common", "counter", "drop")} == document[
        "macro"
    ]
    assert list(found.row.interval_drop) == document["intervals"]["macro"]["drop"]
    assert found.classes.index[-1] == 1999
    score_files([scored(tmp_path / "in", name) for name in "bc"], output=tmp_path / "out" / "more")
    assert [r.row.model for r in gather([str(tmp_path / "out" / "more")], *PROTOCOL)] == ["b", "c"]
    (tmp_path / "out" / "predictions.csv").unlink()
    with pytest.raises(RequestError, match=r"predictions\.csv'"):
        gather([str(tmp_path / "out")], *PROTOCOL)


def test_results_of_other_classes_are_not_compared(tmp_path):
    """Class 0 is a saw in two files and a teacup in the third; the paper has neither class."""
    for name, words in (("a", "saw teacup"), ("b", "saw teacup"), ("c", "teacup saw")):
        classes = Vocabulary((*words.split(), *"abcdef"), "mine", imagenet=False)
        files = [scored(tmp_path / "in", name, 4)]
        score_files(files, labels="own", classes=classes, output=tmp_path / name)
    assert len(compare(gather([str(tmp_path / "a"), str(tmp_path / "b")], *PROTOCOL))["pairs"]) == 1
    for other in (str(tmp_path / "c"), "published"):
        with pytest.raises(RequestError, match="different classes"):
            gather([str(tmp_path / "a"), other], *PROTOCOL)


def test_models_are_compared_by_p(tmp_path):
    """The least p' first, without those that are not resolved or have none."""
    places = {
        "a": PLACED,
        "b": place(0.4, 0.3, 0.5),
        "c": place(None, 0.2, 1.0),
        "d": None,
        "e": place(0.45, 0.4, 0.6),
    }
    results = placed(tmp_path, places)
    document = compare(results)
    assert document["ranking"] == ["b", "e", "a"]
    assert document["unresolved"] == ["c"]
    assert document["not_distinguished"] == ["e"]  # intervals overlap, and there are no replicates
    assert "no embeddings" in document["equivalent_lacks"]


def test_models_on_the_same_photos_are_told_apart_by_replicates(tmp_path):
    """Intervals overlap; of b and a every replicate differs by .02, of a and c by nothing on
    average.
    """
    at = np.linspace(0.55, 0.75, 200)
    models = {"a": (0.67, at + 0.02), "b": (0.65, at), "c": (0.68, 1.3 - at)}
    places = {
        name: place(p, 0.55, 0.8, replicates=found.tolist()) for name, (p, found) in models.items()
    }
    document = compare(placed(tmp_path, places))
    assert document["ranking"] == ["b", "a", "c"]
    assert document["not_distinguished"] == ["c"]
    assert "replicates" not in document["rows"][0]["equivalent"]


def robustness(result, axis="logit"):
    line = [Result(row) for row in published_rows() if row.family == "ImageNet"][::3]
    document = compare([*line, result])
    json.dumps(document, allow_nan=False)
    return document["rows"][-1]["effective_robustness"][axis]


def test_the_interval_is_of_line_and_model(tmp_path):
    """With 40 photos per group the model's own interval is far wider than the line's."""
    score_files([scored(tmp_path / "in", "a", 4)], output=tmp_path / "out")
    (own,) = gather([str(tmp_path / "out")], *PROTOCOL)
    found = robustness(own)
    assert found["interval_of"] == "line and model"
    line = found["interval_line"]
    model = found["interval_model"]
    both = found["interval"]
    assert both[0] <= min(line[0], model[0]) < found["value"] < max(line[1], model[1]) <= both[1]
    assert model[1] - model[0] > 3 * (line[1] - line[0])
    for k in range(2):  # squares of independent errors add
        parts = sum((ends[k] - found["value"]) ** 2 for ends in (line, model))
        assert both[k] == pytest.approx(found["value"] + (-1, 1)[k] * np.sqrt(parts))
    alone = robustness(Result(own.row))
    assert (alone["interval_of"], alone["interval"], alone["interval_model"]) == (
        "line",
        line,
        None,
    )
    flagged = [
        robustness(Result(Row("x", "m", "CLIP", *at)))["extrapolated"]
        for at in ((0.7, 0.5), (0.2, 0.1))
    ]
    assert flagged == [False, True]


FIRST = counted(
    np.array([1, 2, 5]),
    np.array([[90, 10], [10, 10], [10, 80]]),
    np.array([[81, 2], [5, 5], [2, 40]]),
)
SECOND = counted(
    np.array([1, 2, 9]),
    np.array([[90, 10], [10, 10], [10, 10]]),
    np.array([[90, 1], [5, 7], [1, 1]]),
)


@pytest.mark.parametrize("mean", ["macro", "micro"])
@pytest.mark.parametrize("size", [FEWEST - 1, FEWEST])
def test_over_a_flat_line_a_model_has_the_interval_of_its_counter_accuracy(size, mean):
    """By the mean of its row, over classes of unequal size."""
    rng = np.random.default_rng(size)
    photos = rng.integers(5, 80, (size, 2))
    classes = counted(np.arange(size), photos, rng.binomial(photos, rng.uniform(size=(size, 2))))
    flat = [Result(Row("x", f"m{common}", "CLIP", common, 0.4)) for common in (0.3, 0.5, 0.7)]
    own = Row("x", "mine", "own", *group_accuracies(classes, mean).tolist(), mean=mean)
    over = compare([*flat, Result(own, classes)])["rows"][-1]["effective_robustness"]
    ends = np.array(over_classes(classes, mean, replicates=REPLICATES)["counter"])
    for axis in AXES:
        assert over[axis]["interval_model"] == pytest.approx(ends - 0.4)


def test_pairs_follow_the_mean_of_the_rows_and_models_beyond_the_most_are_named():
    for mean in ("macro", "micro"):
        rows = [
            Result(Row("x", name, "own", 0.5, 0.4, mean=mean), c)
            for name, c in (("a", FIRST), ("b", SECOND))
        ]
        (pair,) = compare(rows)["pairs"]
        assert pair == {"first": "a", "second": "b"} | paired(FIRST, SECOND, mean=mean)
    found = compare(
        [Result(Row("x", f"m{i}", "own", 0.5, 0.4), FIRST) for i in range(MOST_PAIRED + 2)]
    )
    assert len(found["pairs"]) == MOST_PAIRED * (MOST_PAIRED - 1) // 2
    assert found["unpaired"] == [f"m{MOST_PAIRED}", f"m{MOST_PAIRED + 1}"]


PUBLISHED = gather(["published"], *PROTOCOL)
EVIL = "<script>alert(1)</script>$x_{1}$ & \"'"
EXTREMES = [
    Result(Row("mine", EVIL, "own", 1.0, 1.0)),
    Result(Row("mine", "none right", "own", 0.0, 0.0)),
    Result(
        Row(
            "mine", "lost", "own", 0.7, 0.0, interval_common=(0.5, 0.9), interval_counter=(0.0, 0.1)
        )
    ),
    Result(Row("mine", "far below", "own", 0.1, 0.05)),
]


def names(panel):
    return [part for part in panel.get_children() if isinstance(part, Annotation)]


WRITTEN = (
    PUBLISHED[::9]
    + EXTREMES[:2]
    + [Result(Row("mine", f"{EVIL} {k}", "own", 0.8, 0.4), FIRST) for k in range(2)]
)


def test_the_page_escapes_and_needs_no_network(tmp_path):
    folder = tmp_path / "comparison"
    document = compare(WRITTEN)
    write_comparison(folder, document)
    html = re.sub("<svg.*?</svg>", "", (folder / "comparison.html").read_text(), flags=re.DOTALL)
    assert "<script" not in html
    assert str(escape(EVIL)) in html
    assert not re.search(r"(?:src|href)=\"(?!data:)", html)
    assert "http" not in html.replace("http-equiv", "")
    assert html.count("<tr ") == 1 + len(document["rows"]) + 1 + len(document["pairs"])
    starts = {
        "svg": "<?xml",
        "pdf": "%PDF",
        "png": "\x89PNG",
        "html": "<!doctype",
        "json": "{",
        "csv": "number",
    }
    assert {file.name for file in folder.iterdir()} == {f"comparison.{suffix}" for suffix in starts}
    for suffix, start in starts.items():
        assert (folder / f"comparison.{suffix}").read_bytes().startswith(start.encode("latin-1"))
    assert len((folder / "comparison.csv").read_text().splitlines()) == 1 + len(WRITTEN)


def test_the_page_explains_what_it_draws_and_nothing_else(tmp_path):
    for results, words in ((PUBLISHED[::3], ["Lines:", "Bands:"]), (EXTREMES[2:3], ["Bars:"])):
        write_comparison(tmp_path, compare(results))
        html = (tmp_path / "comparison.html").read_text()
        assert [word for word in ("Lines:", "Bands:", "Bars:") if word in html] == words
    assert "‡" not in marks(compare(PUBLISHED))
    assert "‡" in marks(compare(PUBLISHED + EXTREMES[:1]))
    assert "‡" not in marks(compare(EXTREMES[:1])), "without lines no axes are stretched"


def test_rows_that_join_no_line():
    """Accuracies of 0 and 1, a model of one's own, and one of three: a line through two shows
    nothing.
    """

    def of(family, *common):
        return compare([Result(Row("x", f"m{c}", family, c, c / 2)) for c in common])

    document = of("own", 0.4, 0.5, 0.6, 0.8, 1.0, 0.0)
    assert document["lines"]["own"]["models"] == 4
    assert [r["effective_robustness"] is None for r in document["rows"]] == [False] * 4 + [
        True,
        True,
    ]
    own = of("yours", 0.4, 0.5, 0.6, 0.8)
    assert (own["lines"], own["reference"]) == ({}, None)
    assert [r["effective_robustness"] for r in of("own", 0.4, 0.6, 0.8)["rows"]] == [None] * 3
    assert compare([Result(Row(s, "m", "CLIP", 0.5, 0.4)) for s in ("a", "b")])["reference"] is None


def test_named_published_models_are_paired_and_repeated_rows_kept_once():
    found = gather(
        ["published:CLIP-LAION400M-ViT/B/32", "published:CLIP-LAION2B-ViT/B/32"], *PROTOCOL
    )
    document = compare(found)
    (pair,) = document["pairs"]
    assert pair["classes"] == 45
    # mean drops in Table 16
    assert pair["drop"]["difference"] == pytest.approx(0.2419 - 0.3022, abs=0.003)
    heads, cells = pairs_table(document, "drop").rows
    # of the drops of classes there
    assert (heads[2:], cells[2:]) == (["up:down", "p"], ["14:31", "0.0161"])
    found = gather(["published", "published", "published:CLIP-OpenAI-ViT/B/32"], *PROTOCOL)
    assert len(found) == 43
    assert sum(r.classes is not None for r in found) == 1


def test_a_single_model_has_a_scale_and_its_whole_interval():
    for result in (EXTREMES[2], PUBLISHED[0]):
        (panel,) = comparison_figure(compare([result])).axes
        sides = (panel.get_xlim(), panel.get_xticks()), (panel.get_ylim(), panel.get_yticks())
        for (limits, ticks), ends in zip(
            sides, (result.row.interval_common, result.row.interval_counter), strict=True
        ):
            assert ((limits[0] <= ticks) & (ticks <= limits[1])).sum() > 1
            assert ends is None or limits[0] <= ends[0] < ends[1] <= limits[1]


def test_every_model_is_drawn_with_its_number_also_at_0_and_1():
    document = compare(results := PUBLISHED[::3] + EXTREMES)
    # the highest is first
    assert next(row["counter"] for row in document["rows"] if row["number"] == 1) == 1
    figure = comparison_figure(document)
    key = figure.axes[0].get_legend()
    colours = {
        text.get_text(): part.get_color()
        for text, part in zip(key.texts, key.legend_handles, strict=True)
    }
    for panel, axis in zip(figure.axes, AXES, strict=True):
        places = {int(name.get_text()): tuple(name.xy) for name in names(panel)}
        left, right = panel.get_xlim()
        bottom, top = panel.get_ylim()
        points = [line for line in panel.get_lines() if line.get_marker() in ("o", "s")]
        for row, result in zip(document["rows"], results, strict=True):
            at = stretch(np.array([row["common"], row["counter"]]), axis)
            assert places.pop(row["number"]) == pytest.approx(
                tuple(np.clip(at, (left, bottom), (right, top)))
            )
            here = [
                point
                for point in points
                if np.allclose(point.get_xydata(), np.clip(at, *panel.viewLim.get_points()))
            ]
            look = colours[row["family"]], "o" if result in PUBLISHED else "s"
            assert look in [(point.get_color(), point.get_marker()) for point in here]
        assert not places
        areas = [part for part in panel.collections if isinstance(part, PolyCollection)]
        # by another bootstrap
        for (x, y), area in zip(lines_of(results).values(), areas, strict=True):
            ends = np.array([x.min(), x.max()])
            low, high = (
                stretch(end, axis) for end in band(x, y, axis, ends, np.random.default_rng(0))
            )
            corners = area.get_paths()[0].vertices
            at = stretch(ends, axis)
            for place, below, above in zip(at, low, high, strict=True):
                drawn = corners[np.isclose(corners[:, 0], place), 1]
                assert (drawn.min(), drawn.max()) == pytest.approx(
                    (below, above), abs=0.15 * (above - below)
                )
        assert sum(len(point.get_xydata()) for point in points) == len(results)

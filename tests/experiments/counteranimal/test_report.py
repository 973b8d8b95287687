"""The comparison as it is seen: every model has its number, marks say what is special, the page needs nothing else."""

import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.text import Annotation
from rich.console import Console

from experiments.command.screens.counteranimal import comparison_view
from experiments.counteranimal.metrics import ClassCounts
from experiments.counteranimal.plot import comparison_figure
from experiments.counteranimal.report import page, write_comparison
from experiments.counteranimal.result import Result
from experiments.counteranimal.robustness import compare, gather, numbers
from experiments.results import Row

PUBLISHED = gather(["published"], "macro", "1000", "simple")
EVIL = "<script>alert(1)</script>$x_{1}$ & \"'"
EXTREMES = [
    Result(Row("mine", EVIL, "own", 1.0, 1.0)),
    Result(Row("mine", "none right", "own", 0.0, 0.0)),
    Result(Row("mine", "lost", "own", 0.7, 0.0, interval_common=(0.5, 0.9), interval_counter=(0.0, 0.1))),
    Result(Row("mine", "far below", "own", 0.1, 0.05)),
]


def names(panel):
    return [part for part in panel.get_children() if isinstance(part, Annotation)]


def test_every_model_has_its_number_in_every_panel():
    figure = comparison_figure(PUBLISHED)
    for panel in figure.axes:
        places = {int(name.get_text()): name.xy for name in names(panel)}
        expected = zip(numbers(PUBLISHED), PUBLISHED, strict=True)
        assert places == {number: (r.row.common, r.row.counter) for number, r in expected}


def test_accuracies_of_0_and_1_are_drawn_on_the_edge():
    results = PUBLISHED[:5] + EXTREMES
    figure = comparison_figure(results)
    for panel in figure.axes:
        assert len(names(panel)) == len(results)
        drawn = np.concatenate([line.get_xydata() for line in panel.get_lines() if line.get_marker() in "osD"])
        assert len(drawn) == len(results)
        (left, right), (bottom, top) = panel.get_xlim(), panel.get_ylim()
        assert ((drawn >= (left, bottom)) & (drawn <= (right, top))).all()
        edge = {tuple(at) for at in drawn.round(9)}
        if panel.get_title(loc="left") == "plain axes":
            assert {(1, 1), (0, 0), (0.7, 0)} <= edge
        else:
            corners = np.round([(right, top), (left, bottom), (0.7, bottom)], 9)
            assert {tuple(at) for at in corners} <= edge
    assert "Hollow" in figure.subfigs[0]._suptitle.get_text()


class Reader(HTMLParser):
    """Tags with attributes, and all text outside style and script."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.inside = [], "", None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        self.text += "" if self.inside in ("style", "script") else data


def test_the_page_escapes_and_needs_no_network():
    table = ClassCounts(np.arange(3), np.full((3, 2), 9), np.array([[8, 4], [7, 3], [9, 1]]))
    twice = [Result(Row("mine", f"{EVIL} {k}", "own", 0.8, 0.4), table) for k in range(2)]
    document = compare(PUBLISHED + EXTREMES + twice)
    html = page(document, b"<svg/>")
    reader = Reader(html)
    assert [tag for tag, _ in reader.tags].count("script") == 1
    assert EVIL in reader.text
    assert not re.search(r"(?:src|href)=\"(?!data:)", html)
    assert "http" not in html.replace("http-equiv", "")
    rows = [tag for tag, attributes in reader.tags if tag == "tr"]
    assert len(rows) == 1 + len(document["rows"]) + 1 + len(document["pairs"])
    sorting = [a["data-value"] for tag, a in reader.tags if a.get("data-value")]
    assert float(sorting[0]) == 1


def test_marks_are_explained_wherever_they_stand():
    document = compare(PUBLISHED + EXTREMES)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(comparison_view(document))
    screen = console.export_text()
    for text in (screen, Reader(page(document, b"<svg/>")).text):
        for mark in ("‡ an accuracy of 0 or 100 %", "† extrapolated", "* of the line alone"):
            assert mark in " ".join(text.split())
    assert max(map(len, screen.splitlines())) <= 80
    assert "lost ‡" in screen


def test_numbers_are_those_of_the_counter_accuracies():
    called = numbers(PUBLISHED)
    assert sorted(called) == list(range(1, 44))
    ordered = [r.row.counter for _, r in sorted(zip(called, PUBLISHED, strict=True), key=lambda pair: pair[0])]
    assert ordered == sorted(ordered, reverse=True)


def test_files_of_a_comparison(tmp_path):
    results = PUBLISHED[::4] + EXTREMES
    write_comparison(tmp_path, results, compare(results))
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(first) == [f"comparison.{suffix}" for suffix in ("csv", "html", "json", "pdf", "png", "svg")]
    starts = {"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG", "html": b"<!doctype html>"}
    for suffix, start in starts.items():
        assert first[f"comparison.{suffix}"].lstrip().lower().startswith(start.lower()), suffix
    table = first["comparison.csv"].decode().splitlines()
    assert len(table) == 1 + len(results)
    assert {line.count(",") for line in table if '"' not in line} == {len(table[0].split(",")) - 1}


@pytest.mark.deep
def test_the_same_comparison_is_the_same_files(tmp_path):
    results = PUBLISHED[::4] + EXTREMES
    for name in ("a", "b"):
        write_comparison(tmp_path / name, results, compare(results))
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name

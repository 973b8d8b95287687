"""Law 3: no two numbers are equal, and each one of a screen stands beside its words."""

import importlib
import pkgutil
import re

import numpy as np
import pytest
from laws.screens import lines, misplaced, page_lines
from laws.test_photos import placed_results
from markupsafe import Markup, escape
from planted_embeddings import planted

import experiments.command
from experiments import table
from experiments.command.main import main
from experiments.heads import pages
from experiments.heads.pages import write_files
from experiments.heads.reliance import answer_files
from experiments.photos import figures
from experiments.photos.figures import write_comparison
from experiments.photos.robustness import compare

WORLD = ("--p-spu", "0.83", "--mu-spu", "1.7", "--sigma-xi", "2.1")


@pytest.fixture
def emitted(capsys, monkeypatch):
    """Function: the documents and their views, of a command."""
    found = []
    names = [info.name for info in pkgutil.iter_modules(experiments.command.__path__)]
    # A list, since a module that is imported after the first patch would keep what it imports from
    # another.
    for module in [importlib.import_module(f"experiments.command.{name}") for name in names]:
        if hasattr(module, "emit"):
            monkeypatch.setattr(
                module, "emit", lambda document, as_json, view, *_: found.append((document, view))
            )

    def run(*words):
        found.clear()
        assert main([*words]) == 0, capsys.readouterr().err
        ((document, view),) = found
        return document, view

    return run


def counts(tmp_path):
    path = tmp_path / "counts.csv"
    path.write_text("group,accuracy,count\ncommon,0.893,1000\ncounter,0.407,900\n")
    return path


def embeddings(tmp_path):
    np.savez(tmp_path / "mine.npz", **planted(np.random.default_rng(0), 300, 4, common=0.6))
    return tmp_path / "mine.npz"


COMMANDS = {
    "predict": lambda _: (
        "predict",
        "--learner",
        "infonce",
        "--prompt",
        "average",
        "--p-spu",
        0.97,
        "--mu-spu",
        4,
    ),
    "predict three classes": lambda _: ("predict", "--learner", "logistic", "--classes", 3, *WORLD),
    "predict three groups": lambda _: (
        "predict",
        "--learner",
        "linear",
        "--table",
        "compositional(3, 4, 1)",
    ),
    "simulate": lambda _: (
        "simulate",
        "--learner",
        "linear",
        "--n",
        200,
        "--replicates",
        8,
        *WORLD,
    ),
    "sweep": lambda _: ("sweep", "--axis", "sigma_xi=2.1,3.3", *WORLD[:4]),
    "place": lambda tmp: ("place", counts(tmp), "--verbose", "--mu-spu", 1.5, "--sigma-xi", 6),
    "embeddings": lambda tmp: ("embeddings", embeddings(tmp), "--verbose"),
}


@pytest.fixture
def undrawn(monkeypatch):
    """No picture of a page is drawn."""
    for module in (figures, pages):
        monkeypatch.setattr(module, "ranking", lambda heads: "")
        monkeypatch.setattr(module, "figure_svg", lambda *_: "")
    monkeypatch.setattr(pages, "trade_figure", lambda *_: None)
    monkeypatch.setattr(figures, "comparison_figure", lambda *_: None)
    monkeypatch.setattr(figures, "save_figure", lambda *_: None)


def test_each_number_of_a_page_stands_beside_its_words(undrawn, tmp_path):
    """That of embeddings, of models with unequal numbers, and that of a comparison of such
    models.
    """
    for seed, name in enumerate(("one", "two")):
        np.savez(
            tmp_path / f"{name}.npz", **planted(np.random.default_rng(seed), 300 + 40 * seed, 4)
        )
    measured = answer_files([tmp_path / "one.npz", tmp_path / "two.npz"], 0)
    results = placed_results(tmp_path)

    def embeddings_page(document):
        write_files(tmp_path, document)
        return page_lines((tmp_path / "embeddings.html").read_text())

    def comparison_page(document):
        write_comparison(tmp_path, document)
        return page_lines((tmp_path / "comparison.html").read_text())

    for view, document in ((embeddings_page, measured), (comparison_page, compare(results))):
        wrong, seen = misplaced(view, document, most=45)
        assert not wrong, "\n".join(wrong)
        assert seen >= 8
    embeddings_page(measured)
    _, *parts = map(page_lines, (tmp_path / "embeddings.html").read_text().split("<h2>"))
    for part, model in zip(parts, measured["models"], strict=True):  # and is itself in any company
        alone = embeddings_page({**measured, "models": [model]})
        assert re.findall(r"\d+\.\d+", part) == re.findall(r"\d+\.\d+", alone)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_number_stands_beside_its_words(name, emitted, tmp_path):
    document, view = emitted(*map(str, COMMANDS[name](tmp_path)))
    wrong, seen = misplaced(view, document)
    assert not wrong, "\n".join(wrong)
    assert seen >= 4


HOSTILE = '<b title="x">&amp;</b> 100 % of $a_b$ \\x{}~^#'


def test_every_text_of_a_table_is_escaped():
    columns = [table.Column(HOSTILE, lambda record: HOSTILE, width=0.5) for _ in range(2)]
    hostile = table.Table(HOSTILE, columns, [1, 2])
    page = table.html(hostile, below=lambda record: HOSTILE, anchor=lambda record: HOSTILE)
    assert isinstance(page, Markup)
    assert "<b" not in page
    # title, heads, cells, and below them
    assert str(page).count(f">{escape(HOSTILE)}<") >= 1 + 2 + 2 * 2 + 2


def test_a_table_has_the_same_cells_in_every_print():
    """Each number in its row and column, on a terminal, in HTML and in LaTeX."""
    units = (table.COUNT, table.PERCENT, table.GAIN, table.CORRELATION, table.SPAN)
    columns = [
        table.Column("name", "name"),
        *(table.Column(f"column {i}", str(i), unit) for i, unit in enumerate(units)),
    ]
    values = np.arange(1, 13).reshape(3, 4) / 14
    records = [
        {"name": f"row {i}", "0": 7 * i + 1, "1": a, "2": b, "3": c, "4": (d / 2, d)}
        for i, (a, b, c, d) in enumerate(values)
    ]
    whole = table.Table("numbers", columns, records)
    _, *rows = whole.rows
    assert len({cell for row in rows for cell in row}) == 3 * 6
    grid = [
        [cell.strip() for cell in re.split("[│┃]", line)[1:-1]]
        for line in lines(lambda same: same, whole)
    ]
    page = [
        re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", part)
        for part in str(table.html(whole)).split("<tbody")[1:]
    ]
    paper = [
        line.removesuffix(r" \\").split(" & ")
        for line in table.latex(whole).splitlines()
        if line[:3] == "row"
    ]
    assert [line for line in grid if line and line[0].startswith("row")] == page == paper == rows

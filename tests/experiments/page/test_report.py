"""Figures are functions of tables; the page is self-contained, escaped and complete."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from functools import partial
from html import unescape

import pytest
from legible import smallest_letters
from markupsafe import escape
from matplotlib.mathtext import MathTextParser

from experiments.court.registry import ALL_CLAIMS
from experiments.errors import Interrupted, RequestError
from experiments.files import MARK, REPORT
from experiments.lab.presets import design
from experiments.page import report, reproduce
from experiments.page.report import Section, figures_of
from experiments.svg import DEFINED, defined_once, figure_svg, formula_svg
from experiments.verdict import Verdict
from tests.experiments.page.conftest import PROVEN, REFUTED, page_of
from theory.docket.catalogue import CLAIMS


@pytest.fixture(scope="module")
def figures():
    return figures_of(design("sources"), design("sources").study(axes={"p_spu": [0.6, 0.9]}).run())


@pytest.fixture(scope="module")
def section(figures):
    found = design("sources")
    return Section(found, {name: figure_svg(figure, 'more than "one" <takeaway>') for name, figure in figures.items()})


@pytest.fixture(scope="module")
def page(section):
    """page(verdicts=...) -> HTML, with one section."""
    return partial(page_of, [section])


def rows_of(html: str) -> dict[str, str]:
    """Rows of the tables of verdicts by their anchors."""
    return dict(re.findall(r'<tbody role="rowgroup" id="([^"]+)">(.*?)</tbody>', html, flags=re.DOTALL))


def test_formulas_can_be_drawn():
    """All can be set, and a quarter is drawn; the report draws all."""
    formulas, parser = sorted({claim.formula for claim in CLAIMS}), MathTextParser("path")
    for formula in formulas:
        parser.parse(f"${formula}$")
    for formula in formulas[::4]:
        width, height = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', formula_svg(formula)).groups()
        assert float(width) > 20, formula
        assert float(height) > 8, formula


def test_drawings_of_one_page_define_each_letter_once(section, figures):
    drawing = section.drawings["sources"]
    root = ElementTree.fromstring(drawing)
    assert root.attrib["aria-label"] == 'more than "one" <takeaway>'
    assert root.attrib["role"] == "img"
    assert not re.search(r'd="[^"]*\d\.\d{3}', drawing), "hundredths of a point are enough"
    both = drawing + figure_svg(figures["sources"])
    defined = {}
    for match in DEFINED.finditer(both):
        assert defined.setdefault(match[2], match[0]) == match[0], "equal ids define equal things"
    page = defined_once(both)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids)) > 20
    assert set(re.findall(r'(?:xlink:href="|url\()#([^")]+)', page)) <= set(ids)
    ElementTree.fromstring(f'<svg xmlns:xlink="http://www.w3.org/1999/xlink">{page}</svg>')


def test_page_is_self_contained_and_complete(page, verdict, section, figures):
    html = page(verdicts=[verdict])
    assert not re.search(r'(?:src|href)="(?:https?:)?//', html)
    assert "<link" not in html
    text = unescape(re.sub("</?code>", "`", html))
    for words in (
        verdict.claim,
        verdict.statement,
        verdict.meaning,
        verdict.route,
        "supported",
        section.design.takeaway,
        section.design.look,
    ):
        assert words in text
    answer = re.search('class="answer">([^<]*)', html)[1]
    assert re.findall(r"\d+", answer) == ["90", "62", "90", "90", "97", "100", "87"]  # `soberclip predict` prints them
    assert 'href="sources.svg"' in html
    anchors = set(re.findall(r'\bid="([^"]+)"', html))
    assert set(re.findall(r'href="#([^"]+)"', html)) <= anchors
    for figure in figures.values():
        assert figure.get_figwidth() <= 3.75
        assert smallest_letters(figure) >= 10


HOSTILE = """\"'><img src=x onerror=alert(1)><script>alert(1)</script>{{ 7 * 7 }}"""


def test_page_escapes_ids_and_statements(page, verdict, monkeypatch):
    """User claims may contain hostile text."""
    monkeypatch.setattr(report, "by_question", lambda pairs: [("theorem", [item for _, item in pairs])])
    words = dict.fromkeys(("statement", "meaning", "claim", "source", "route", "reason", "quantity"), HOSTILE)
    stored = {"stored": True, "device": HOSTILE, "versions": {"commit": HOSTILE}, "date": "2026-01-31"}
    html = page(verdicts=[replace(verdict, **words, **stored)], provenance={HOSTILE: HOSTILE})
    plain = page(verdicts=[verdict])
    assert html.count("<script") == plain.count("<script")
    assert "<img" not in html
    assert "{{ 7 * 7 }}" in html
    assert html.count(str(escape(HOSTILE))) > 10


def test_the_tables_show_claims_and_their_certainty_by_question(page, verdict):
    verdict = replace(verdict, origin="own", sentence="", quote="")
    bounded = replace(verdict, claim="rate", relation=">=", predicted=0.25, level=0.99)
    run = {"kind": "trained", "cases": [], "stored": True, "device": "cpu", "date": "2026-01-31"}
    stored = replace(verdict, claim="trained/linear", versions={"commit": "abc"}, **run)
    html = page(verdicts=[stored, bounded, replace(verdict, claim="view-noise")])
    places = [html.index(f'<section id="question-{key}"') for key in ("theorem", "pairs", "trained")]
    assert places == sorted(places)
    assert "question-classes" not in html, "no claim, no question"
    rows = rows_of(html)
    assert list(rows) == ["view-noise", "rate", "trained-linear"]
    for words in (verdict.statement, "≥ 0.25", "99%"):
        assert words in rows["rate"]
    for words in ("95%", "run on cpu in", "2026-01-31", "commit abc"):
        assert words in rows["trained-linear"]


def test_the_page_counts_rigorous_verdicts_separately(page, verdict):
    proved = replace(verdict, claim="many-classes/name-reliance", verdict="proved", proof=PROVEN)
    exact = replace(proved, proof={**PROVEN, "exact": True, "boxes": 0})
    failing = replace(verdict, claim="rate", verdict="contradicted", counterexample={"p_spu": 0.5}, audits=0)
    certain = replace(failing, claim="bottleneck", proof=REFUTED)
    html = page(verdicts=[proved, exact, verdict, failing, certain])
    refuted = "2 contradicted (1 rigorously, 1 by measurement alone)"
    assert f"Claim by claim: 2 proved, 1 supported, {refuted}." in html
    for words, times in (("✗✗", 1), ("✓✓", 2), ("1,234 boxes", 1), ("proved by algebra", 1)):
        assert html.count(words) == times, words
    assert '<a href="proofs/many-classes--name-reliance.proof">' in html
    assert "p_spu = 0.5, ν = 0.01562" in html
    assert "Claim by claim: 1 supported, 1 contradicted." in page(verdicts=[verdict, failing]), "no proof was attempted"


def quick_reproduction(monkeypatch, folder, verdict, interrupted=False, names=()):
    """reproduce() without its two long parts; test_readme.py runs all of it."""

    def write(staging, verdicts, seed, began, advance):
        for name in (REPORT, *names):
            (staging / name).write_text("new" if interrupted else "whole")
        if interrupted:
            raise KeyboardInterrupt

    monkeypatch.setattr(reproduce, "_verdicts", lambda seed, certificates, quick, advance: [verdict])
    monkeypatch.setattr(reproduce, "_write_report", write)
    return reproduce.reproduce(folder, 0)


def test_report_folder_is_replaced_completely_or_not_at_all(monkeypatch, tmp_path, verdict):
    folder = tmp_path / "report"
    quick_reproduction(monkeypatch, folder, verdict, names=["leftover"])
    assert {p.name for p in folder.iterdir()} == {"report.html", "verdicts.json", "leftover", MARK}
    with pytest.raises(Interrupted, match=str(folder)):
        quick_reproduction(monkeypatch, folder, verdict, interrupted=True)
    assert (folder / "report.html").read_text() == "whole", "an interrupted run leaves the old report"
    assert (folder / "leftover").exists()
    quick_reproduction(monkeypatch, folder, verdict)
    assert {p.name for p in folder.iterdir()} == {"report.html", "verdicts.json", MARK}
    assert list(tmp_path.iterdir()) == [folder]
    (folder / "proofs").mkdir()
    (folder / "proofs" / "thesis.proof").write_text("mine")
    with pytest.raises(RequestError, match="holds 'proofs"):
        quick_reproduction(monkeypatch, folder, verdict)
    assert (folder / "proofs" / "thesis.proof").read_text() == "mine"


def test_a_linked_output_keeps_its_link(monkeypatch, tmp_path, verdict):
    """The first run creates the folder behind the link, the second replaces it."""
    link = tmp_path / "report"
    link.symlink_to(tmp_path / "there")
    for _ in range(2):
        quick_reproduction(monkeypatch, link, verdict)
        assert link.is_symlink()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["report", "there"]


@pytest.mark.parametrize("quick", [True, False])
def test_report_tries_claims_like_check(monkeypatch, tmp_path, quick):
    def run_parallel(ids, seed, quick, error_rate, certificates, **proving):
        words = {"source": "", "statement": "", "seconds": 0.0}
        given = (seed, quick, error_rate, certificates)
        return (Verdict(claim=id, verdict="supported", proof={"given": given}, **words) for id in reversed(ids))

    monkeypatch.setattr(reproduce, "run_parallel", run_parallel)
    done = []
    verdicts = reproduce._verdicts(3, tmp_path, quick, done.append)
    assert done == [1] * len(verdicts)
    assert [verdict.claim for verdict in verdicts] == [claim.id for claim in ALL_CLAIMS]
    assert {verdict.proof["given"] for verdict in verdicts} == {(3, quick, None, tmp_path)}


def test_a_claim_that_cannot_be_judged_ends_the_report(monkeypatch, tmp_path):
    words = {"source": "", "statement": "", "seconds": 0.0, "reason": "mine has no law"}
    refused = Verdict(kind="refused", claim="mine", verdict="refused", **words)
    monkeypatch.setattr(reproduce, "run_parallel", lambda ids, **how: iter([refused]))
    with pytest.raises(RequestError, match="mine has no law"):
        reproduce._verdicts(0, tmp_path, True, lambda done: None)

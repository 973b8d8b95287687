"""Figures are functions of tables; the page is self-contained, escaped and complete."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from functools import partial
from html import unescape

import pytest
from markupsafe import escape
from matplotlib.mathtext import MathTextParser

from experiments.court.registry import ALL_CLAIMS
from experiments.errors import Interrupted, RequestError
from experiments.files import MARK, REPORT
from experiments.lab.presets import design
from experiments.page import report, reproduce
from experiments.page.report import section_of
from experiments.svg import DEFINED, defined_once, formula_svg
from tests.experiments.page.conftest import PROVEN, REFUTED, page_of
from theory.docket.catalogue import CLAIMS


@pytest.fixture(scope="module")
def section():
    sources = replace(design("sources"), takeaway='more than "one" <takeaway>')
    return section_of(sources, sources.study(axes={"p_spu": [0.6, 0.9]}).run())


@pytest.fixture(scope="module")
def page(section):
    """page(verdicts=...) -> HTML, with one section."""
    return partial(page_of, [section])


def rows_of(html: str) -> dict[str, str]:
    """Rows of the tables of verdicts by their anchors."""
    return dict(
        re.findall(r'<tbody role="rowgroup" id="([^"]+)">(.*?)</tbody>', html, flags=re.DOTALL)
    )


def test_formulas_can_be_drawn():
    """All can be set, and some are drawn; the report draws all."""
    formulas = sorted({claim.formula for claim in CLAIMS})
    parser = MathTextParser("path")
    for formula in formulas:
        parser.parse(f"${formula}$")
    for formula in formulas[::16]:
        width, height = re.search(
            r'width="([\d.]+)pt" height="([\d.]+)pt"', formula_svg(formula)
        ).groups()
        assert float(width) > 20, formula
        assert float(height) > 8, formula


def test_drawings_of_one_page_define_each_letter_once(section):
    drawing = section.drawings["sources"]
    root = ElementTree.fromstring(drawing)
    assert root.attrib["aria-label"] == 'more than "one" <takeaway>'
    assert root.attrib["role"] == "img"
    assert not re.search(r'd="[^"]*\d\.\d{3}', drawing), "hundredths of a point are enough"
    both = 2 * drawing
    defined = {}
    for match in DEFINED.finditer(both):
        assert defined.setdefault(match[2], match[0]) == match[0], "equal ids define equal things"
    page = defined_once(both)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids)) > 20
    assert set(re.findall(r'(?:xlink:href="|url\()#([^")]+)', page)) <= set(ids)
    ElementTree.fromstring(f'<svg xmlns:xlink="http://www.w3.org/1999/xlink">{page}</svg>')


def test_page_is_self_contained_and_complete(page, verdict, section):
    html = page(verdicts=[verdict])
    assert not re.search(r'(?:src|href)="(?:https?:)?//', html)
    assert "<link" not in html
    text = unescape(re.sub("</?code>", "`", html))
    design = section.design
    for words in (
        verdict.claim,
        verdict.statement,
        verdict.meaning,
        verdict.route,
        design.takeaway,
        design.look,
    ):
        assert words in text
    assert (
        "90\N{NO-BREAK SPACE}% of the images show the usual background of their class"
        " (p&nbsp;=&nbsp;0.9)" in html
    )
    (caption,) = section.captions
    assert r'aria-label="\mu_{\mathrm{spu}}"' in caption
    anchors = set(re.findall(r'\bid="([^"]+)"', html))
    assert set(re.findall(r'href="#([^"]+)"', html)) <= anchors
    assert 'href="sources.svg"' in html


HOSTILE = """\"'><img src=x onerror=alert(1)><script>alert(1)</script>{{ 7 * 7 }}"""


def test_page_escapes_ids_and_statements(page, verdict, monkeypatch):
    """User claims may contain hostile text."""
    monkeypatch.setattr(
        report, "by_question", lambda pairs: [("theorem", [item for _, item in pairs])]
    )
    words = dict.fromkeys(
        ("statement", "meaning", "claim", "source", "route", "reason", "quantity"), HOSTILE
    )
    stored = {
        "stored": True,
        "device": HOSTILE,
        "versions": {"commit": HOSTILE},
        "date": "2026-01-31",
    }
    html = page(verdicts=[replace(verdict, **words, **stored)], provenance={HOSTILE: HOSTILE})
    plain = page(verdicts=[verdict])
    assert html.count("<script") == plain.count("<script")
    assert "<img" not in html
    assert "{{ 7 * 7 }}" in html
    assert html.count(str(escape(HOSTILE))) > 10


def test_the_tables_show_claims_and_their_certainty_by_question(page, verdict):
    bounded = replace(
        verdict, claim="rate", relation=">=", predicted=0.25, level=0.99, sentence="", quote=""
    )
    run = {"kind": "trained", "cases": [], "stored": True, "device": "cpu", "date": "2026-01-31"}
    stored = replace(bounded, claim="trained/linear", level=0.95, versions={"commit": "abc"}, **run)
    proved = replace(bounded, claim="many-classes/name-reliance", verdict="proved", proof=PROVEN)
    exact = replace(proved, proof={**PROVEN, "exact": True, "boxes": 0})
    failing = replace(
        bounded, claim="bottleneck", verdict="contradicted", counterexample={"p_spu": 0.5}, audits=0
    )
    html = page(
        verdicts=[
            stored,
            bounded,
            replace(failing, claim="view-noise"),
            replace(failing, proof=REFUTED),
            proved,
            exact,
        ]
    )
    places = [
        html.index(f'<section id="question-{key}"') for key in ("theorem", "pairs", "trained")
    ]
    assert places == sorted(places)
    assert (
        "Claim by claim: 2 proved, 2 supported, 2 contradicted (1 rigorously, 1 by measurement"
        " alone)." in html
    )
    rows = rows_of(html)
    for name, words in (
        ("rate", (bounded.statement, "≥ 0.25", "99%")),
        ("trained-linear", ("95%", "run on cpu in", "2026-01-31", "commit abc")),
        ("view-noise", ("p_spu = 0.5, ν = 0.01562",)),
        ("bottleneck", ("✗✗",)),
        (
            "many-classes-name-reliance",
            ("✓✓", '<a href="proofs/many-classes--name-reliance.proof">'),
        ),
    ):
        for part in words:
            assert part in rows[name], name
    assert (html.count("1,234 boxes"), html.count("proved by algebra")) == (1, 1)


def test_report_folder_is_replaced_completely_or_not_at_all(reproduced, tmp_path, verdict):
    """A link to the folder stays a link: the first run creates what is behind it."""
    folder = tmp_path / "report"
    folder.symlink_to(tmp_path / "there")
    verdicts = reproduced("leftover")
    assert [verdict.claim for verdict in verdicts] == [claim.id for claim in ALL_CLAIMS]
    assert {verdict.proof["given"] for verdict in verdicts} == {(3, True, None, "proofs")}
    assert {p.name for p in folder.iterdir()} == {"report.html", "verdicts.json", "leftover", MARK}
    with pytest.raises(Interrupted, match=str(folder)):
        reproduced(interrupted=True)
    with pytest.raises(RequestError, match="no law"):
        reproduced(
            judged=replace(verdict, kind="refused", verdict="refused", reason="mine has no law")
        )
    assert (folder / "report.html").read_text() == "whole", (
        "an interrupted run leaves the old report"
    )
    assert (folder / "leftover").exists()
    reproduced()
    assert {p.name for p in folder.iterdir()} == {"report.html", "verdicts.json", MARK}
    assert sorted(tmp_path.iterdir()) == [folder, tmp_path / "there"]
    assert folder.is_symlink()
    (folder / "proofs").mkdir()
    (folder / "proofs" / "thesis.proof").write_text("mine")
    with pytest.raises(RequestError, match="holds 'proofs"):
        reproduced()
    assert (folder / "proofs" / "thesis.proof").read_text() == "mine"


@pytest.fixture
def reproduced(monkeypatch, tmp_path, verdict):
    """Function: reproduce() to "report" without its long parts, its trials and its page;
    test_readme.py runs them.
    """

    def run(*names, interrupted=False, judged=verdict):
        def write(staging, verdicts, *_):
            for name in (REPORT, *names):
                (staging / name).write_text("new" if interrupted else "whole")
            if interrupted:
                raise KeyboardInterrupt

        def trials(ids, seed, quick, error_rate, certificates, **proving):
            how = {"given": (seed, quick, error_rate, certificates.name)}
            return (replace(judged, claim=id, proof=how) for id in reversed(ids))

        monkeypatch.setattr(reproduce, "run_parallel", trials)
        monkeypatch.setattr(reproduce, "_write_report", write)
        return reproduce.reproduce(tmp_path / "report", 3)

    return run

"""Pictures are functions of tables, and the page is self-contained, escaped and complete."""

import re
import xml.etree.ElementTree as ElementTree
from base64 import b64encode
from functools import partial
from hashlib import sha256
from html import unescape

import numpy as np
import pytest
from legible import smallest_letters
from markupsafe import escape

from experiments.court.registry import all_trials
from experiments.court.trial import judge
from experiments.errors import Interrupted, RequestError
from experiments.files import MARK, REPORT
from experiments.lab.presets import design
from experiments.page import comparison, convergence, latents, report, reproduce
from experiments.page.evidence import evidence
from experiments.page.report import PARTS, render
from experiments.page.section import Section, section_of
from experiments.page.svg import figure_svg, formula_svg, on_one_page
from experiments.page.text import PROVED, answer, at_length, setting
from theory import learners
from theory.claims.catalogue import claims

CATALOGUE = claims()


@pytest.fixture(scope="module")
def verdict():
    claim = next(c for c in CATALOGUE if c.id == "xue-data-model-1/counter")
    return judge(claim, quick=True).as_json()


@pytest.fixture(scope="module")
def table():
    """The map of contrastive and supervised learners, small."""
    axes = {"p_spu": [0.9, 0.99], "mu_spu": "0.5:3:3", "sigma_spu": [0.5, 2.5]}
    return design("supervised").study(axes=axes).run()


@pytest.fixture(scope="module")
def section():
    found = design("sources")
    return section_of(found, found.study(axes={"p_spu": [0.6, 0.9]}).run())


@pytest.fixture(scope="module")
def scatter():
    return latents.section(0)


@pytest.fixture(scope="module")
def page(section, scatter):
    """page(verdicts) -> HTML, with two sections."""
    sections = [scatter, section]
    drawings = {name: figure_svg(figure, one.takeaway) for one in sections for name, figure in one.figures.items()}
    return partial(
        render,
        sections=sections,
        drawings=drawings,
        at_length=["at length, run `soberclip predict` <b>"],
        shares=[],
        proofs="proofs",
        map_region="everywhere",
        provenance={"python": "3"},
        seed=0,
        seconds=1,
    )


def rows_of(html: str) -> dict[str, str]:
    """Rows of the tables of verdicts by their anchors."""
    return dict(re.findall(r'<tr role="row" id="([^"]+)">(.*?)</tr>', html, flags=re.DOTALL))


@pytest.mark.parametrize("claim", CATALOGUE, ids=lambda c: c.id)
def test_every_formula_can_be_drawn(claim):
    assert claim.formula
    width, height = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', formula_svg(claim.formula)).groups()
    assert float(width) > 20
    assert float(height) > 8


def test_no_formula_no_drawing():
    assert formula_svg("") == ""


def test_drawings_of_one_page_share_letters_and_no_other_id(section):
    drawing = figure_svg(section.figures["sources"], "a takeaway")
    letters, placed = on_one_page({"a": drawing, "b": drawing})
    shared = set(re.findall(r'\bid="([^"]+)"', letters))
    ids = {name: set(re.findall(r'\bid="([^"]+)"', text)) for name, text in placed.items()}
    assert len(shared) > 20
    assert ids["a"]
    assert not ids["a"] & ids["b"]
    for name, text in placed.items():
        references = set(re.findall(r'(?:xlink:href="|url\()#([^")]+)', text))
        assert references & shared
        assert references <= ids[name] | shared
        ElementTree.fromstring(text)
    ElementTree.fromstring(letters.replace("<svg ", '<svg xmlns:xlink="http://www.w3.org/1999/xlink" ', 1))
    assert len(letters) + len(placed["b"]) < 0.8 * len(drawing) + len(placed["b"]), "letters are drawn once"


def test_a_drawing_says_what_it_shows_and_stands_alone(section):
    drawing = figure_svg(section.figures["sources"], 'more than "one" <takeaway>')
    root = ElementTree.fromstring(drawing)
    assert root.attrib["aria-label"] == 'more than "one" <takeaway>'
    assert root.attrib["role"] == "img"
    assert not re.search(r'd="[^"]*\d\.\d{3}', drawing), "hundredths of a point are enough"


def test_a_drawing_fits_a_phone(section, scatter):
    for one in (section, scatter):
        for figure in one.figures.values():
            assert figure.get_figwidth() <= 3.75
            assert smallest_letters(figure) >= 10


def test_page_is_self_contained_and_complete(page, verdict, section):
    html = page(verdicts=[verdict])
    assert not re.search(r'(?:src|href)="(?:https?:)?//', html)
    assert "<link" not in html
    for text in (verdict["claim"], verdict["statement"], verdict["route"], "supported"):
        assert text in html
    for text in (section.question, section.takeaway, section.look, section.answer):
        assert text in unescape(html)
    for sentence in answer():
        assert sentence in unescape(re.sub("</?code>", "`", html))
    assert 'href="sources.svg"' in html
    anchors = set(re.findall(r'\bid="([^"]+)"', html))
    assert {anchor for anchor, _ in PARTS} <= anchors
    assert set(re.findall(r'href="#([^"]+)"', html)) <= anchors


def test_only_the_page_s_own_scripts_may_run(page, verdict):
    html = page(verdicts=[verdict])
    policy = unescape(re.search(r'Content-Security-Policy" content="([^"]+)"', html)[1])
    assert policy.startswith("default-src 'none'; img-src data:;")
    digests = [
        b64encode(sha256(s.encode()).digest()).decode() for s in re.findall("<script>(.*?)</script>", html, re.S)
    ]
    assert digests
    assert set(re.findall(r"'sha256-([^']+)'", policy)) == set(digests)


HOSTILE = """\"'><img src=x onerror=alert(1)><script>alert(1)</script>{{ 7 * 7 }}"""


def test_page_escapes_what_it_is_given(page, verdict, monkeypatch):
    """Ids and statements of a claim that is somebody else's, wherever they stand."""
    monkeypatch.setattr(report, "by_question", lambda pairs: [("theorem", [item for _, item in pairs])])
    words = dict.fromkeys(("statement", "claim", "source", "route", "reason", "quantity"), HOSTILE)
    stored = {"stored": True, "device": HOSTILE, "versions": {"commit": HOSTILE}, "date": "2026-01-31"}
    html = page(verdicts=[{**verdict, **words, **stored}], provenance={HOSTILE: HOSTILE})
    plain = page(verdicts=[verdict])
    assert html.count("<script") == plain.count("<script")
    assert "<img" not in html
    assert "{{ 7 * 7 }}" in html
    assert html.count(str(escape(HOSTILE))) > 10


def test_the_tables_say_what_was_claimed_and_how_surely(page, verdict):
    bounded = {**verdict, "claim": "rate", "relation": ">=", "predicted": 0.25, "level": 0.99}
    stored = {**verdict, "claim": "trained/linear", "stored": True, "device": "cpu", "date": "2026-01-31"}
    stored |= {"versions": {"commit": "abc"}}
    html = page(verdicts=[bounded, stored])
    rows = rows_of(html)
    assert list(rows) == ["rate", "trained-linear"]
    for words in (verdict["statement"], "bound</span> ≥ 0.25", "99%", "5 points audited"):
        assert words in rows["rate"]
    for words in ("predicted</span> = ", "95%", "stored verdict of a training on 2026-01-31"):
        assert words in rows["trained-linear"]
    assert "1 claim was not tried in this run" in html
    assert "at 5 audit points unless a counterexample came first" in html
    old = html[html.index('<section id="stored"') :]
    assert re.search(r'href="#trained-linear".*2026-01-31.*"days ago">\d+<.*commit abc', old)
    assert "this run reached every verdict on this page" in page(verdicts=[bounded])


def test_claims_stand_under_their_questions(page, verdict):
    names = ("trained/linear", "rate", "view-noise")
    html = page(verdicts=[{**verdict, "claim": name} for name in names])
    places = [html.index(f'<section id="question-{key}"') for key in ("theorem", "pairs", "trained")]
    assert places == sorted(places)
    assert list(rows_of(html)) == ["view-noise", "rate", "trained-linear"]
    assert "question-classes" not in html, "no claim, no question"


PROVEN = {
    "outcome": "proved",
    "reason": "the closed form is proved over the whole domain by bounds on 1234 boxes that fill it",
    "exact": False,
    "boxes": 1234,
    "bounded": 2467,
    "counterexample": None,
    "least_violation": None,
    "seconds": 0.25,
    "check_seconds": 1.5,
}
REFUTED = {**PROVEN, "outcome": "refuted", "reason": "certainly", "boxes": 0, "counterexample": {"p_spu": 0.5}}


def test_the_page_counts_what_is_rigorous_apart(page, verdict):
    proved = {**verdict, "claim": "many-classes/name-reliance", "verdict": "proved", "proof": PROVEN}
    exact = {**proved, "proof": {**PROVEN, "exact": True, "boxes": 0}}
    failing = {**verdict, "claim": "rate", "verdict": "contradicted", "counterexample": {"p_spu": 0.5}, "audits": 0}
    certain = {**failing, "claim": "bottleneck", "proof": REFUTED}
    html = page(verdicts=[proved, exact, verdict, failing, certain])
    assert "<p>2 proved, 1 supported, 2 contradicted (1 rigorously, 1 by measurement alone)." in html
    assert PROVED in unescape(re.sub("</?code>", "`", html))
    for words, times in (("✗✗", 1), ("✓✓", 2), ("; proved on 1,234 boxes", 1), ("proved by algebra", 1)):
        assert html.count(words) == times, words
    assert '<a href="proofs/many-classes--name-reliance.proof">certificate</a>' in html
    assert "counterexample: p_spu = 0.5, ν = 0.01562; searched, counterexample measured" in html
    assert "certainly (p_spu = 0.5, ν = 0.01562); 0.25 s, checked in 1.5 s" in html
    assert "; refuted rigorously" in html
    assert 'The certificates of the 3 proofs and rigorous refutations are in <a href="proofs">' in html
    unproved = page(verdicts=[verdict, failing])
    assert "<p>1 supported, 1 contradicted." in unproved, "nothing was to be proved"
    assert "check --verify proofs" not in unproved


def test_the_page_explains_its_words_and_serves_every_reader(page, verdict):
    html = page(verdicts=[verdict])
    for term in ("reliance", "exact law", "ν (nu)"):
        assert f"<dt>{term}</dt>" in html
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html


def test_code_in_words_is_code_and_still_escaped(page, verdict):
    assert "<p>at length, run <code>soberclip predict</code> &lt;b&gt;</p>" in page(verdicts=[verdict])


def test_evidence_names_design_and_point(verdict):
    rows = dict(evidence(verdict))
    assert "α = 0.01, τ = 0.005" in rows["design"]
    assert "audit points" in rows["design"]
    assert "p_spu" in rows["at this point"]
    assert "exact law" in rows["route"]


def test_leads_are_differences_of_single_predictions(table):
    gap = comparison.leads(table)
    assert gap.dims == ("contrastive", "supervised", "p_spu", "mu_spu", "sigma_spu")
    assert gap.contrastive.values.tolist() == [
        f"{n}, {p} prompt" for n in ("linear", "infonce") for p in ("name", "mean")
    ]
    world = design("supervised").study().world
    for ours, theirs in (("linear", "least-squares"), ("infonce", "bayes")):
        one, two = learners.named(ours, prompt="mean"), learners.named(theirs)
        cell = gap.sel(contrastive=one.label, supervised=theirs, p_spu=0.99, sigma_spu=2.5)[1]
        at = world.model_copy(update={"p_spu": 0.99, "mu_spu": float(cell.mu_spu), "sigma_spu": 2.5})
        assert float(cell) == pytest.approx(float(one.accuracy(at).counter - two.accuracy(at).counter), abs=1e-5)


def test_shares_count_both_sides(table):
    gap = comparison.leads(table)
    gap = gap.copy(data=np.where(np.arange(gap.size).reshape(gap.shape) % 3 == 0, 0.1, -0.1))
    rows = comparison.shares(gap)
    assert all(r["contrastive_more_robust"] + r["supervised_more_robust"] == pytest.approx(1) for r in rows)
    assert rows[0]["contrastive_more_robust"] == pytest.approx(1 / 3)
    assert len(rows) == 4 * 3 * 2


def test_the_mapped_region_is_the_study_s(table):
    assert comparison.region(table) == (
        "p_spu from 0.9 to 0.99, mu_spu from 0.5 to 3, sigma_spu from 0.5 to 2.5, view noise ν = 0.1"
    )


@pytest.mark.parametrize(
    ("table", "draw"),
    [
        (lambda: latents.sample(0, size=50), latents.scatter),
        (lambda: convergence.minimiser_error(0, 4, 4), convergence.draw_error),
    ],
    ids=["latents", "rate"],
)
def test_every_figure_labels_its_axes(table, draw):
    data = table()
    figure = draw(data)
    (ax,) = figure.axes
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    first, second = (figure_svg(draw(data)) for _ in range(2))
    assert first == second, "a figure is a function of its table"


def test_the_report_shows_designs_without_training():
    for name in reproduce.DESIGNS:
        assert "trained" not in design(name).study().routes
        assert design(name).seconds["quick"] < 5


def test_a_section_has_the_pictures_of_its_design():
    found = design("ensembles")
    shown = section_of(found, found.study(axes={"p_spu": [0.6, 0.9]}).run())
    assert isinstance(shown, Section)
    assert list(shown.figures) == ["ensembles", "ensembles-2"]


def test_the_answer_has_three_sentences_and_each_command_prints_its_numbers(soberclip):
    sentences = answer()
    assert len(sentences) == 3
    for sentence in sentences:
        assert len(sentence) < 260
        (pair,) = re.findall(r"([\d.]+/[\d.]+)\s%", sentence)
        (command,) = re.findall(r"`soberclip ([^`]+)`", sentence)
        assert printed(soberclip, *command.split()) == pair
    noise = re.search(r"ν = (\d\.\d+)", setting())[1]
    assert f"view noise ν = {noise}" in soberclip(*command.split()).out


def printed(soberclip, *command: str) -> str:
    cells = dict(re.findall(r"(common|counter)\D+([\d.]+)", soberclip(*command).out))
    return f"{cells['common']}/{cells['counter']}"


def test_the_answer_at_length_is_what_its_commands_print(soberclip, table):
    """Each pair of percentages is what the command beside it prints, view noise included."""
    first, second, _ = at_length(comparison.shares(comparison.leads(table)))
    command = re.search(r"`soberclip ([^`]+)`", first)[1].split()
    assert re.search(r"ν = (\d\.\d+)", first)[1] == re.search(r"ν = (\d\.\d+)", setting())[1]
    assert set(re.findall(r"`(--\S+ \S+)`", first + second)) == {
        "--prompt mean",
        "--learner infonce",
        "--learner logistic",
        "--p-spu 0.99999",
    }
    pairs = re.findall(r"([\d.]+/[\d.]+)\s%", first + second)
    wanted = [(), ("--prompt mean",), ("--learner infonce",), ("--learner infonce", "--prompt mean")]
    wanted += [("--learner logistic",), ("--learner logistic", "--p-spu 0.99999"), ("--p-spu 0.99999",)]
    flags = [[word for name in names for word in name.split()] for names in wanted]
    assert pairs == [printed(soberclip, *command, *words) for words in flags]


def quick_reproduction(monkeypatch, folder, verdict, interrupted=False, names=()):
    """reproduce() with its two long parts replaced; test_readme.py runs it whole."""

    def write(staging, verdicts, seed, began):
        for name in (REPORT, *names):
            (staging / name).write_text("new" if interrupted else "whole")
        if interrupted:
            raise KeyboardInterrupt

    monkeypatch.setattr(reproduce, "_verdicts", lambda seed, certificates, quick: [verdict])
    monkeypatch.setattr(reproduce, "_write_report", write)
    return reproduce.reproduce(folder, 0)


def test_report_folder_is_replaced_as_a_whole_or_not_at_all(monkeypatch, tmp_path, verdict):
    folder = tmp_path / "report"
    quick_reproduction(monkeypatch, folder, verdict, names=["leftover"])
    assert {p.name for p in folder.iterdir()} == {"report.html", "verdicts.json", "leftover", MARK}
    with pytest.raises(Interrupted, match=str(folder)):
        quick_reproduction(monkeypatch, folder, verdict, interrupted=True)
    assert (folder / "report.html").read_text() == "whole", "an interrupted run leaves the old report"
    assert (folder / "leftover").exists()
    assert list(tmp_path.iterdir()) == [folder]
    quick_reproduction(monkeypatch, folder, verdict)
    assert {p.name for p in folder.iterdir()} == {"report.html", "verdicts.json", MARK}
    assert list(tmp_path.iterdir()) == [folder]


def test_a_linked_output_keeps_its_link(monkeypatch, tmp_path, verdict):
    """Whether the folder behind the link is there already or not."""
    (tmp_path / "disk").mkdir()
    link = tmp_path / "report"
    link.symlink_to(tmp_path / "disk" / "there")
    for _ in range(2):
        quick_reproduction(monkeypatch, link, verdict)
        assert link.is_symlink()
        assert (tmp_path / "disk" / "there" / "report.html").read_text() == "whole"
    assert [p.name for p in (tmp_path / "disk").iterdir()] == ["there"]


def test_foreign_folders_are_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RequestError, match="which reproduce did not make"):
        reproduce.reproduce(tmp_path, 0)


def test_what_somebody_put_beside_the_certificates_is_kept(monkeypatch, tmp_path, verdict):
    folder, own = tmp_path / "report", tmp_path / "report" / "proofs" / "thesis.proof"

    def verdicts(seed, certificates, quick):
        certificates.mkdir()
        (certificates / "one.proof").write_text("shown")
        return [verdict]

    monkeypatch.setattr(reproduce, "_verdicts", verdicts)
    monkeypatch.setattr(reproduce, "_write_report", lambda folder, *_: (folder / REPORT).write_text("whole"))
    for _ in range(2):
        reproduce.reproduce(folder, 0)
        assert [path.name for path in (folder / "proofs").iterdir()] == ["one.proof"]
    own.write_text("mine")
    with pytest.raises(RequestError, match="holds 'proofs/thesis"):
        reproduce.reproduce(folder, 0)
    assert own.read_text() == "mine"


def test_the_tally_says_what_contradictions_are_worth_together():
    from experiments.court.trial import judge
    from experiments.page.evidence import tally
    from theory.claims.catalogue import claims

    tried = {c.id: c for c in claims()}
    verdicts = [judge(tried[id], quick=True).as_json() for id in ("view-noise", "xue-data-model-1/common")]
    assert [v["verdict"] for v in verdicts] == ["contradicted", "supported"]
    first, second = tally(verdicts)
    assert first.startswith("2 claims were tried in this run")
    assert second.startswith("1 of 1 contradictions stand at family-wise error rate 0.01 (Holm over 2 claims tested)")


@pytest.mark.parametrize("quick", [True, False])
def test_a_full_trial_is_the_one_of_check(monkeypatch, tmp_path, quick):
    def together(ids, seed, quick, error_rate, proving):
        return ({"claim": id, "verdict": (seed, quick, error_rate, proving["certificates"])} for id in reversed(ids))

    monkeypatch.setattr(reproduce, "run_parallel", together)
    verdicts = reproduce._verdicts(3, tmp_path, quick)
    assert [verdict["claim"] for verdict in verdicts] == [trial.id for trial in all_trials()]
    assert {verdict["verdict"] for verdict in verdicts} == {(3, quick, None, tmp_path)}


def test_a_claim_that_cannot_be_judged_ends_the_report(monkeypatch, tmp_path):
    refused = {"claim": "mine", "verdict": "refused", "reason": "mine has no law"}
    monkeypatch.setattr(reproduce, "run_parallel", lambda ids, **how: iter([refused]))
    with pytest.raises(RequestError, match="mine has no law"):
        reproduce._verdicts(0, tmp_path, True)

"""The report in an offline browser: phone, wide, dark, printed, by keyboard, and its explorer."""

import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from experiments.court.trained import stored_for
from experiments.lab.answers import predict
from experiments.lab.presets import design
from experiments.page import text
from experiments.page.report import PRESETS, Section
from experiments.svg import figure_svg
from simulator.world import World
from tests.experiments.page.conftest import REFUTED, page_of
from theory import learners
from theory.docket.catalogue import TRAINED

PHONE, WIDE, PAPER = 400, 1280, 680  # pixels; A4 between margins
STORED = "trained/infonce"
COUNTEREXAMPLE = {"p_spu": 0.5, "mu_spu": 2.0}


def a_section(name: str) -> Section:
    """A figure that holds an image."""
    figure = Figure(figsize=(3.75, 2))
    figure.subplots().pcolormesh(np.eye(5), rasterized=True)
    return Section(design(name), {name: figure_svg(figure, "There")})


@pytest.fixture(scope="module")
def file(browser, verdict, tmp_path_factory):
    """URL of a page with two sections of figures and four kinds of verdicts, one with hostile
    text.
    """
    fields = {
        "counterexample": COUNTEREXAMPLE,
        "proof": REFUTED | {"counterexample": COUNTEREXAMPLE},
    }
    fields |= {
        "verdict": "contradicted",
        "relation": ">=",
        "audits": 0,
        "sentence": "another",
        "quote": "“Another.”",
    }
    refuted = replace(verdict, claim="wang-theorem-6.2-error", **fields)
    script = '=cmd()"><script>document.title = "stolen"</script>'
    hostile = replace(verdict, claim="prompt-matters", statement=script)
    stored = next(stored_for(claim) for claim in TRAINED if claim.id == STORED)
    some = replace(verdict, claim="xue-data-model-1-somewhere/counter", quantifier="somewhere")
    page = page_of(
        [a_section("sources"), a_section("pairs")], [verdict, refuted, hostile, stored, some]
    )
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page, encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def opened(browser, file):
    """opened(width, fragment, **context) -> the page, which must send no request and log no
    message.
    """
    contexts = []
    events = []

    def open_page(width: int = WIDE, fragment: str = "", **options):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, offline=True, **options
        )
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: events.append(request.url))
        page.on("console", lambda message: events.append(message.text))
        page.on("pageerror", lambda error: events.append(str(error)))
        page.goto(file + fragment)
        return page

    yield open_page
    for context in contexts:
        context.close()
    others = [
        words
        for words in events
        if words.split("#")[0] != file and not words.startswith(("blob:", "data:"))
    ]
    assert others == []


def sideways(page) -> list[str]:
    """Elements that are cut at the right, or make the page scroll sideways."""
    return page.evaluate(
        """() => [...document.querySelectorAll("main *, header *")].filter((one) => {
            const box = one.getBoundingClientRect();
            const hidden = one.closest("clipPath, .hidden, .skip, svg *") || one.closest("thead");
            const seen = box.width > 1 && !hidden;
            const cut = one.clientWidth > 0 && one.scrollWidth > one.clientWidth + 1;
            const hides = getComputedStyle(one).overflowX !== "visible";
            return seen && (box.right > document.documentElement.clientWidth + 1 || (cut && hides));
        }).map((one) => one.outerHTML.slice(0, 80))"""
    )


@pytest.mark.parametrize(
    ("width", "media"), [(PHONE, "screen"), (WIDE, "screen"), (PAPER, "print")]
)
def test_nothing_scrolls_sideways_and_figures_are_not_shrunk(opened, width, media):
    page = opened(width)
    page.emulate_media(media=media)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert sideways(page) == []
    drawn = page.evaluate(
        """() => [...document.querySelectorAll("figure svg:not(.world)")].map((one) =>
            [one.getBoundingClientRect().width, parseFloat(one.getAttribute("width")) * 4 / 3])"""
    )
    assert len(drawn) == 2
    for shown, own in drawn:
        assert shown >= 0.95 * own or media == "print", "letters keep their drawn height"
    if width == PHONE:
        assert (
            page.locator("#rate td, .claims td").first.evaluate(
                "(one) => getComputedStyle(one).display"
            )
            == "block"
        )


@pytest.mark.parametrize(
    ("width", "scheme"), [pytest.param(WIDE, "light", marks=pytest.mark.deep), (PHONE, "dark")]
)
def test_axe_finds_nothing_serious(opened, width, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page = opened(width, "#xue-data-model-1-counter", color_scheme=scheme)
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 24, 28)"}[scheme]
    found = Axe().run(page).response["violations"]
    serious = [
        (v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_a_link_to_a_claim_opens_its_evidence(opened):
    page = opened(fragment="#trained-infonce")
    assert page.title() == "soberclip: published claims on trial"  # no text of a claim has run
    row = page.locator("#trained-infonce")
    assert row.locator("dl").bounding_box()["width"] > 900, "evidence is as wide as the table"
    assert row.evaluate("(one) => one.getBoundingClientRect().top") < 900
    assert not page.locator("#wang-theorem-6\\.2-error dl").is_visible()
    go(page, "#question-theorem")
    assert not page.locator("#wang-theorem-6\\.2-error dl").is_visible(), "a question opens nothing"
    for fold in page.locator(
        "#question-theorem .fold:has(#wang-theorem-6\\.2-error) > summary"
    ).all():
        fold.press("Enter")
    page.locator("#wang-theorem-6\\.2-error summary").press("Enter")
    assert page.locator("#wang-theorem-6\\.2-error dl").is_visible()


def test_a_link_opens_every_fold_around_a_reading(opened):
    page = opened()
    row = page.locator("#xue-data-model-1-somewhere-counter")
    assert not row.is_visible()
    for k in range(2):  # the question, its first statement
        page.locator("#question-theorem .fold > summary").nth(k).press("Enter")
    side = page.locator("#question-theorem table").first
    assert side.locator("thead").inner_text().split() == [
        "Compared",
        "always",
        "somewhere",
        "on",
        "average",
    ]
    assert not row.is_visible(), "folded a second time"
    side.locator("a").nth(1).press("Enter")
    # a page learns of its new address after the key press ends
    row.locator("dl").wait_for(timeout=10_000)


def test_the_keyboard_reaches_everything_and_focus_is_visible(opened):
    page = opened()
    page.keyboard.press("Tab")
    skip = page.locator(":focus")
    assert skip.inner_text() == "Skip to the verdicts"
    assert skip.evaluate("(one) => one.getBoundingClientRect().left") >= 0
    assert skip.evaluate("(one) => getComputedStyle(one).outlineStyle") == "solid"
    skip.press("Enter")
    assert page.evaluate("location.hash") == "#verdicts"
    unnamed = page.locator("a, button, input, select, summary").evaluate_all(
        """(all) => all.filter((one) => one.checkVisibility())
            .filter((one) =>
                one.tabIndex < 0 || !(one.innerText || one.ariaLabel || one.labels?.length))
            .map((one) => one.outerHTML)"""
    )
    assert unnamed == []


def go(page, fragment: str) -> None:
    """Go to another fragment of the open page, like a link."""
    page.evaluate(
        """(to) => new Promise((done) => {
            addEventListener("hashchange", done, { once: true });
            location.hash = to;
        })""",
        fragment,
    )


def accuracies(page) -> dict[str, str]:
    rows = page.locator("[data-learner]")
    return {
        row.get_attribute("data-learner"): "/".join(row.locator("td").all_inner_texts())
        for row in rows.all()
    }


def choose(page, **fields) -> None:
    """Choose a world in the explorer."""
    page.evaluate("(fields) => choose(fields)", fields)


def test_the_explorer_starts_with_the_answer_and_shows_the_numbers_of_predict(opened):
    page = opened()
    assert (
        f"{float(accuracies(page)['infonce'].split('/')[2]):.2f}"
        == text.answers()[1]["every"].split()[0]
    )
    page.locator("#knob-prompt").select_option("bare")
    assert (
        f"{float(accuracies(page)['infonce'].split('/')[2]):.2f}"
        == text.answers()[0]["every"].split()[0]
    )
    fields = {"p_spu": 0.99, "mu_spu": 2, "sigma_xi": 3, "mention_spu": 0.5, "detail_inv": 0.3}
    for prompt in ("mean", "bare"):
        choose(page, **fields, prompt=prompt)
        for name, shown in accuracies(page).items():
            learner = learners.named(name, prompt=prompt if name in ("linear", "infonce") else None)
            # the bare name has set the share of bare captions
            run = predict(World(**fields, bare=0.5), learner)
            place = f"{run['equivalent_correlation']:.3f}/{100 * run['shortfall']:z.1f}"
            assert f"{100 * run['common']:.2f}/{100 * run['counter']:.2f}/{place}" == shown, name


def test_a_link_shows_what_one_sees(opened):
    page = opened()
    choose(page, p_spu=0.75, prompt="mean")
    page.locator("[data-line='bayes']").uncheck()
    page.wait_for_url(re.compile("lines="))
    link = page.evaluate("location.hash")
    shown = accuracies(page)
    other = opened(fragment=link)
    assert accuracies(other) == shown
    assert not other.locator("[data-line='bayes']").is_checked()
    assert other.locator(".sight").bounding_box()["y"] < 900
    wrong = opened(fragment=link.replace("0.75", "7").replace("mean", "nonsense"))
    assert wrong.get_by_role("spinbutton", name="p_spu").input_value() == "0.9"
    assert wrong.locator("#knob-prompt").input_value() == "name"


def test_results_leave_the_sliders_free(opened):
    page = opened(PHONE)
    page.locator("#explore").scroll_into_view_if_needed()
    for knob in page.locator("[data-knob] [type=range]").all():
        knob.scroll_into_view_if_needed()
        box = knob.bounding_box()
        seen = knob.evaluate(
            "(one, [x, y]) => document.elementFromPoint(x, y) === one", [box["x"] + 9, box["y"] + 9]
        )
        assert seen


def test_wrong_values_change_nothing_and_a_refusal_is_shown(opened):
    page = opened()
    box = page.get_by_role("spinbutton", name="mu_spu")
    for wrong in ("99", ""):
        box.fill(wrong)
        box.press("Tab")
        assert box.input_value() == "1.5"
    choose(page, sigma_xi=0)
    assert accuracies(page)["infonce"] == "–/–/–/–"
    assert "no answer" in page.locator("[data-learner='infonce'] .why").inner_text()


def test_curves_are_where_preferences_of_theory_change_sign(opened):
    page = opened()
    choose(page, mu_spu=2, sigma_xi=4, mention_spu=0.5)
    world = World(mu_spu=2.0, sigma_xi=4.0, mention_spu=0.5)
    reach = page.evaluate("reachOf(world())")
    for rule in (learners.named("infonce"), learners.named("bayes"), learners.named("linear")):
        drawn = page.locator(f".sight .rule.{rule.name}").get_attribute("d")
        ends = np.array([list(map(float, pair.split())) for pair in re.split("[ML]", drawn)[1:]])
        line = ends[np.abs(ends).max(axis=1) < 170] if rule.name != "linear" else ends / 10
        assert len(line) > 1
        sides = [
            np.subtract(*rule.scores(world, (line + move) * [1, -1] * reach / 180).T)
            for move in ([-2, 0], [2, 0])
        ]
        assert (sides[0] < 0).all(), rule.name  # two units of the picture to the left
        assert (sides[1] > 0).all(), rule.name


def test_a_button_chooses_its_world(opened):
    page = opened()
    for name, world in PRESETS.items():
        page.get_by_role("button", name=name).press("Enter")
        shown = accuracies(page)["bayes"]
        assert shown.startswith(f"{100 * learners.named('bayes').accuracy(world).common:.2f}/"), (
            name
        )

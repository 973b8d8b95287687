"""One self-contained report.html that opens offline: answer, verdicts by question, figures,
evidence, provenance.
"""

import re
from base64 import b64encode
from collections.abc import Sequence
from datetime import date
from hashlib import sha256
from importlib.resources import files
from typing import Any, NamedTuple

import xarray as xr
from markupsafe import Markup, escape

from experiments.court.certificates import file_name
from experiments.court.registry import QUESTIONS, by_question
from experiments.heads import pages
from experiments.lab.presets import Design
from experiments.page import counts, evidence, front, text
from experiments.page.plot import draw
from experiments.page.plot.frame import caption
from experiments.page.plot.layout import arrange
from experiments.svg import figure_svg, formula_svg
from experiments.table import html
from experiments.verdict import Verdict, rate_sentence
from simulator.prompts import prompt_row
from simulator.world import World
from theory.docket.catalogue import untried
from theory.learners import named


class Section(NamedTuple):
    """A design with the drawings of its pictures, SVG by the names of their files, and with their
    captions.
    """

    design: Design
    drawings: dict[str, str]
    captions: Sequence[Markup] = ()


def section_of(design: Design, table: xr.Dataset) -> Section:
    """The drawings of a design's results, with their captions beside them."""
    if design.name == front.DESIGN:
        return Section(design, {design.name: figure_svg(front.front(table), design.takeaway)})
    names = [
        design.name if i == 1 else f"{design.name}-{i}" for i in range(1, len(design.plot) + 1)
    ]
    pictures = [
        arrange(table, picture["what"], picture.get("at"))._replace(captioned=False)
        for picture in design.plot
    ]
    drawings = [figure_svg(draw(picture, pictures), design.takeaway) for picture in pictures]
    captions = dict.fromkeys(_with_formulas(" ".join(caption(picture))) for picture in pictures)
    return Section(design, dict(zip(names, drawings, strict=True)), [*captions])


def _with_formulas(words: str) -> Markup:
    """A caption with its formulas drawn; no line ends between a formula and its value or its
    colon.
    """
    words = str(escape(words))
    return Markup(
        FORMULA_AND_VALUE.sub(
            lambda m: f'<span class="together">{formula_svg(m[1])}{m[2]}</span>', words
        )
    )


FORMULA_AND_VALUE = re.compile(r"\$([^$]*)\$(\S*(?: = \S+)?)")
NUMBER_AND_UNIT = re.compile(r"(?<=\d) (?=%)")
# prompts of all captions would need nested integrals
PROMPTS = ("name", "bare", "mean", "background")
LEARNERS = ("infonce", "linear", "logistic", "least-squares", "bayes")
# Largest difference from theory/ at 1000 random worlds of KNOBS, as the tests check. For InfoNCE
# one world in a hundred may differ by LARGEST_ERROR, if the grid misses an island of the decision
# region.
ERRORS = {"linear": 1e-9, "logistic": 1e-8, "least-squares": 1e-9, "bayes": 1e-7, "infonce": 1e-4}
LARGEST_ERROR = 1e-3


class Knob(NamedTuple):
    field: str
    words: str
    low: float
    high: float
    power: int = 1  # of the slider's place, to which the distance from `low` is proportional


KNOBS = (
    Knob("p_spu", "share of usual backgrounds, p", 0.5, 1.0),
    Knob("mu_inv", "strength of the animal, μ_inv", 0.2, 3.0),
    Knob("mu_spu", "strength of the background, μ_spu", 0.0, 4.0),
    Knob("sigma_inv", "variation of the animal, σ_inv", 0.1, 3.0),
    Knob("sigma_spu", "variation of the background, σ_spu", 0.1, 3.0),
    Knob("sigma_xi", "noise of images and captions, σ_ξ", 0.0, 20.0, 3),
    Knob("mention_inv", "share of captions that mention the animal", 0.02, 1.0),
    Knob("mention_spu", "share of captions that mention the background", 0.0, 1.0),
    Knob("detail_inv", "how much captions describe the animal’s appearance, g_inv", 0.0, 1.0),
    Knob("detail_spu", "how much captions describe the background’s appearance, g_spu", 0.0, 1.0),
    Knob("bare", "share of captions that say the name alone", 0.0, 0.9),
)
PRESETS = {
    "The answer's world": text.WORLD,
    # [W] Theorem 6.2: p near 1, mu_spu >= 1 + sigma_inv^2/2
    "Wang's world": World(p_spu=0.99, mu_spu=1.5),
    # [X] as [W] quotes it: mu_spu = sigma_inv = 1, sigma_spu near 0
    "Xue's world": World(p_spu=0.999, sigma_spu=0.1),
    "A clean world": text.WORLD.replace(p_spu=0.5),  # the background says nothing about the animal
}


def render(*, verdicts: Sequence[Verdict], **context: Any) -> str:
    """The page from verdicts and sections; everything but SVG is escaped."""
    scripts = [_file(name) for name in ("claims.js", "theory.js", "explorer.js")]
    statements = [(entry.verdicts[0].claim, entry) for entry in counts.entries(verdicts)]
    words = pages.page(
        "page/html/report.html.jinja",
        context,
        formulas={v.claim: Markup(formula_svg(v.formula)) for v in verdicts},
        questions=[(key, QUESTIONS[key], group) for key, group in by_question(statements)],
        verdicts=verdicts,
        evidence=evidence,
        counts=counts,
        certificates=sum(verdict.certified for verdict in verdicts),
        file_name=file_name,
        html=html,
        anchor=lambda verdict: verdict.claim.replace("/", "-"),  # the fragment of a verdict's row
        text=text,
        named=named,
        world=_file("world.svg"),
        knobs=KNOBS,
        fields=World.model_fields,
        presets={
            name: {k.field: getattr(world, k.field) for k in KNOBS}
            for name, world in PRESETS.items()
        },
        prompts={name: prompt_row(name).words for name in PROMPTS},
        learners={name: text.ASKED.get(name, [named(name).words])[0] for name in LEARNERS},
        error=ERRORS["infonce"],
        largest_error=LARGEST_ERROR,
        rate=rate_sentence(),
        untried=untried(),
        date=date.today().isoformat(),
        scripts=scripts,
        policy=_policy(scripts),
    )
    return NUMBER_AND_UNIT.sub("\N{NO-BREAK SPACE}", words)


def _file(name: str) -> Markup:
    return Markup((files("experiments.page") / "html" / name).read_text(encoding="utf-8"))


def _policy(scripts: Sequence[str]) -> str:
    """The content policy: the page runs its own scripts alone, by their digests, and loads
    nothing.
    """
    digests = [b64encode(sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}"

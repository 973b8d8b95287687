"""Figures and formulas as SVG: rounded coordinates, descriptions for screen readers, shared
letters.
"""

import io
import re
from functools import cache

from markupsafe import escape
from matplotlib import rcParams
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.textpath import TextPath

from experiments.style import styled

DARK = (
    "<style>@media (prefers-color-scheme: dark) { svg { filter: invert(.91) hue-rotate(180deg); }"
    " }</style>"
)
MARGIN = 3  # points around a formula
COMMANDS = {
    Path.MOVETO: "M",
    Path.LINETO: "L",
    Path.CURVE3: "Q",
    Path.CURVE4: "C",
    Path.CLOSEPOLY: "z",
}
COORDINATES = re.compile(r'\b(?:d|x|y|points)="[^"]*"')
DEFINED = re.compile(r'<(path|clipPath|pattern) id="([^"]+)"(?:[^>]*/>|.*?</\1>)', re.DOTALL)


@styled
def figure_svg(figure: Figure, description: str) -> str:
    """A figure as one <svg> element; a screen reader reads its description."""
    buffer = io.StringIO()
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.set_dpi(rcParams["savefig.dpi"])  # of images in it
    FigureCanvasSVG(figure).print_svg(buffer, metadata=metadata)  # savefig would lay it out twice
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = COORDINATES.sub(lambda part: re.sub(r"-?\d+\.\d{3,}", _rounded, part[0]), text)
    text = re.sub(r">\s+<", ">\n<", text)
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', text))
    text = re.sub(r' id="([^"]+)"', lambda part: part[0] if part[1] in used else "", text)
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(description)}" ', 1)


def standalone(drawing: str) -> str:
    """A drawing for a file of its own, which follows a reader's dark mode; a page has such a rule
    for all drawings.
    """
    return drawing.replace("</defs>", f"</defs>\n{DARK}", 1)


def _rounded(number: re.Match) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


@cache  # claims share formulas
@styled
def formula_svg(latex: str) -> str:
    """A formula as SVG with its LaTeX as description; "" for an empty formula."""
    if not latex:
        return ""
    path = TextPath((0, 0), f"${latex}$", size=12)
    low = path.vertices.min(axis=0) - MARGIN
    high = path.vertices.max(axis=0) + MARGIN
    width, height = high - low
    drawn = "".join(
        COMMANDS[code] + ("" if code == Path.CLOSEPOLY else " ".join(f"{x:.2f}" for x in points))
        for points, code in path.iter_segments(simplify=False)
    )
    return (
        f'<svg role="img" aria-label="{escape(latex)}" width="{width:.2f}pt"'
        f' height="{height:.2f}pt" viewBox="{low[0]:.2f} {-high[1]:.2f} {width:.2f}'
        f' {height:.2f}"><path transform="scale(1 -1)" fill="currentColor" d="{drawn}"/></svg>'
    )


def defined_once(page: str) -> str:
    """A page in which every letter, clip and hatch is defined once, by the first drawing that uses
    it.

    Matplotlib's ids are digests of what they define, so equal ids mean equal definitions.
    """
    ids: set[str] = set()

    def first(match: re.Match) -> str:
        new = match[2] not in ids
        ids.add(match[2])
        return match[0] if new else ""

    return DEFINED.sub(first, page)

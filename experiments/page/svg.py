"""Figures and formulas as SVG: rounded coordinates, descriptions for screen readers, shared letters."""

import io
import re
from collections.abc import Mapping
from functools import cache

from markupsafe import escape
from matplotlib.figure import Figure

from experiments.style import styled

GLYPH = re.compile(r'<path id="([^"]+-[0-9a-f]+)" d="[^"]*"[^>]*/>')  # matplotlib's id of a letter: font and code
COORDINATES = re.compile(r'\b(?:d|x|y|points)="[^"]*"')


@styled
def figure_svg(figure: Figure, description: str = "") -> str:
    """A figure as one <svg> element; a screen reader reads its description."""
    buffer = io.StringIO()
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=metadata, bbox_inches="tight", pad_inches=0.04)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = COORDINATES.sub(lambda part: re.sub(r"-?\d+\.\d{3,}", _rounded, part[0]), text)
    text = re.sub(r">\s+<", ">\n<", text)
    label = f'role="img" aria-label="{escape(description)}"' if description else 'aria-hidden="true"'
    return text.replace("<svg ", f"<svg {label} ", 1)


def _rounded(number: re.Match) -> str:
    """A coordinate in hundredths of a point."""
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


@styled
def _formula(latex: str) -> Figure:
    figure = Figure(figsize=(0.1, 0.1), layout="none")
    figure.patch.set_visible(False)  # it is part of a line of text
    figure.text(0, 0, f"${latex}$", fontsize=12)
    return figure


@cache  # claims share formulas
def formula_svg(latex: str) -> str:
    """A formula as SVG with its LaTeX as description; "" for an empty formula."""
    return figure_svg(_formula(latex), latex) if latex else ""


def on_one_page(drawings: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """(letters, drawings) for one document; the names of the drawings must be valid ids.

    Every letter is drawn once, in an <svg> without a size. All other ids get their drawing's name as a prefix.
    """
    letters: dict[str, str] = {}
    placed = {}
    for name, drawing in drawings.items():
        own = set(re.findall(r'\bid="([^"]+)"', drawing))
        for glyph in GLYPH.finditer(drawing):
            letters.setdefault(glyph[1], glyph[0])
            own.discard(glyph[1])

        def prefixed(match: re.Match, own=own, name=name) -> str:
            return f"{match[1]}{name}-{match[2]}" if match[2] in own else match[0]

        text = GLYPH.sub("", drawing)
        text = re.sub(r'(\bid="|xlink:href="#|url\(#)([^")]+)', prefixed, text)
        placed[name] = re.sub(r"<defs>\s*</defs>\s*", "", text)
    head = '<svg aria-hidden="true" width="0" height="0" style="position: absolute"><defs>'
    return f"{head}{''.join(letters.values())}</defs></svg>", placed

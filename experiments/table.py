"""A table, described once by its columns and records, and its printers for the terminal, HTML and
LaTeX.

JSON needs no printer: records are the rows of a document, or what its rows are made of.

>>> columns = (Column("name", "name"), Column("share", "share", PERCENT))
>>> drinks = Table("drinks", columns, [{"name": "tea", "share": 0.25}])
>>> drinks.rows
[['name', 'share %'], ['tea', '25.00']]
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup
from rich.console import Console, ConsoleOptions
from rich.measure import Measurement, measure_renderables
from rich.table import Table as Grid
from rich.text import Text


class Unit(NamedTuple):
    """How the values of a column are printed, and the sign of the unit after the column's words."""

    shown: Callable[[Any], str]
    sign: str = ""
    number: bool = True  # numbers are aligned to the right


def percent(value: float | None) -> str:
    """A fraction in percent, zero without a sign; "" for None."""
    return "" if value is None else f"{100 * value:z.2f}"


def counted(number: int, word: str) -> str:
    """A count with its noun, such as "1,836 cells"."""
    return f"{number:,} {word}{'s' * (number != 1)}"


def points(fraction: float) -> str:
    """Percentage points with one digit, and zero without a sign."""
    return f"{100 * fraction:z.1f}"


def gain(fraction: float) -> str:
    """Percentage points with one digit and a sign; zero has a plus."""
    return f"{100 * fraction:+z.1f}"


def interval(ends: Sequence[float] | None) -> str:
    return "no interval" if ends is None else f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}"


def span(ends: Sequence[float]) -> str:
    """A range of fractions with the digits of `percent`; "none" without ends."""
    return "none" if not len(ends) else f"{percent(ends[0])} to {percent(ends[1])}"


WORDS = Unit(str, number=False)
NUMBER = Unit(str)
COUNT = Unit("{:,}".format)
PERCENT = Unit(percent, " %")
POINTS = Unit(points)
GAIN = Unit(gain)
CORRELATION = Unit("{:.3f}".format)
SPAN = Unit(span)
SPAN_PERCENT = Unit(span, " %")
EDGES = 3  # letters of a terminal's table per column, for its line and two spaces


class Column(NamedTuple):
    """Words at the head of a column, the key or the function of a record that gives its values, and
    their unit.
    """

    words: str
    value: str | Callable[[Any], Any]
    unit: Unit = WORDS
    look: Callable[[Any], str] = lambda record: ""  # classes of a cell in HTML
    width: float = 0.0  # share of a page in LaTeX

    def cell(self, record: Any) -> str | Text:
        """A cell. Words and words with a style stay as they are, and None is empty."""
        value = record.get(self.value) if isinstance(self.value, str) else self.value(record)
        return (
            ""
            if value is None
            else value
            if isinstance(value, str | Text)
            else self.unit.shown(value)
        )


class Table(NamedTuple):
    """Columns over records; on a terminal the record None is a line."""

    title: str | None
    columns: Sequence[Column]
    records: Iterable[Any]
    keys: int = 1  # so many first columns name a record

    @property
    def rows(self) -> list[list[str | Text]]:
        """The heads, and the cells of each record; the row of None is empty."""
        heads = [column.words + column.unit.sign for column in self.columns]
        return [
            heads,
            *(
                [each.cell(record) for each in self.columns if record is not None]
                for record in self.records
            ),
        ]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text | Grid]:
        """The table below its title: cells wrap between words, and columns beyond the width follow
        beside the keys.
        """
        if self.title is not None:
            yield Text(self.title)  # rich would wrap a title of its own
        heads, *rows = [[Text.assemble(cell) for cell in row] for row in self.rows]
        extents = []
        width = options.max_width
        for i, column in enumerate(self.columns):
            head = measure_renderables(console, options, [heads[i]])
            cells = measure_renderables(console, options, [row[i] for row in rows if row])
            whole = cells.maximum if column.unit.number else cells.minimum
            extents.append(Measurement(max(head.minimum, whole), max(head.maximum, cells.maximum)))
        parts = [_side_by_side(extents, self.keys, each) for each in range(1, width + 1)]
        # about equally wide ones
        for part in next(each for each in parts if len(each) == len(parts[-1])):
            grid = Grid()
            sizes = _widths([extents[i] for i in part], width - EDGES * len(part) - 1)
            for i, size in zip(part, sizes, strict=True):
                justify = "right" if self.columns[i].unit.number else "left"
                grid.add_column(heads[i], justify=justify, overflow="fold", width=size)
            for row in rows:
                if row:
                    grid.add_row(*(row[i] for i in part))
                else:
                    grid.add_section()
            yield grid


def _side_by_side(extents: Sequence[Measurement], keys: int, width: int) -> list[list[int]]:
    """The columns of each table that fits into the width; all have the keys, and at least one
    other.
    """
    parts = [[*range(keys)]]
    for i in range(keys, len(extents)):
        if (
            len(parts[-1]) > keys
            and sum(extents[j][0] + EDGES for j in [*parts[-1], i]) + 1 > width
        ):
            parts.append([*range(keys)])
        parts[-1].append(i)
    return parts


def _widths(extents: Sequence[Measurement], room: int) -> list[int]:
    """Widths of columns that fill the room, of which the wide ones share what the others leave."""
    low, high = zip(*extents, strict=True)
    if sum(low) > room:  # words must break
        low, high = (1,) * len(low), low
    ends = list(zip(low, high, strict=True))
    levels = (
        [max(least, min(level, most)) for least, most in ends] for level in range(room, 0, -1)
    )
    return next((sizes for sizes in levels if sum(sizes) <= room), list(low))


def html(
    table: Table,
    classes: str = "",
    anchor: Callable[[Any], str] | None = None,
    below: Callable[[Any], str] | None = None,
) -> Markup:
    """The table with roles, since the style sheet stacks its cells on a phone, where each has the
    name of its column.

    anchor(record) is the fragment of a record, and below(record) a row under its own.
    """
    heads, *rows = table.rows
    head_cells = Markup("").join(
        Markup('<th scope="col" role="columnheader">{}</th>').format(head) for head in heads
    )
    parts = [Markup('<table class="{}" role="table">\n').format(f"{classes} stacked".strip())]
    if table.title is not None:
        parts.append(Markup('<caption class="hidden">{}</caption>\n').format(table.title))
    parts.append(
        Markup('<thead role="rowgroup"><tr role="row">{}</tr></thead>\n').format(head_cells)
    )
    for record, (first, *others) in zip(table.records, rows, strict=True):
        own = Markup("") if anchor is None else Markup(' id="{}"').format(anchor(record))
        cells = [Markup('<th scope="row" role="rowheader">{}</th>').format(first)]
        for column, head, cell in zip(table.columns[1:], heads[1:], others, strict=True):
            look = " ".join(
                filter(None, ("number" if column.unit.number else "", column.look(record)))
            )
            words = (look, head[0].lower() + head[1:], cell)
            cells.append(Markup('<td role="cell" class="{}" data-name="{}">{}</td>').format(*words))
        row = Markup('<tr role="row">{}</tr>').format(Markup("\n").join(cells))
        if below is not None:
            under = Markup('<tr role="row"><td role="cell" colspan="{}">{}</td></tr>')
            row += under.format(len(table.columns), below(record))
        parts.append(Markup('<tbody role="rowgroup"{}>{}</tbody>\n').format(own, row))
    return Markup("").join([*parts, Markup("</table>")])


MATHS = {
    "≥": r"\ge",
    "≤": r"\le",
    "≠": r"\ne",
    "≈": r"\approx",
    "−": "-",
    "·": r"\cdot",
    "×": r"\times",
    "→": r"\to",
}
SPECIAL = {
    **{sign: f"${command}$" for sign, command in MATHS.items()},
    **{sign: f"${sign}$" for sign in "<>|"},
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    '"': r"\textquotedbl{}",
    "“": "``",
    "”": "''",
    "…": r"\dots{}",
    "–": "--",
    "—": "---",
    "\u00a0": "~",
}
GREEK = re.compile("GREEK SMALL LETTER (ALPHA|BETA|DELTA|EPSILON|KAPPA|MU|NU|PI|RHO|SIGMA|TAU|XI)")


def latex(table: Table) -> str:
    """A table environment over the whole page, in LaTeX without packages; the title is its
    caption.
    """
    widths = "".join(f"p{{{column.width}\\textwidth}}" for column in table.columns)
    heads, *rows = (" & ".join(escaped(str(cell)) for cell in row) + r" \\" for row in table.rows)
    cells = "\n".join(rows)
    return rf"""\begin{{table*}}
\caption{{{escaped(table.title or "")}}}
\scriptsize\raggedright\setlength{{\tabcolsep}}{{2pt}}
\begin{{tabular}}{{{widths}}}
\hline
{heads}
\hline
{cells}
\hline
\end{{tabular}}
\end{{table*}}
"""


def escaped(words: str) -> str:
    """Words as LaTeX; lines and control characters become spaces, and a letter that LaTeX lacks its
    code point.
    """
    return "".join(map(_letter, " ".join(words.split())))


def _letter(character: str) -> str:
    if character in SPECIAL:
        return SPECIAL[character]
    if greek := GREEK.fullmatch(unicodedata.name(character, "")):
        return rf"$\{greek[1].lower()}$"
    if character.isascii():
        return character if character.isprintable() else " "
    return (
        character if character.isalpha() and ord(character) < 0x180 else f"[U+{ord(character):04X}]"
    )

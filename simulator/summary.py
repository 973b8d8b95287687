"""How results show themselves: one line as `repr`, and in notebooks a table, escaped.

>>> short(0.123456), short(np.array([0.5, 0.25])), short("infonce")
('0.1235', '0.25 to 0.5', "'infonce'")
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import islice
from typing import Any

import numpy as np

ROWS = 20  # most rows of a table


def short(value: Any) -> str:
    """A number with four digits, an array of numbers as its range, anything else as its repr."""
    if (
        not isinstance(value, float | np.ndarray | np.generic)
        or np.asarray(value).dtype.kind not in "iuf"
    ):
        return repr(value)
    finite = np.asarray(value)[~np.isnan(value)]
    low, high = (f"{finite.min():.4g}", f"{finite.max():.4g}") if finite.size else ("nan", "nan")
    return low if low == high else f"{low} to {high}"


def one_line(thing: object, **fields: Any) -> str:
    """Class(name=value, ...) with short values; a field that is None is left out."""
    words = (f"{name}={short(value)}" for name, value in fields.items() if value is not None)
    return f"{type(thing).__name__}({', '.join(words)})"


def html_table(title: str, heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """An HTML table below its title; the rows beyond ROWS are counted."""
    rows = iter(rows)
    lines = [
        [cell if isinstance(cell, str) else short(cell) for cell in row]
        for row in islice(rows, ROWS)
    ]
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>" for line in lines
    )
    head = "".join(f"<th>{escape(head)}</th>" for head in heads)
    more = sum(1 for _ in rows)
    note = f"<p>and {more:,} more rows</p>" if more else ""
    return f"<table><caption>{escape(title)}</caption><tr>{head}</tr>{body}</table>{note}"


def numbers_line(thing: object, numbers: Mapping[str, Any], interval: Any = None) -> str:
    """Class(name=value, ...), with the interval behind each value of one world."""
    shape = np.broadcast_shapes(*map(np.shape, numbers.values()))
    ends = _ends(interval)
    parts = [f"shape={shape}"] if shape else []
    for name, value in numbers.items():
        parts.append(
            f"{name}={short(_rounded(value))}"
            + (f" ({ends[name]})" if not shape and name in ends else "")
        )
    return f"{type(thing).__name__}({', '.join(parts)})"


def numbers_html(title: str, numbers: Mapping[str, Any], interval: Any = None) -> str:
    """The same as a table: one row per number of one world, or one row per world of a grid."""
    shape = np.broadcast_shapes(*map(np.shape, numbers.values()))
    if shape:
        values = [np.broadcast_to(_rounded(value), shape) for value in numbers.values()]
        rows = ([str(index), *(value[index] for value in values)] for index in np.ndindex(*shape))
        return html_table(title, ["world", *numbers], rows)
    if interval is None:
        return html_table(
            title, ["", ""], ((name, _rounded(value)) for name, value in numbers.items())
        )
    ends = _ends(interval)
    rows = ([name, _rounded(value), ends.get(name, "")] for name, value in numbers.items())
    return html_table(title, ["", "", f"{interval.level:.0%} interval"], rows)


def present(numbers: Mapping[str, Any]) -> Mapping[str, Any]:
    """The numbers without those that are nan everywhere, unless all are: a table need not have
    every group.
    """
    return {name: value for name, value in numbers.items() if short(value) != "nan"} or numbers


def _ends(interval: Any) -> dict[str, str]:
    """The ends of the intervals that are known, by name."""
    intervals = {} if interval is None else interval.ends
    return {
        name: f"{short(_rounded(low))} to {short(_rounded(high))}"
        for name, (low, high) in intervals.items()
    }


def _rounded(value: Any) -> Any:
    """A number with four decimals, and zero without a sign; a formula as it is."""
    return np.round(value, 4) + 0.0 if isinstance(value, float | np.ndarray | np.number) else value

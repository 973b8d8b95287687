"""Law 3, no two numbers are equal: each number of a screen stands beside the words of its place in
the document.
"""

import copy
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from html import unescape
from itertools import product, takewhile
from numbers import Real
from typing import Any

from rich.console import Console

from simulator.accuracy import GROUPS

MOST = 150  # numbers of a document that are tried, evenly spread; each takes two screens
WORDS = (*GROUPS, "balanced", "drop", "naive", "honest")
MEANS = ("macro", "micro")
TOKEN = re.compile(r"[-+−]?\d[\d,]*\.?\d*(?:e-?\d+)?|[^\W\d_]+")


def leaves(document: Any, path: tuple = ()) -> Iterator[tuple[tuple, float]]:
    """The measured numbers of a document, with their places: what is no request, no count and no
    end of a domain.
    """
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in items:
        if isinstance(value, dict | list):
            if key not in ("world", "recipe", "history", "replicates"):
                yield from leaves(value, (*path, key))
        elif isinstance(value, Real) and not isinstance(value, bool | int) and 0 < abs(value) < 1:
            yield (*path, key), value


def changed(document: Any, path: tuple, value: Any) -> Any:
    """A copy with another value at a place."""
    other = part = copy.deepcopy(document)
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return other


def lines(view: Callable[[Any], Any], document: Any) -> list[str]:
    """The screen of a document, so wide that nothing wraps."""
    shown = view(document)
    stream = io.StringIO()
    if isinstance(shown, str):
        return shown.splitlines()
    Console(file=stream, width=400, markup=False, emoji=False, highlight=False).print(shown)
    return stream.getvalue().splitlines()


def page_lines(page: str) -> str:
    """The words of a page as a screen has them: a line per paragraph and per row of a table, with
    its bars.
    """

    def row(match: re.Match) -> str:
        cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", match[0], flags=re.DOTALL)
        bar = "┃" if 'scope="col"' in match[0] else "│"
        return f"\n{bar}{bar.join(' '.join(cell.split()).ljust(60) for cell in cells)}{bar}\n"

    words = re.sub(r"<(svg|style|head)\b.*?</\1>", "", page, flags=re.DOTALL)
    words = re.sub(r"<tr\b.*?</tr>", row, words, flags=re.DOTALL)
    words = re.sub(r"<p\b.*?</p>", lambda part: " ".join(part[0].split()), words, flags=re.DOTALL)
    return unescape(re.sub(r"<[^>]*>", " ", words))


def places(before: list[str], after: list[str]) -> list[tuple[int, int]]:
    """(line, column) of the numbers that differ, where the screens have the same lines and
    words.
    """
    found = []
    for number, (a, b) in enumerate(zip(before, after, strict=False)):
        one = [*TOKEN.finditer(a)]
        two = [*TOKEN.finditer(b)]
        if len(one) == len(two):
            found += [
                (number, x.start())
                for x, y in zip(one, two, strict=True)
                if x[0] != y[0] and x[0][-1].isdigit()
            ]
    return found


def word_at(screen: list[str], line: int, column: int, words: tuple[str, ...]) -> str | None:
    """The one of `words` that a reader takes for that of a number: in a table that of its column's
    head or else of its row's, in a sentence the next one before another number or else the last
    one.
    """
    if "│" in screen[line]:
        heads = [
            (above.rfind("┃", 0, column), above.find("┃", column), above)
            for above in screen[:line]
            if "┃" in above
        ]
        cells = [above[first:last] for first, last, above in heads[-1:]] + [
            screen[line].split("│")[1]
        ]
        return next(
            (token[0] for cell in cells for token in TOKEN.finditer(cell) if token[0] in words),
            None,
        )
    tokens = [*TOKEN.finditer(screen[line])]
    here = next(i for i, token in enumerate(tokens) if token.start() == column)
    after = list(takewhile(lambda token: not token[0][-1].isdigit(), tokens[here + 1 :]))
    return next(
        (token[0] for token in [*after, *reversed(tokens[:here])] if token[0] in words), None
    )


def misplaced(view: Callable[[Any], Any], document: Any, most: int = MOST) -> tuple[list[str], int]:
    """What is shown beside another group's word, or in another record's lines; and how many numbers
    are shown.
    """
    screen = lines(view, document)
    wrong = []
    seen = 0
    rows = dict[tuple, dict[int, set[int]]]()
    every = [*leaves(document)]
    for path, value in every[:: 1 + len(every) // most]:
        at = places(screen, lines(view, changed(document, path, 0.87 * value + 0.0131)))
        seen += bool(at)
        kinds = [words for words in (WORDS, MEANS) if {*words} & {*path}]
        for words, (line, column) in product(kinds, at):
            found = word_at(screen, line, column, words)
            if found is not None and found not in path:
                wrong.append(f"{path} = {value:.4f} beside {found!r}: {screen[line].strip()}")
        twice = [
            line
            for line, n in Counter(line for line, _ in at).items()
            if n > 1 and "│" in screen[line]
        ]
        wrong += [f"{path} = {value:.4f} stands twice in {screen[line].strip()}" for line in twice]
        for k, key in enumerate(path):
            if isinstance(key, int) and k and len(path) > k + 1:  # record `key` of a list
                own = rows.setdefault((*path[:k], path[-1]), {}).setdefault(key, set())
                own.update(line for line, _ in at if "│" in screen[line])
    for place, each in rows.items():
        for i, j in ((i, j) for i in each for j in each if i < j and each[i] & each[j]):
            if all(len(each[k]) == 1 for k in (i, j)):
                wrong.append(f"records {i} and {j} of {place} in one line")
        order = [min(each[i]) for i in sorted(each) if each[i]]
        if order != sorted(order):
            wrong.append(f"records of {place} are not shown in their order: lines {order}")
    return wrong, seen

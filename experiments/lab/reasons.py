"""Why cells have no number: sentences as integer codes that do not depend on the order of work.

The code of a sentence is its checksum, so independent blocks agree. Sentences of one block that differ only in their
numbers become one sentence with ranges: a million separable laws would give a million sentences.
"""

import re
from collections import defaultdict
from zlib import crc32

import numpy as np

_NUMBER = re.compile(r"(?<![\w.^])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w^])")


class Reasons:
    """The reasons of a block, and the variable that holds their codes."""

    def __init__(self, undefined: np.ndarray):
        self._undefined = undefined
        self._places: dict[str, list[tuple[int, ...]]] = defaultdict(list)

    def add(self, place: tuple[int, ...], sentence: str) -> None:
        """Add a cell's reason; the first one counts."""
        self._places[sentence].append(place)

    def finish(self) -> dict[int, str]:
        """Fill in the codes; the sentence of each code."""
        alike = defaultdict(list)
        for sentence in self._places:
            alike[_NUMBER.sub("#", sentence)].append(sentence)
        legend = {}
        for template, sentences in alike.items():
            shared = _ranges(template, sentences)
            code = crc32(shared.encode()) & 0x7FFFFFFF or 1
            legend[code] = shared
            for sentence in sentences:
                for place in self._places[sentence]:
                    if self._undefined[place] == 0:
                        self._undefined[place] = code
        return legend


def _ranges(template: str, sentences: list[str]) -> str:
    """Sentences of one template as one sentence, with a range for each number that differs.

    >>> _ranges("a # of 3^2 #", ["a 1 of 3^2 5", "a 2 of 3^2 5"])
    'a 1 to 2 of 3^2 5'
    """
    columns = zip(*(_NUMBER.findall(sentence) for sentence in sentences), strict=True)
    words = iter(template.split("#"))
    shared = next(words)
    for column, following in zip(columns, words, strict=True):
        ends = sorted(set(column), key=float)
        shared += (ends[0] if len(ends) == 1 else f"{ends[0]} to {ends[-1]}") + following
    return shared

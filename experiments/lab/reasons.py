"""Why cells have no number: the learners' own sentences as small integers that no order of work can change.

A sentence's code is a checksum of it, so blocks that know nothing of each other agree. Sentences of one block that
differ in their numbers alone become one, with the range of those numbers: of a million separable laws every one has a
distance of its own, and nobody reads a million sentences.
"""

import re
from collections import defaultdict
from zlib import crc32

import numpy as np

_NUMBER = re.compile(r"(?<![\w.^])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w^])")


class Reasons:
    """The reasons of a block, written into its variable of codes."""

    def __init__(self, undefined: np.ndarray):
        self._undefined = undefined
        self._places: dict[str, list[tuple[int, ...]]] = defaultdict(list)

    def add(self, place: tuple[int, ...], sentence: str) -> None:
        """A cell's reason; the first one stands."""
        self._places[sentence].append(place)

    def finish(self) -> dict[int, str]:
        """Fill in the codes; the sentences behind them."""
        alike = defaultdict(list)
        for sentence in self._places:
            alike[_NUMBER.sub("#", sentence)].append(sentence)
        legend = {}
        for template, sentences in alike.items():
            told = _ranges(template, sentences)
            code = crc32(told.encode()) & 0x7FFFFFFF or 1
            legend[code] = told
            for sentence in sentences:
                for place in self._places[sentence]:
                    if self._undefined[place] == 0:
                        self._undefined[place] = code
        return legend


def _ranges(template: str, sentences: list[str]) -> str:
    """Sentences of one template as one, numbers that differ as a range.

    >>> _ranges("a # of 3^2 #", ["a 1 of 3^2 5", "a 2 of 3^2 5"])
    'a 1 to 2 of 3^2 5'
    """
    columns = zip(*(_NUMBER.findall(sentence) for sentence in sentences), strict=True)
    words = iter(template.split("#"))
    told = next(words)
    for column, following in zip(columns, words, strict=True):
        ends = sorted(set(column), key=float)
        told += (ends[0] if len(ends) == 1 else f"{ends[0]} to {ends[-1]}") + following
    return told

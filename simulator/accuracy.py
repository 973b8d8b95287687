"""Accuracy on the two groups: one type for closed forms, trained towers and real photos."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simulator.summary import numbers_html, numbers_line

if TYPE_CHECKING:  # numpy's own annotations accept only these operands
    Numbers = np.ndarray | float
else:  # a number, an array, or an object with numpy's protocol (`theory.proofs.expression`)
    Numbers = np.ndarray | float | np.lib.mixins.NDArrayOperatorsMixin


MOVED = 0.05  # largest change of a mean accuracy that counts as convergence; short ensembles scatter by .03


class Interval(NamedTuple):
    """Two-sided confidence intervals of both accuracies, and their coverage.

    Attributes
    ----------
    common, counter
        (low, high) of each accuracy.
    level
        Coverage, a probability.
    """

    common: tuple[Numbers, Numbers]
    counter: tuple[Numbers, Numbers]
    level: float


@dataclass(frozen=True, repr=False)
class Accuracy:
    """Accuracy on the common group (the background is the class's own) and the counter group (it is not).

    Parameters
    ----------
    common, counter : arrays of one shape, or numbers, in [0, 1]
        Fractions of correct predictions per group.
    interval : Interval or None
        None if the numbers are exact to the precision that their source states.

    Examples
    --------
    >>> a = Accuracy(0.9, 0.5)
    >>> a.drop, a.balanced, float(a.worst)
    (0.4, 0.7, 0.5)
    """

    common: Numbers
    counter: Numbers
    interval: Interval | None = None

    def __repr__(self) -> str:
        return numbers_line(self, {"common": self.common, "counter": self.counter}, self.interval)

    def _repr_html_(self) -> str:
        numbers = {name: getattr(self, name) for name in ("common", "counter", "balanced", "drop")}
        return numbers_html("Accuracy, fractions", numbers, self.interval)

    def __iter__(self):
        """(common, counter), so that a pair can be unpacked or stacked."""
        return iter((self.common, self.counter))

    @property
    def balanced(self) -> Numbers:
        """Mean of the two."""
        return (self.common + self.counter) / 2

    @property
    def drop(self) -> Numbers:
        """common minus counter."""
        return self.common - self.counter

    @property
    def error_counter(self) -> Numbers:
        """1 minus counter."""
        return 1 - self.counter

    @property
    def worst(self) -> Numbers:
        """The smaller of the two."""
        return np.minimum(self.common, self.counter)

    def __getitem__(self, index) -> "Accuracy":
        """The accuracies of some worlds of a grid, by numpy's indexing rules."""
        common, counter = (np.asarray(x)[index] for x in self)
        if self.interval is None:
            return Accuracy(common, counter)
        ends = [(np.asarray(low)[index], np.asarray(high)[index]) for low, high in self.interval[:2]]
        return Accuracy(common, counter, Interval(ends[0], ends[1], self.interval.level))


def not_converged(changes: Mapping[str, Mapping[str, float]]) -> str | None:
    """A sentence if an accuracy changed by more than MOVED in the second half of the steps, from prompt -> group."""
    every = {(group, prompt): change for prompt, groups in changes.items() for group, change in groups.items()}
    group, prompt = max(every, key=lambda key: abs(every[key]))
    change = every[group, prompt]
    if abs(change) <= MOVED:
        return None
    asked = "" if prompt == "none" else f" by {prompt}"
    return (
        f"training has not converged: {group} accuracy{asked} changed by {100 * change:+.1f} points in the second half "
        "of the steps; train longer"
    )


# Words for the properties of an Accuracy, with hyphens as on the command line.
WORDS = ("common", "counter", "error-counter", "balanced", "drop", "worst")
PIXEL_GROUPS = ("rand", "rev", "rest")  # further groups of pixel worlds (`simulator.pixels.groups`)


def in_words(word: str, accuracy: Accuracy) -> Numbers:
    """The property of `accuracy` that `word`, one of WORDS, names."""
    return getattr(accuracy, word.replace("-", "_"))

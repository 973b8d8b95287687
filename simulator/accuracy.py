"""Accuracy by group: one type for closed forms, trained towers and real photos."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from simulator.summary import numbers_html, numbers_line, present

if TYPE_CHECKING:  # numpy's own annotations accept only these operands
    Numbers = np.ndarray | float
else:  # a number, an array, or an object with numpy's protocol (`theory.proofs.expression`)
    Numbers = np.ndarray | float | np.lib.mixins.NDArrayOperatorsMixin


Ends = tuple[Numbers, Numbers]  # (low, high)
GROUPS = ("common", "counter", "unseen")
PLACE = ("equivalent_correlation", "shortfall")  # p' and r, by their names in documents
LEVEL = 0.95  # of every interval on which no decision depends


@dataclass(frozen=True)
class Interval:
    """Two-sided confidence intervals of some numbers, and their coverage.

    Attributes
    ----------
    ends
        (low, high) of each number, by the name that it has where the interval belongs.
    level
        Coverage, a probability.
    """

    ends: dict[str, Ends]
    level: float

    def __iter__(self) -> Iterator[Ends]:
        """(low, high) of each number, in the order of their names."""
        return iter(self.ends.values())


@dataclass(frozen=True, repr=False)
class Accuracy:
    """Accuracy by group of test images.

    Without a table, the background of common images is the class's own, that of counter images is
    another's. With a table, common images show a class's most frequent backgrounds, counter images
    others that training shows with the class, and unseen images those that it never shows with the
    class.

    Parameters
    ----------
    common, counter : arrays of one shape, or numbers, in [0, 1]
        Fractions of correct predictions per group; nan if a table has no such group.
    interval : Interval or None
        None if the numbers are exact to the precision that their source states.
    unseen : like counter, or None
        None if training shows every class with every background.

    Examples
    --------
    >>> a = Accuracy(0.9, 0.5)
    >>> a.drop, a.balanced, float(a.worst)
    (0.4, 0.7, 0.5)
    """

    common: Numbers
    counter: Numbers
    interval: Interval | None = None
    unseen: Numbers | None = None

    @classmethod
    def of(
        cls, groups: Iterable[Numbers], level: float | None = None, ends: Iterable[Ends] = ()
    ) -> "Accuracy":
        """The accuracy of some groups in the order of GROUPS.

        Parameters
        ----------
        groups
            common and counter, and unseen if there is one.
        level, ends
            Coverage of the intervals, and (low, high) of each group; None and nothing for exact
            numbers.
        """
        interval = None if level is None else Interval(dict(zip(GROUPS, ends, strict=False)), level)
        return cls(**dict(zip(GROUPS, groups, strict=False)), interval=interval)

    def __iter__(self) -> Iterator[Numbers]:
        """(common, counter), with unseen if there is one, so that groups can be unpacked or
        stacked.
        """
        return iter(
            (self.common, self.counter)
            if self.unseen is None
            else (self.common, self.counter, self.unseen)
        )

    def __repr__(self) -> str:
        return numbers_line(self, present(self._groups()), self.interval)

    def _repr_html_(self) -> str:
        numbers = present({**self._groups(), "balanced": self.balanced, "drop": self.drop})
        return numbers_html("Accuracy, fractions", numbers, self.interval)

    def _groups(self) -> dict[str, Numbers]:
        return dict(zip(GROUPS, self, strict=False))

    @property
    def balanced(self) -> Numbers:
        """Mean of common and counter."""
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
        """The smallest of the groups that there are."""
        return reduce(np.fmin, self)

    def __getitem__(self, index) -> "Accuracy":
        """The accuracies of some worlds of a grid, by numpy's indexing rules."""
        return self.each(lambda x: np.asarray(x)[index])

    def each(self, function: Callable[[Numbers], Numbers]) -> "Accuracy":
        """The accuracies after a function of every number, of the ends of their intervals, too."""
        ends = [(function(low), function(high)) for low, high in self.interval or ()]
        return Accuracy.of(
            map(function, self), None if self.interval is None else self.interval.level, ends
        )


def mean_interval(
    values: Float[np.ndarray, "*d R"],
    level: float = LEVEL,
    support: tuple[float, float] = (0.0, 1.0),
) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Mean, standard error, and low and high end of Student's interval, of the finite values along
    the last axis.

    Parameters
    ----------
    values
        Independent replicates; nan for those without a number.
    level
        Coverage of the interval.
    support
        The interval that holds all values, and so their mean.
    """
    from scipy.special import stdtrit  # start-up time: --help needs no scipy

    finite = np.isfinite(values)
    count = finite.sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):  # nan where one replicate is left, or none
        mean = np.where(finite, values, 0.0).sum(-1) / count
        squares = (np.where(finite, values - mean[..., None], 0.0) ** 2).sum(-1)
        error = np.where(count > 1, np.sqrt(squares / (count - 1) / count), np.nan)
        half = stdtrit(np.maximum(count - 1, 1), (1 + level) / 2) * error
    return mean, error, np.maximum(mean - half, support[0]), np.minimum(mean + half, support[1])


def rounded(x: Numbers, scale: Numbers) -> np.ndarray:
    """x, and 0 where x is a rounding error beside numbers of this scale; the precision is that of
    x's own type.
    """
    x = np.asarray(x)
    return np.where(np.abs(x) <= np.finfo(x.dtype).eps ** 0.75 * scale, x.dtype.type(0), x)


def finite(x: Any) -> float | None:
    """A number for JSON, which has none that is infinite or undefined."""
    return float(x) if np.isfinite(x) else None


def decision(score: Float[np.ndarray, "*s K"]) -> Float[np.ndarray, "*s K"]:
    """The share of each class in the decision: 1/k for the k classes with the largest score to
    rounding, else 0.
    """
    # Class by class: numpy's max along a short axis takes 20 times as long. `scale` is of an
    # image's rounding errors.
    classes = np.moveaxis(score, -1, 0)[..., None]
    top = reduce(np.maximum, classes)
    scale = reduce(np.maximum, np.where(np.isfinite(classes), np.abs(classes), 0))
    with np.errstate(invalid="ignore"):  # an infinite score less itself
        best = (score == top) | (rounded(top - score, scale) == 0)
    return best / best.sum(axis=-1, keepdims=True)


def won(
    score: Float[np.ndarray, "*s K"], label: int | np.integer | Int[np.ndarray, "*#s"] = 0
) -> Float[np.ndarray, "*s"]:
    """The share of the label in the `decision`."""
    share = decision(score)
    return np.take_along_axis(share, np.broadcast_to(label, share.shape[:-1])[..., None], axis=-1)[
        ..., 0
    ]


# Properties of an Accuracy, with hyphens as on the command line.
WORDS = ("common", "counter", "error-counter", "balanced", "drop", "worst")
PIXEL_GROUPS = ("rand", "rev", "rest")  # further groups of pixel worlds (`simulator.pixels.groups`)


def objects_averaged(
    accuracy: Float[np.ndarray, "groups=2 *w"], p_inv: Numbers
) -> Float[np.ndarray, "groups=2 *w"]:
    """(common, counter) of all images, from those of images that show the label's object, of an odd
    preference.

    An image of the other class's object before the label's background is the mirror image of the
    label's object before the other background. The preference is odd, so exactly one of the two is
    decided rightly.
    """
    # weights sum to 1 to rounding
    return np.clip(p_inv * accuracy + (1 - p_inv) * (1 - accuracy[::-1]), 0, 1)

"""The ideal curve of a world, and where a classifier stands against it: equivalent correlation and
shortfall.

Fix a world and change only its correlation to lambda. Its Bayes rule has group accuracies
c*(lambda) and k*(lambda); they form the ideal curve, on which further attributes are uniform, as in
the test law. With a table, lambda and 1 - lambda are the weights of its two groups. A classifier
with accuracies (c, k) has the regret
    R(lambda) = lambda (c* - c) + (1 - lambda) (k* - k) >= 0   for every lambda in [0, 1],
a convex function (`theory.least_regret`). Its minimiser p' is the equivalent correlation, its
minimum r the shortfall. Where the ideal drop c* - k* takes the classifier's drop, it does so at p',
and
    (c, k) = (c*(p') - r, k*(p') - r).
A drop beyond those of the ideal curve gives p' = 0 or p' = 1. The ideal drop and c* rise with
lambda, and k* falls.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.optimize.elementwise import find_root
from scipy.special import expit, logit, stdtrit

from simulator.accuracy import GROUPS, LEVEL, Accuracy, Ends, Interval, Numbers
from simulator.gaussian.critic import standardise
from simulator.mixture import groups_of
from simulator.summary import numbers_html, numbers_line
from simulator.world import World
from theory.learners.base import joined_numbers
from theory.learners.bayes import ideal_rules, two_block_accuracy
from theory.least_regret import LOG_ODDS, ROUNDING, SampledCurve, least_regret_of_groups
from theory.quadrature import REPLICATES

# p' is undetermined if the ideal drop does not change on one side of it, this far away
NEIGHBOURHOOD = 0.005
SMALLEST_CHANGE = 2e-6  # of a drop: accuracies that are called exact may be off by 1e-6 (InfoNCE)
MOST_CLASSES = 10
# of log odds and accuracies
EXACT = {"xatol": 1e-9, "fatol": ROUNDING}
SAMPLED = {"xatol": 1e-6, "fatol": 1e-8}
FEW = 8  # worlds with a sampled curve in common; more than these interpolate it
_STEPS = np.linspace(0, 1, 9)  # from one end of an interval of p' to the other

Sides = tuple[Ends, Ends]  # of p' and r


@dataclass(frozen=True, repr=False)
class Equivalent:
    """The ideal classifier that a classifier acts like.

    Parameters
    ----------
    correlation : arrays of one shape, or numbers, in [0, 1]
        p', the correlation of the world whose ideal classifier has the same drop. Below the world's
        own correlation the classifier learns less of the background than the data offer, above it
        more. nan if the accuracies do not determine it.
    shortfall : like `correlation`
        r, the accuracy that the classifier lacks on each group; a fraction. Clearly negative values
        contradict the world: no classifier has these accuracies.
    interval : Interval or None
        Of both. It holds the errors of the accuracies and of a sampled ideal curve, and all
        correlations that fit equally well where p' is nan. It leaves out what no classifier of the
        world has, unless the number itself is such: a negative r has an interval that begins below
        it. A shortfall below 0 throughout contradicts the world. None if both numbers are exact,
        for one replicate, and for a table of one or three groups.
    unseen : like `correlation`, or None
        With three groups: the weight of unseen images in the table whose ideal classifier has the
        same gaps between groups. `correlation` is then the weight of common images, and counter
        images have the rest.
    """

    correlation: Numbers
    shortfall: Numbers
    interval: Interval | None = None
    unseen: Numbers | None = None

    def __repr__(self) -> str:
        return numbers_line(self, self._numbers(), self.interval)

    def _repr_html_(self) -> str:
        return numbers_html(
            "acts like the ideal classifier of a world with", self._numbers(), self.interval
        )

    def _numbers(self) -> dict[str, Numbers]:
        unseen = {} if self.unseen is None else {"unseen": self.unseen}
        return {"correlation": self.correlation, "shortfall": self.shortfall, **unseen}

    def __iter__(self):
        """(correlation, shortfall), so that a pair can be unpacked."""
        return iter((self.correlation, self.shortfall))


def equivalent(world: World, accuracy: Accuracy) -> Equivalent:
    """Equivalent correlation and shortfall of a classifier, from its group accuracies.

    Two classes: r to 1e-8 and p' to 1e-6 where the slope of the ideal drop is above .01. More
    classes, or a table: the Bayes rule is sampled, and the interval holds its error. It lacks the
    error of interpolation, up to 1e-3, on grids of more than FEW worlds with one curve. Three
    groups have no interval; both numbers are right to about 1e-3.

    Parameters
    ----------
    world
        One world, or a grid of any shape, with Gaussian views. The correlation p_spu has no
        influence.
    accuracy
        Accuracies on the groups; their shape and the grid's broadcast. Its interval, if any, gives
        the result's interval at the same level: every pair of accuracies within it that a
        classifier can have has its p' and r within the result's.

    Returns
    -------
    Equivalent
        Arrays of the common shape. The correlation is nan where the background or the accuracies
        carry no information about it: mu_spu = 0, or an ideal drop that is constant around the
        classifier's. Its interval has the smallest and the largest correlation that fit equally
        well.

    Raises
    ------
    ValueError
        For worlds of pixels, whose ideal classifier no formula describes, for more than
        MOST_CLASSES classes, for accuracies outside [0, 1], and for a group of the table without
        one.

    Examples
    --------
    >>> from theory import learners
    >>> world = World(p_spu=0.9, mu_spu=1.5, sigma_xi=6.0)
    >>> e = equivalent(world, learners.named("bayes").accuracy(world))
    >>> round(float(e.correlation), 6), round(abs(float(e.shortfall)), 8)
    (0.9, 0.0)
    """
    shape = np.broadcast_shapes(world.shape, np.shape(accuracy.common))
    if shape != world.shape:
        world = world.replace(mu_inv=np.broadcast_to(world.mu_inv, shape))
    accuracy = accuracy.each(lambda x: np.broadcast_to(np.asarray(x, float), shape))
    groups = groups_of(world.table, world.common)
    accuracies = [*accuracy]
    if groups[-1] >= len(accuracies):
        raise ValueError(
            f"accuracies of {len(accuracies)} groups given; this table also has the group"
            f" {GROUPS[groups[-1]]}"
        )
    known = accuracy.interval
    level = LEVEL if known is None else known.level
    sides = [(accuracies[g],) * 2 if known is None else known.ends[GROUPS[g]] for g in groups]

    def ends(curve, index, correlation):
        if known is None and curve.exact and not np.isnan(correlation).any():
            return None
        return curve.over_rectangle(
            *(np.clip(x[index], 0, 1) for side in sides for x in side), level
        )

    return _placed(world, np.array([accuracies[g] for g in groups]), ends, level)


def equivalent_of_draws(
    world: World,
    draws: Float[np.ndarray, "R G *w"],
    shared: Float[np.ndarray, "S G *w"] | None = None,
) -> Equivalent:
    """Equivalent correlation and shortfall of the mean over replicates, with intervals from their
    scatter.

    R(lambda) is linear in the accuracies, so a mean over replicates has an equivalent correlation
    and a shortfall, too. The interval of p' is that of the drop. With s(lambda) the standard error
    of lambda c + (1 - lambda) k and t a Student quantile, r lies between min(R - t s) and min(R + t
    s) over the lambda of that interval. Where the ideal curve is sampled, t s is the root of a sum
    of squares with its own error.

    `draws` are (common, counter), with a table (common, counter, unseen), of independent
    replicates. `shared` is the same mean by sets of test images that all replicates share, whose
    error their scatter does not show. The interval has level LEVEL, and is None for a single
    replicate or three groups. It raises what `equivalent` raises.
    """
    groups = groups_of(world.table, world.common)
    sources = [source[:, groups] for source in (draws, shared) if source is not None]
    mean = sources[0].mean(axis=0)
    R = min(map(len, sources))

    def ends(curve, index, _):
        if R == 1:
            return None
        off = [(each - each.mean(axis=0))[:, :, *index] for each in sources]
        # of the mean
        V = sum((x[:, :, None] * x[:, None]).sum(axis=0) / (len(x) * (len(x) - 1)) for x in off)
        return curve.over_scatter(*mean[:, *index], V, stdtrit(R - 1, (1 + LEVEL) / 2))

    return _placed(world, mean, ends, LEVEL)


def _placed(worlds: World, values: np.ndarray, ends: Callable, level: float) -> Equivalent:
    """Places of accuracies (G, *w); `ends` of p' and r follow from a curve, the index of its
    worlds, and p'.
    """
    _check(worlds, values)
    parts: list[tuple[Any, Equivalent]] = []
    for index, part in _by_curve(worlds):
        if len(values) == 2:
            curve = IdealCurve(part)
            correlation, shortfall, fits = curve.place(*values[:, *index])
            sides = ends(curve, index, correlation)
            interval = None if sides is None else _interval(fits, shortfall, *sides, level)
            parts.append((index, Equivalent(correlation, shortfall, interval)))
        else:
            parts.append((index, _of_groups(part, values[:, *index])))
    if not worlds.shape:
        return parts[0][1]
    (correlation, shortfall), known, pairs = joined_numbers(parts, worlds.shape)
    interval = (
        None
        if known is None
        else Interval(dict(zip(("correlation", "shortfall"), pairs, strict=True)), level)
    )
    # with a table, of each world in C order
    unseen = [part.unseen for _, part in parts if part.unseen is not None]
    return Equivalent(
        correlation, shortfall, interval, np.reshape(unseen, worlds.shape) if unseen else None
    )


def _by_curve(worlds: World) -> list[tuple[Any, World]]:
    """The worlds of each sampled curve with their index, and together those that have exact curves
    of their own.
    """
    plain = worlds.replace(attribute=())
    alike = {}
    if worlds.table is not None:
        return [(index, plain[index]) for index in np.ndindex(worlds.shape)]
    if plain.binary:
        return [((), plain)]
    for index in np.ndindex(worlds.shape):
        curve = "exact" if plain[index].binary else plain[index].replace(p_spu=0.5)
        alike.setdefault(curve, []).append(index)
    places = [tuple(np.transpose(some)) for some in alike.values()]
    return [(place, plain[place]) for place in places]


def _of_groups(world: World, values: Float[np.ndarray, " G"]) -> Equivalent:
    """One world with a table that does not have two groups."""
    rules = ideal_rules(world)
    weights, regret = least_regret_of_groups(lambda w: rules(w).mean(axis=0), values)
    if world.mean[1] == 0:
        weights = np.full(len(weights), np.nan)
    return Equivalent(weights[0], regret, None, weights[-1] if len(weights) == 3 else None)


def _interval(
    fits: Ends, shortfall: Numbers, of_correlation: Ends, of_shortfall: Ends, level: float
) -> Interval:
    """With all correlations that fit equally well, and for a shortfall of 0 or more without a
    negative part.
    """
    (low, high), (first, last), (least, most) = of_correlation, fits, of_shortfall
    correlation = np.minimum(low, first)[()], np.maximum(high, last)[()]
    least = np.where(shortfall < 0, least, np.maximum(least, 0.0))[()]
    return Interval({"correlation": correlation, "shortfall": (least, most)}, level)


def _check(worlds: World, accuracies: Iterable[Numbers]) -> None:
    if worlds.views is not None:
        raise ValueError(
            "worlds of pixels have no equivalent correlation: no formula gives their ideal"
            " classifier"
        )
    most = max(
        np.max(worlds.classes, initial=2), 2 if worlds.table is None else len(worlds.table[0])
    )
    if most > MOST_CLASSES:
        what = "classes" if most == np.max(worlds.classes) else "backgrounds"
        raise ValueError(
            f"{what} = {most} is more than the {MOST_CLASSES} for which the ideal curve is sampled"
        )
    for accuracy in map(np.asarray, accuracies):
        outside = ~((accuracy >= -ROUNDING) & (accuracy <= 1 + ROUNDING))  # nan, too
        if outside.any():
            raise ValueError(f"an accuracy of {accuracy[outside].flat[0]:.6g} lies outside [0, 1]")


class IdealCurve:
    """c*, k* and their inverses for a grid of worlds, which are exact for two classes.

    With more classes or a table of two groups the curve is sampled. Such worlds may differ in their
    correlation alone.
    """

    def __init__(self, worlds: World):
        worlds = worlds.replace(attribute=())
        self.shape = worlds.shape
        self._silent = worlds.mean[..., 1] == 0
        self.exact = worlds.table is None and worlds.binary  # no curve is sampled
        self._of_world: list[np.ndarray] = []
        if self.exact:
            signal = np.abs(standardise(worlds.mean, np.sqrt(worlds.image_variance)))
            self._of_world = [
                np.broadcast_to(logit(worlds.p_inv), self.shape),
                signal[..., 0],
                signal[..., 1],
            ]
            # of the log odds of lambda, and of each world
            self._ideal: Callable = two_block_accuracy
        else:
            rules = ideal_rules(worlds.ravel()[0])
            self._sampled = SampledCurve(
                lambda lam: rules(np.array([lam, 1 - lam])), self._silent.size > FEW
            )
            self._ideal = lambda h: self._sampled.replicates(h).mean(axis=0)
        self._ends = self.at(0.0), self.at(1.0)
        if worlds.table is not None:  # groups may show the same backgrounds in all classes
            self._silent = self._silent | (
                self._ends[1].drop - self._ends[0].drop < SMALLEST_CHANGE
            )

    def at(self, correlation: Numbers) -> Accuracy:
        """The Bayes rules' accuracies at another correlation, one per world."""
        h = np.clip(logit(np.broadcast_to(correlation, self.shape)), *LOG_ODDS)
        return Accuracy(*self._ideal(h, *self._of_world))

    def place(self, common: Numbers, counter: Numbers) -> tuple[Numbers, Numbers, Ends]:
        """p' and r of classifiers, and the smallest and the largest correlation that fit equally
        well.

        The two differ where the ideal drop is constant near by, or the background says nothing.
        There p' is nan.
        """
        drop = common - counter
        lam = low = high = self.where(1, -1, drop)
        left = lam - NEIGHBOURHOOD
        right = lam + NEIGHBOURHOOD
        flat = (left >= 0) & (drop - self.at(np.maximum(left, 0.0)).drop < SMALLEST_CHANGE)
        flat |= (right <= 1) & (self.at(np.minimum(right, 1.0)).drop - drop < SMALLEST_CHANGE)
        if flat.any():
            low, high = (
                np.where(flat, self.where(1, -1, drop + x, flat), lam)
                for x in (-SMALLEST_CHANGE, SMALLEST_CHANGE)
            )
        ends = np.where(self._silent, 0.0, low)[()], np.where(self._silent, 1.0, high)[()]
        return (
            np.where(flat | self._silent, np.nan, lam)[()],
            self.regret(lam, common, counter),
            ends,
        )

    def where(
        self, a: float, b: float, value: Numbers, among: np.ndarray | np.bool_ | bool = True
    ) -> Numbers:
        """The lambda at which a c* + b k* takes a value; 0 or 1 if it is beyond all of them.

        The sum must rise with lambda: a >= 0 >= b. The drop is the sum with a = 1 and b = -1. Where
        `among` is false, the result has no meaning.
        """
        value = np.broadcast_to(value, self.shape)
        below, above = (a * end.common + b * end.counter for end in self._ends)
        inside = (below + ROUNDING < value) & (value < above - ROUNDING) & among
        place = np.where(value >= above - ROUNDING, 1.0, 0.0)
        if inside.any():
            value = value[inside]
            numbers = [x[inside] for x in self._of_world]
            bracket = LOG_ODDS if self.exact else self._sampled.bracket(a, b, value)

            def excess(h, value, *numbers):
                c, k = self._ideal(h, *numbers)
                return a * c + b * k - value

            tolerances = EXACT if self.exact else SAMPLED
            place[inside] = expit(
                find_root(excess, bracket, args=(value, *numbers), tolerances=tolerances).x
            )
        return place[()]

    def regret(self, lam: Numbers, common: Numbers, counter: Numbers) -> Numbers:
        """R(lambda)."""
        ideal = self.at(lam)
        return lam * (ideal.common - common) + (1 - lam) * (ideal.counter - counter)

    def margin(self, lam: Numbers, a: Numbers, b: Numbers, level: float) -> Numbers:
        """Half the interval of a c* + b k* at `lam` from the scatter of the curve's replicates; 0
        if it is exact.
        """
        if self.exact:
            return 0.0
        c, k = np.moveaxis(self._sampled.replicates(logit(lam)), 1, 0)
        error = (a * c + b * k).std(axis=0, ddof=1) / np.sqrt(REPLICATES)
        return stdtrit(REPLICATES - 1, (1 + level) / 2) * error

    def over_rectangle(self, c_L, c_U, k_L, k_U, level: float) -> Sides:
        """Smallest and largest p' and r over a rectangle of accuracies, and over the error of a
        sampled curve.

        p' rises with the drop, and r falls with each accuracy. Moreover c = c*(p') - r <= c*(p')
        and k <= k*(p').
        """
        lam = self.where(1, -1, (c_L + c_U - k_L - k_U) / 2)
        drop, c, k, ideal = (
            self.margin(lam, *w, level) for w in ((1, -1), (1, 0), (0, 1), (lam, 1 - lam))
        )
        low = self.where(1, -1, c_L - k_U - drop)
        high = self.where(1, -1, c_U - k_L + drop)
        after = self.where(1, 0, c_L - c)
        before = self.where(0, -1, k - k_L)
        # else no classifier has these accuracies
        possible = np.maximum(low, after) <= np.minimum(high, before)
        low = np.where(possible, np.maximum(low, after), low)
        high = np.where(possible, np.minimum(high, before), high)
        least = self.regret(self.where(1, -1, c_U - k_U), c_U, k_U)
        most = self.regret(self.where(1, -1, c_L - k_L), c_L, k_L)
        return (low, high), (least - ideal, most + ideal)

    def over_scatter(
        self, common: Numbers, counter: Numbers, V: Float[np.ndarray, "G G *w"], t: float
    ) -> Sides:
        """The ends that `equivalent_of_draws` describes, from the covariance of both accuracies."""

        def margin(lam, a, b):
            """Half the interval of a (c* - c) + b (k* - k), the ideal curve at `lam`."""
            variance = a**2 * V[0, 0] + b**2 * V[1, 1] + 2 * a * b * V[0, 1]
            return np.hypot(t * np.sqrt(np.maximum(variance, 0.0)), self.margin(lam, a, b, LEVEL))

        drop = common - counter
        half = margin(self.where(1, -1, drop), 1, -1)
        first, last = (self.where(1, -1, drop + sign * half) for sign in (-1, 1))
        low = high = np.full(self.shape, np.inf)
        for lam in (first + step * (last - first) for step in _STEPS):
            regret = self.regret(lam, common, counter)
            half = margin(lam, lam, 1 - lam)
            low = np.minimum(low, regret - half)
            high = np.minimum(high, regret + half)
        return (first, last), (low, high)

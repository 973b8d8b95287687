"""The ideal curve of a world, and where a classifier stands against it: equivalent correlation and shortfall.

Fix a world and change only its correlation to lambda. Its Bayes rule has group accuracies c*(lambda) and k*(lambda);
they form the ideal curve, on which further attributes are uniform, as in the test law. Weight the groups as lambda
does: B(lambda) = lambda c* + (1 - lambda) k* is the best accuracy that any classifier can have. A classifier with
accuracies (c, k) therefore has
    R(lambda) = B(lambda) - lambda c - (1 - lambda) k >= 0   for every lambda in [0, 1].
R is convex. Its minimiser p' is the equivalent correlation, its minimum r the shortfall. Where the ideal drop
c* - k* takes the classifier's drop, it does so at p', and
    (c, k) = (c*(p') - r, k*(p') - r).
A drop beyond those of the ideal curve gives p' = 0 or p' = 1. Because c*' = (1 - lambda) B'' and k*' = -lambda B'', the
ideal drop and c* rise with lambda, and k* falls.

In a world with a table, lambda weights its groups, and B(lambda) = max sum_g lambda_g a_g over all classifiers' group
accuracies a. The maximum is that of the Bayes rule of the table in which group g has weight lambda_g, shared by its
cells as the test law does. R(lambda) = B(lambda) - sum_g lambda_g a_g is convex on the simplex, with the slopes a*_g -
a_g. Its minimum r is the most by which any classifier could be better on all groups at once.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize
from scipy.optimize.elementwise import find_root
from scipy.special import expit, logit, stdtrit

from simulator.accuracy import GROUPS, LEVEL, Accuracy, Ends, Interval, Numbers
from simulator.mixture import COMMON, groups_of
from simulator.summary import numbers_html, numbers_line
from simulator.world import World
from theory.learners.bayes import Bayes, Part, TableRules, many_class_parts, many_class_replicates
from theory.quadrature import REPLICATES

NEIGHBOURHOOD = 0.005  # p' is undetermined if the ideal drop does not change on one side of it, this far away
SMALLEST_CHANGE = 2e-6  # of a drop: accuracies that are called exact may be off by 1e-6 (InfoNCE)
FAR = 0.05  # likewise for three groups, whose searches are less exact
MOST_CLASSES = 10
ROUNDING = 1e-12  # of an accuracy
FEW = 8  # worlds with a curve of three classes or more in common; more than these interpolate it
STEP = 1 / 32  # of the ideal drop between two nodes of an interpolated curve
NARROW, WIDE = 0.02, 0.5  # of the log odds: they are closer than WIDE where the drop changes, and no closer than NARROW
_LOG_ODDS = (-36.0, 36.0)  # of lambda; 0 and 1 mean these, since a world without noise has no Bayes rule at 1 itself
_NEAR = (-4.0, 0.0, 4.0)  # log odds between which most places lie
MOST_RULES = 24  # of a search for weights; ordinary worlds take 10, and a curve that is flat but for noise never ends
LEAST_WEIGHT = 1e-15  # of a group whose Bayes rule is asked for
_STEPS = np.linspace(0, 1, 9)  # from one end of an interval of p' to the other


@dataclass(frozen=True, repr=False)
class Equivalent:
    """The ideal classifier that a classifier acts like.

    Parameters
    ----------
    correlation : arrays of one shape, or numbers, in [0, 1]
        p', the correlation of the world whose ideal classifier has the same drop. Below the world's own correlation the
        classifier learns less of the background than the data offer, above it more. nan if the accuracies do not
        determine it.
    shortfall : like `correlation`
        r, the accuracy that the classifier lacks on each group; a fraction. Clearly negative values contradict the
        world: no classifier has these accuracies.
    interval : Interval or None
        Of both. It holds the errors of the accuracies and of a sampled ideal curve. None if both are exact, for one
        replicate, and for the three groups of a table. A shortfall below 0 throughout contradicts the world.
    unseen : like `correlation`, or None
        With three groups: the weight of unseen images in the table whose ideal classifier has the same gaps between
        groups. `correlation` is then the weight of common images, and counter images have the rest.
    """

    correlation: Numbers
    shortfall: Numbers
    interval: Interval | None = None
    unseen: Numbers | None = None

    def __repr__(self) -> str:
        return numbers_line(self, self._numbers(), self.interval)

    def _repr_html_(self) -> str:
        return numbers_html("acts like the ideal classifier of a world with", self._numbers(), self.interval)

    def _numbers(self) -> dict[str, Numbers]:
        unseen = {} if self.unseen is None else {"unseen": self.unseen}
        return {"correlation": self.correlation, "shortfall": self.shortfall, **unseen}

    def __iter__(self):
        """(correlation, shortfall), so that a pair can be unpacked."""
        return iter((self.correlation, self.shortfall))


def equivalent(world: World, accuracy: Accuracy) -> Equivalent:
    """Equivalent correlation and shortfall of a classifier, from its group accuracies.

    Two classes: r to 1e-8 and p' to 1e-6 where the slope of the ideal drop is above .01. More classes, or a table: the
    Bayes rule is sampled, and the interval holds its error. It lacks the error of interpolation, up to 1e-3, on grids
    of more than FEW worlds with one curve. Three groups have no interval; both numbers are right to about 1e-3.

    Parameters
    ----------
    world
        One world, or a grid of any shape, with Gaussian views. The correlation p_spu has no influence.
    accuracy
        Accuracies on the groups; their shape and the grid's broadcast. Its interval, if any, gives the result's
        interval at the same level: every pair of accuracies within it has its p' and r within the result's.

    Returns
    -------
    Equivalent
        Arrays of the common shape. The correlation is nan where the background or the accuracies carry no information
        about it: mu_spu = 0, or an ideal drop that is constant around the classifier's.

    Raises
    ------
    ValueError
        For worlds of pixels, whose ideal classifier no formula describes, for more than MOST_CLASSES classes, and for
        accuracies outside [0, 1].

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
    accuracy = _of_shape(accuracy, shape)
    return _on_curves(world, lambda curve, some: _of_accuracy(curve, accuracy[some]))


def equivalent_of_draws(
    world: World, draws: Float[np.ndarray, "R G *w"], shared: Float[np.ndarray, "S G *w"] | None = None
) -> Equivalent:
    """Equivalent correlation and shortfall of the mean over replicates, with intervals from their scatter.

    R(lambda) is linear in the accuracies, so a mean over replicates has an equivalent correlation and a shortfall, too.
    The interval of p' is that of the drop. With s(lambda) the standard error of lambda c + (1 - lambda) k and t a
    Student quantile, r lies between min(R - t s) and min(R + t s) over the lambda of that interval. Where the ideal
    curve is sampled, t s is the root of a sum of squares with its own error.

    Parameters
    ----------
    world
        One world, or a grid of any shape.
    draws
        (common, counter) of independent replicates, in a world with a table (common, counter, unseen).
    shared
        The same mean by sets of test images that all replicates share, whose error their scatter does not show.

    Returns
    -------
    Equivalent
        As from `equivalent`. The interval has level LEVEL, and is None for a single replicate or three groups.

    Raises
    ------
    ValueError
        In the same cases as `equivalent`.
    """
    sources = [draws] if shared is None else [draws, shared]
    return _on_curves(world, lambda curve, some: _of_draws(curve, [x[:, :, *some] for x in sources]))


def _of_accuracy(curve: "IdealCurve", own: Accuracy) -> Equivalent:
    if len(curve.groups) != 2:
        return curve.of_groups(np.array([*own])[curve.groups].ravel())
    values = [list(own)[g] for g in curve.groups]
    correlation, shortfall = curve.place(*values)
    if own.interval is None and curve.exact:
        return Equivalent(correlation, shortfall)
    level, sides = LEVEL, [(x, x) for x in values]
    if own.interval is not None:
        level, sides = own.interval.level, [own.interval.ends[GROUPS[g]] for g in curve.groups]
    ends = (np.clip(x, 0, 1) for side in sides for x in side)
    return Equivalent(correlation, shortfall, curve.over_rectangle(*ends, level=level))


def _of_draws(curve: "IdealCurve", sources: list[Float[np.ndarray, "_ G *w"]]) -> Equivalent:
    sources = [source[:, curve.groups] for source in sources]
    R, mean = min(map(len, sources)), sources[0].mean(axis=0)
    if len(curve.groups) != 2:
        return curve.of_groups(mean.ravel())
    common, counter = mean
    correlation, shortfall = curve.place(common, counter)
    if R == 1:
        return Equivalent(correlation, shortfall)
    t, V = stdtrit(R - 1, (1 + LEVEL) / 2), np.sum([_covariance_of_mean(source) for source in sources], axis=0)

    def margin(lam, a, b):
        """Half the interval of a (c* - c) + b (k* - k), the ideal curve at `lam`."""
        variance = a**2 * V[0, 0] + b**2 * V[1, 1] + 2 * a * b * V[0, 1]
        return np.hypot(t * np.sqrt(np.maximum(variance, 0.0)), curve.margin(lam, a, b, LEVEL))

    drop = margin(curve.with_drop(common - counter), 1, -1)
    ends = tuple(curve.with_drop(common - counter + sign * drop) for sign in (-1, 1))
    low = high = np.full(curve.shape, np.inf)
    for lam in (ends[0] + step * (ends[1] - ends[0]) for step in _STEPS):
        regret, half = curve.regret(lam, common, counter), margin(lam, lam, 1 - lam)
        low, high = np.minimum(low, regret - half), np.minimum(high, regret + half)
    return Equivalent(correlation, shortfall, _both(ends, _possible(low, high), LEVEL))


def _both(correlation: Ends, shortfall: Ends, level: float) -> Interval:
    return Interval({"correlation": correlation, "shortfall": shortfall}, level)


def _possible(low: Numbers, high: Numbers) -> tuple[Numbers, Numbers]:
    """An interval of the shortfall without its negative part, unless no other part is left."""
    return np.where(high < 0, low, np.maximum(low, 0.0))[()], high


def _covariance_of_mean(draws: Float[np.ndarray, "R G *w"]) -> Float[np.ndarray, "G G *w"]:
    """Covariance matrix of the mean of independent draws."""
    off, R = draws - draws.mean(axis=0), len(draws)
    return (off[:, :, None] * off[:, None]).sum(axis=0) / (R * (R - 1))


def _of_shape(accuracy: Accuracy, shape: tuple[int, ...]) -> Accuracy:
    """The accuracies and their interval, with one number per world."""

    def wide(x: Numbers) -> np.ndarray:
        return np.broadcast_to(np.asarray(x, float), shape)

    values, ends = map(wide, accuracy), accuracy.interval
    if ends is None:
        return Accuracy.of([*values])
    return Accuracy.of([*values], ends.level, [(wide(low), wide(high)) for low, high in ends])


def _on_curves(worlds: World, place: Callable[["IdealCurve", tuple], Equivalent]) -> Equivalent:
    """The results of `place`, which gets a curve and the index of its worlds.

    One curve serves all worlds with two classes. With more, one serves those that differ in their correlation alone.
    """
    curve = IdealCurve(worlds)
    if curve.exact or not worlds.shape:
        return place(curve, ())
    alike: dict[World | int, list[int]] = {}
    for i in range(worlds.size):
        world = curve.worlds[i]
        alike.setdefault(world.replace(p_spu=0.5) if worlds.table is None else i, []).append(i)
    numbers, level = np.full((7, worlds.size), np.nan), None
    for some in alike.values():
        found = place(IdealCurve(curve.worlds[some]), np.unravel_index(some, worlds.shape))
        numbers[:2, some] = tuple(found)
        if found.unseen is not None:
            numbers[6, some] = found.unseen
        if found.interval is None:
            numbers[2:6, some] = np.repeat([*found], 2, axis=0)
        else:
            numbers[2:6, some], level = np.concatenate([*found.interval]), found.interval.level
    correlation, shortfall, *ends, unseen = numbers.reshape(7, *worlds.shape)
    interval = None if level is None else _both(tuple(ends[:2]), tuple(ends[2:]), level)
    return Equivalent(correlation, shortfall, interval, unseen if len(curve.groups) == 3 else None)


def _check_fractions(accuracy: Numbers) -> None:
    outside = ~((accuracy >= -ROUNDING) & (accuracy <= 1 + ROUNDING))  # nan, too
    if np.any(outside):
        raise ValueError(f"an accuracy of {np.asarray(accuracy)[outside].flat[0]:.6g} lies outside [0, 1]")


class _Enough(Exception):
    """A search has tried MOST_RULES rules."""


class IdealCurve:
    """c*, k* and their inverses for a grid of worlds with two classes.

    With more classes, worlds may differ in their correlation alone. There is one world with a table, whose curve runs
    between the two of its `groups`.
    """

    def __init__(self, worlds: World):
        if worlds.views is not None:
            raise ValueError("worlds of pixels have no equivalent correlation: no formula gives their ideal classifier")
        most = max(np.max(worlds.classes, initial=2), 2 if worlds.table is None else len(worlds.table[0]))
        if most > MOST_CLASSES:
            what = "classes" if most == np.max(worlds.classes) else "backgrounds"
            raise ValueError(f"{what} = {most} is more than the {MOST_CLASSES} for which the ideal curve is sampled")
        self.shape = worlds.shape
        self.worlds = worlds.replace(attribute=()).ravel()
        self.exact = worlds.table is None and bool(np.all(np.asarray(worlds.classes) == 2))
        self.groups = groups_of(worlds.table, worlds.common)
        self._rules_tried: list[np.ndarray] = []
        self._known: dict[float, Float[np.ndarray, "R 2"]] = {}  # points of a sampled curve, by lambda's log odds

    def at(self, correlation: Numbers) -> Accuracy:
        """The Bayes rules' accuracies at another correlation, one per world."""
        lam = np.broadcast_to(correlation, self.shape).ravel()
        return Accuracy(*(x.reshape(self.shape) for x in self._ideal(lam, np.arange(len(lam)))))

    def place(self, common: Numbers, counter: Numbers) -> tuple[Numbers, Numbers]:
        """(p', r) of classifiers; p' is nan where it is undetermined."""
        _check_fractions(common)
        _check_fractions(counter)
        lam = self.with_drop(common - counter)
        return np.where(self._undetermined(lam, common - counter), np.nan, lam)[()], self.regret(lam, common, counter)

    def of_groups(self, values: Float[np.ndarray, " G"]) -> Equivalent:
        """The minimum of R over the weights of all groups of a world with a table, without an interval."""
        G = len(values)
        weights, shortfall = self._least_regret(values)
        correlation = weights[0] if self.groups[0] == COMMON and G > 1 else np.nan
        unseen = weights[-1] if G == 3 else None
        if G == 3 and self._flat(values, correlation, shortfall):
            correlation = unseen = np.nan
        wide = lambda x: np.full(self.shape, x)[()]  # noqa: E731
        return Equivalent(wide(correlation), wide(shortfall), None, None if unseen is None else wide(unseen))

    def _flat(self, values: Float[np.ndarray, " G"], common: float, least: float) -> bool:
        """Whether the background says nothing, or R hardly rises where common images have another weight.

        A gap between groups that changes by d over the distance FAR raises R by about FAR d/2.
        """
        if self.worlds.mean[0, 1] == 0:
            return True
        for near in (common - FAR, common + FAR):
            if not 0 <= near <= 1:
                continue
            t = (1 - near) * np.linspace(0, 1, 101)
            every = np.stack([np.full(101, near), t, t[::-1]], axis=1)
            # No rule is better than the Bayes rule, so each one bounds R from below.
            floor = (every @ (np.array(self._rules_tried) - values).T).max(axis=1).min()
            if min(floor - least, 1) < FAR * SMALLEST_CHANGE / 2:
                _, least_near = self._least_regret(values, near)
                if least_near - least < FAR * SMALLEST_CHANGE / 2:
                    return True
        return False

    def _least_regret(self, values: Float[np.ndarray, " G"], common: float | None = None) -> tuple[np.ndarray, float]:
        """The weights of groups that minimise R, and its minimum; `common` fixes the first weight.

        From a nearby start SLSQP would stop too early.
        """
        _check_fractions(values)
        G, tried = len(values), []

        def regret(weights):
            if len(tried) == MOST_RULES:
                raise _Enough
            ideal = self._rules.accuracies(dict(zip(self.groups, np.maximum(weights, LEAST_WEIGHT), strict=True)))
            self._rules_tried.append(ideal[self.groups])
            slopes = ideal[self.groups] - values
            tried.append((weights @ slopes, weights.copy()))
            return tried[-1][0], slopes

        start, bounds = np.full(G, 1 / G), [(0, 1)] * G
        if common is not None:
            start, bounds[0] = np.append(common, np.full(G - 1, (1 - common) / (G - 1))), (common, common)
        with suppress(_Enough):
            minimize(
                regret, start, jac=True, method="SLSQP", bounds=bounds, options={"ftol": 1e-12},
                constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1, "jac": np.ones_like},
            )  # fmt: skip
        least, weights = min(tried, key=lambda one: one[0])
        return weights, least

    def with_drop(self, drop: Numbers) -> Numbers:
        """The correlation at which the ideal drop takes a value; 0 or 1 if it is beyond all of them."""
        return self._inverse(lambda ideal: ideal.drop, drop)

    def regret(self, lam: Numbers, common: Numbers, counter: Numbers) -> Numbers:
        """R(lambda)."""
        ideal = self.at(lam)
        return lam * (ideal.common - common) + (1 - lam) * (ideal.counter - counter)

    def margin(self, lam: Numbers, a: Numbers, b: Numbers, level: float) -> Numbers:
        """Half the interval of a c* + b k* at `lam` from the scatter of the curve's replicates; 0 if it is exact."""
        if self.exact:
            return np.zeros(self.shape)
        lam, a, b = (np.broadcast_to(x, self.shape).ravel() for x in (lam, a, b))
        c, k = np.moveaxis(self._replicates(lam), 1, 0)
        error = (a * c + b * k).std(axis=0, ddof=1) / np.sqrt(REPLICATES)
        return (stdtrit(REPLICATES - 1, (1 + level) / 2) * error).reshape(self.shape)[()]

    def over_rectangle(self, c_L, c_U, k_L, k_U, level: float) -> Interval:
        """Smallest and largest p' and r over a rectangle of accuracies, and over the error of a sampled curve.

        p' rises with the drop, and r falls with each accuracy. Moreover c = c*(p') - r <= c*(p') and k <= k*(p').
        """
        lam = self.with_drop((c_L + c_U - k_L - k_U) / 2)
        drop, c, k, ideal = (self.margin(lam, *w, level) for w in ((1, -1), (1, 0), (0, 1), (lam, 1 - lam)))
        low, high = self.with_drop(c_L - k_U - drop), self.with_drop(c_U - k_L + drop)
        after = self._inverse(lambda ideal: ideal.common, c_L - c)
        before = self._inverse(lambda ideal: -ideal.counter, k - k_L)
        possible = np.maximum(low, after) <= np.minimum(high, before)  # else no classifier has these accuracies
        low, high = np.where(possible, np.maximum(low, after), low), np.where(possible, np.minimum(high, before), high)
        least, most = (self.regret(self.with_drop(c - k), c, k) for c, k in ((c_U, k_U), (c_L, k_L)))
        return _both((low[()], high[()]), _possible(least - ideal, most + ideal), level)

    @cached_property
    def _ends(self) -> list[Accuracy]:
        n = self.worlds.size
        return [self._ideal(np.full(n, end), np.arange(n)) for end in (0.0, 1.0)]

    def _inverse(self, rising: Callable[[Accuracy], Numbers], target: Numbers) -> Numbers:
        """The lambda at which an increasing function of the curve's point takes its target."""
        target = np.ravel(np.broadcast_to(target, self.shape))
        below, above = map(rising, self._ends)
        result = np.where(target >= above - ROUNDING, 1.0, 0.0)
        inside = np.flatnonzero((below + ROUNDING < target) & (target < above - ROUNDING))
        if len(inside):
            found = find_root(
                lambda h, i, value: rising(self._ideal_at(h, i.astype(int))) - value,
                self._bracket(rising, target[inside]),
                args=(inside.astype(float), target[inside]),
                tolerances={"xatol": 1e-9, "fatol": ROUNDING} if self.exact else {"xatol": 1e-6, "fatol": 1e-8},
            )
            result[inside] = expit(found.x)
        return result.reshape(self.shape)[()]

    def _bracket(self, rising: Callable[[Accuracy], Numbers], target: Float[np.ndarray, " n"]) -> tuple:
        """Log odds between which an increasing function takes its targets: neighbouring points that are known."""
        if self.exact or self.worlds.size > FEW:
            return _LOG_ODDS
        for h in _NEAR:
            self._point(h)
        h = np.array(sorted(self._known))
        values = rising(Accuracy(*np.transpose([self._known[x].mean(axis=0) for x in h])))
        first = (values >= target[:, None]).argmax(axis=1)
        return h[first - 1], h[first]

    def _undetermined(self, lam: Numbers, drop: Numbers):
        """Whether the background says nothing, or the ideal drop is constant on one side of its place."""
        left, right = lam - NEIGHBOURHOOD, lam + NEIGHBOURHOOD
        flat = (left >= 0) & (drop - self.at(np.maximum(left, 0.0)).drop < SMALLEST_CHANGE)
        flat |= (right <= 1) & (self.at(np.minimum(right, 1.0)).drop - drop < SMALLEST_CHANGE)
        return flat | np.reshape(self.worlds.mean[:, 1] == 0, self.shape)

    def _ideal(self, lam: Float[np.ndarray, " n"], index: np.ndarray) -> Accuracy:
        """Accuracies of the Bayes rules of some worlds at the correlations `lam`."""
        if self.exact:
            return Bayes().accuracy(self.worlds[index].replace(p_spu=np.clip(lam, *expit(_LOG_ODDS))))
        return self._ideal_at(logit(lam), index)

    def _ideal_at(self, h: Float[np.ndarray, " n"], index: np.ndarray) -> Accuracy:
        """The same at log odds of lambda."""
        return self._ideal(expit(h), index) if self.exact else Accuracy(*self._replicates_at(h).mean(axis=0))

    def _replicates(self, lam: Float[np.ndarray, " n"]) -> Float[np.ndarray, "R 2 n"]:
        """Points of a sampled curve, one per replicate."""
        return self._replicates_at(logit(lam))

    def _replicates_at(self, h: Float[np.ndarray, " n"]) -> Float[np.ndarray, "R 2 n"]:
        h = np.clip(h, *_LOG_ODDS)
        rows = self._table(h) if self.worlds.size > FEW else [self._point(x) for x in h]
        return np.moveaxis(rows, 0, -1)

    def _point(self, h: float) -> Float[np.ndarray, "R 2"]:
        if h not in self._known:
            p = float(expit(h))
            if self.worlds.table is not None:
                self._known[h] = self._rules.replicates(dict(zip(self.groups, (p, 1 - p), strict=True)))[:, self.groups]
            else:
                self._known[h] = many_class_replicates(self.worlds[0], self._parts, p)
        return self._known[h]

    @cached_property
    def _table(self) -> Callable[[np.ndarray], np.ndarray]:
        """Replicates of (c*, k*) as functions of lambda's log odds, by cubics between nodes."""
        from scipy.interpolate import PchipInterpolator  # start-up time

        nodes = {h: self._point(h) for h in np.linspace(*_LOG_ODDS, 9)}
        while True:
            h = np.array(sorted(nodes))
            means = np.array([nodes[x].mean(axis=0) for x in h])
            change, gap = np.diff(means[:, 0] - means[:, 1]), np.diff(h)
            wide = (change > STEP) & (gap > NARROW) | (change > STEP / 32) & (gap > WIDE)
            if not wide.any():
                return PchipInterpolator(h, [nodes[x] for x in h])
            for x in (h[:-1] + h[1:])[wide] / 2:
                nodes[x] = self._point(x)

    @cached_property
    def _parts(self) -> list[Part]:
        """The points of the one world with three classes or more; they serve every correlation."""
        return list(many_class_parts(self.worlds[0]))

    @cached_property
    def _rules(self) -> TableRules:
        return TableRules(self.worlds[0])

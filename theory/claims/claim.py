"""A claim is data: a statement about a quantity on a domain of worlds, with its source, tolerance
and error rate.

    quantity(subject) [- quantity(against)]   relation   prediction      for every world of the
                                              domain

Nothing here simulates; `experiments.court` decides. `Claim.true_violation` evaluates the closed
forms, so that a search for the worst point costs microseconds per point. The verdict rests on
measurements at that point.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from numbers import Real
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from pydantic import ValidationError

from simulator import tables
from simulator.accuracy import Numbers
from simulator.naming import suggestion, unlisted
from simulator.world import SCALARS, Attribute, World, refusal
from theory.claims.quantities import QUANTITIES
from theory.claims.relations import RELATIONS, Point
from theory.claims.words import TEXT, AnyClaim, Check, Rules, one_of, such_as
from theory.learners import named
from theory.learners.base import UNDEFINED, Learner, attempt

Quantifier = Literal["always", "somewhere", "on average"]
SHARE_TOLERANCE = 0.01  # of a share of trainings
INFINITE = 10**9  # a claim about at least this many pairs is about the population
SECOND = "attribute."  # begins the fields of a second background
FIELDS = (*SCALARS, *(f"{SECOND}{name}" for name in Attribute.model_fields))  # of a domain
DEFAULTS = {name: World.model_fields[name].default for name in SCALARS}


class NoWorld(ValueError):
    """A point of a domain is no world; the message says why."""


class BadValue(TypeError):
    """A claim's prediction, threshold or reference is no number of a world; the message says
    why.
    """


class Axis(NamedTuple):
    """Range of one parameter of a domain.

    Parameters
    ----------
    low, high : numbers, or functions of the fields named before
        For example `lambda w: w.sigma_inv`.
    scale
        "linear"; "one-minus" spaces 1 - x logarithmically (correlations near 1), "log" x itself.
    integer
        Whether all values are whole numbers. On a linear scale each has the same share of the
        fractions.

    Examples
    --------
    >>> float(Axis(0.0, 2.0).place(0.25))
    0.5
    """

    low: float | Callable[..., Numbers]
    high: float | Callable[..., Numbers]
    scale: Literal["linear", "log", "one-minus"] = "linear"
    integer: bool = False

    def place(self, unit: Numbers) -> Numbers:
        """The value at a fraction in [0, 1] of the way from low to high, numbers or arrays.

        Raises NoWorld for bounds that are no range, ValueError for an unknown scale.
        """
        low = np.asarray(self.low, float)
        high = np.asarray(self.high, float)
        # only whole numbers between the bounds; each is rounded from an interval of width 1
        if self.integer:
            low = np.ceil(low)
            high = np.floor(high)
        _check_range(low, high, self.scale)
        least, most = low, high
        if self.integer:
            low = low - 0.5
            high = high + 0.5
        if self.scale == "log":
            value = low * (high / low) ** unit
        elif self.scale == "one-minus":
            value = 1 - (1 - low) * ((1 - high) / (1 - low)) ** unit
        elif self.scale == "linear":
            value = low + (high - low) * unit
        else:
            raise ValueError(
                f"an axis has scale = {self.scale!r}, which is not one of linear, log, one-minus"
            )
        return np.clip(np.rint(value) if self.integer else value, least, most)


def _check_range(low: Numbers, high: Numbers, scale: str) -> None:
    least = np.min(low)
    most = np.max(high)
    if not np.all(low <= high):  # nan too
        raise NoWorld(
            f"an axis runs from {np.max(low):g} down to {np.min(high):g}; its bounds must not cross"
        )
    if not (np.all(np.isfinite(low)) and np.all(np.isfinite(high))):
        raise NoWorld(f"an axis runs from {least:g} to {most:g}; its bounds must be finite")
    if scale == "log" and least <= 0:
        raise NoWorld(f"an axis with scale 'log' starts at {least:g}; its bounds must be above 0")
    if scale == "one-minus" and most >= 1:
        raise NoWorld(
            f"an axis with scale 'one-minus' ends at {most:g}; its bounds must be below 1"
        )


def _learner(name: str, value: Any) -> Learner:
    if not isinstance(value, Learner | str):
        raise ValueError(f"{name} = {value!r} is neither a learner nor the name of one")
    return named(value)


def _row_of(table: Mapping[str, Any]) -> Check:
    def row(name: str, value: Any) -> Any:
        if value in table.values():
            return value
        if value not in table:
            raise ValueError(f"{name} = {unlisted(value, table)}")
        return table[value]

    return row


def _number(good: Callable[[Any], bool], domain: str, usual: float) -> Check:
    return such_as(
        lambda x: isinstance(x, Real) and good(x), f"lies outside {domain}; {usual} is usual"
    )


def _or(also: Callable[[Any], bool], check: Check) -> Check:
    return lambda name, value: value if also(value) else check(name, value)


def _domain(name: str, domain: Any) -> Any:
    example = 'such as {"p_spu": Axis(0.5, 1.0)}'
    if not isinstance(domain, Mapping) or not domain:
        raise ValueError(f"{name} = {domain!r} is not a table of fields of World, {example}")
    for one, value in domain.items():
        if one not in FIELDS:
            raise ValueError(f"domain field = {unlisted(one, FIELDS)}")
        ends = value[:2] if isinstance(value, Axis) else (value,)
        if not all(callable(end) or isinstance(end, Real) for end in ends):
            words = f"is no Axis, number or function of the fields before it, {example}"
            raise ValueError(f"{name}: {one} = {value!r} {words}")
    return domain


def _optional(check: Check) -> Check:
    return _or(lambda value: value is None, check)


_FUNCTION = such_as(callable, "is not a function of worlds, such as `lambda w: 0.5`")
# The value of each field, made from what is given, or its refusal.
CHECKS: dict[str, Check] = {
    **AnyClaim.checks,
    "table": TEXT,
    "subject": _learner,
    "against": _optional(_learner),
    "quantity": _row_of(QUANTITIES),
    "relation": _row_of(RELATIONS),
    "quantifier": one_of(get_args(Quantifier)),
    "domain": _domain,
    "prediction": _FUNCTION,
    "reference": _optional(_FUNCTION),
    "threshold": _or(callable, _number(lambda x: abs(x) <= 1e6, "[-1e6, 1e6]", 0.5)),
    "along": _optional(one_of((*FIELDS, "n"))),
    "tolerance": _optional(_number(lambda x: 0 <= x <= 1e6, "[0, 1e6]", 0.005)),
    "share": _optional(_number(lambda x: 0 < x <= 1, "(0, 1]", 0.95)),
    "n": _number(
        lambda x: 2 <= x <= 10**12 and x % 1 == 0, "the whole numbers from 2 to 10^12", 10**10
    ),
}


@dataclass(frozen=True, kw_only=True)
class Claim(AnyClaim):
    """One claim, checked when it is made; see the example in the README.

    The claim says: quantity(subject), minus quantity(against) if that is given, stands in
    `relation` to `prediction(world)` in every world of the domain.

    Parameters
    ----------
    id
        Unique; "family/member" lets `check family` select all members.
    source
        Paper and number, or "soberclip T2".
    statement
        One sentence in words.
    quantity
        common, counter, error-counter, balanced, drop, worst, unseen, reliance, operator-error,
        kept-axis, equivalent-correlation, shortfall or effective-robustness. The last three place a
        classifier of two classes on a curve of others. They have no value where that curve does not
        determine them.
    relation
        >=, <=, =, iff, increasing, decreasing or slope. "iff" compares the quantity with
        `threshold`; the last three follow `along`.
    domain
        Field of World -> Axis, a number, or a function of the fields named before. Other fields
        have the command line's defaults. "attribute.p", "attribute.mu" and so on are the fields of
        a second background.
    prediction
        World -> numbers; for "iff" positive where the claim says quantity > threshold; for
        "increasing" (decreasing) the least rise (fall) from a point to a later one: 0, or less
        where a change back of that size is allowed.
    subject, against
        Learners or their names; `against` is subtracted. For "effective-robustness" it makes the
        family.
    formula
        The statement in LaTeX.
    table
        Text that names a table of class and background (`simulator.tables`), such as
        "compositional(2, 4, 1)".
    along, grid
        The parameter that these three relations vary, and the values between which "slope" is
        fitted.
    threshold
        For "iff", a number or World -> numbers.
    quantifier
        "always": the relation holds in every world of the domain; "somewhere": in at least one; "on
        average": of the mean over worlds that are drawn evenly over the domain's axes, each on its
        own scale.
    reference
        For "operator-error", World -> the matrices (..., 2, 2) to compare with rho D_I' M* D_T.
    tolerance
        Violations up to this size do not contradict; by default the quantity's.
    share
        "With probability `share` over the training pairs": the relation holds, to the tolerance, in
        at least this share of trainings of n pairs; None for a statement about their mean.
    n
        Pairs per training; a large number stands for n = infinity.
    question
        For claims of the project: the key of the question in
        `experiments.court.registry.QUESTIONS`.
    origin, sentence, quote
        Whose the claim is: "printed" (a paper's sentence, tried in the paper's own regime),
        "reading" (our reading of one) or "own". Of a paper's sentence also an id, which its
        readings share, and its words with version and place.
    meaning
        What the verdict means for somebody who trains CLIP, in a line.

    Raises
    ------
    ValueError
        For an unknown quantity, relation, field or learner, or a domain without valid worlds.

    Examples
    --------
    >>> claim = Claim(
    ...     id="loud-backgrounds-fool-clip",
    ...     source="me",
    ...     statement="Backgrounds three times as loud as animals cost half of the counter group.",
    ...     quantity="counter",
    ...     relation="<=",
    ...     domain={"p_spu": Axis(0.8, 1.0), "mu_spu": 3.0},
    ...     prediction=lambda w: 0.5,
    ... )
    >>> ends = claim.place(np.array([[0.0], [1.0]]))  # of the domain
    >>> claim.true_violation(ends).round(4).tolist()
    [-0.4373, -0.4971]
    """

    checks = CHECKS
    quantity: Any  # a Quantity, a Relation, Learners; read as such whether given so or by name
    relation: Any
    domain: Mapping[str, "Axis | float | Callable"]
    prediction: Callable[[World], Numbers] = lambda worlds: 0.0
    subject: Any = "linear"
    against: Any = None
    table: str = ""
    along: str | None = None
    grid: tuple[float, ...] = ()
    threshold: float | Callable[[World], Numbers] = 0.0
    reference: Callable[[World], Numbers] | None = None
    tolerance: Any = None  # becomes the quantity's
    share: float | None = None
    quantifier: Quantifier = "always"
    n: int = 10**10

    def __post_init__(self):
        super().__post_init__()
        if self.tolerance is None:
            object.__setattr__(self, "tolerance", self.quantity.tolerance)

    def rules(self) -> Rules:
        """The rules between fields; those of the quantity and the relation follow the general
        ones.
        """
        # The ends and a point between them are valid worlds.
        worlds = self.at(self.place(np.array([[0.0], [0.414], [1.0]]) * np.ones(len(self.axes))))
        single = self.relation.pointwise and not self.finite
        needed = "needs relation >=, <= or = at n = infinity, without `share`"
        yield self.quantifier != "always" and not single, f"quantifier {self.quantifier!r} {needed}"
        yield from chain(
            super().rules(), self.relation.rules(self), self.quantity.rules(self, worlds)
        )

    @cached_property
    def axes(self) -> dict[str, Axis]:
        """The parameters that vary, in the order in which bounds may refer to them."""
        return {name: axis for name, axis in self.domain.items() if isinstance(axis, Axis)}

    @property
    def dimension(self) -> int:
        """Number of coordinates of a point in the unit cube."""
        return len(self.axes) + self.relation.further

    @property
    def learners(self) -> tuple[Learner, ...]:
        """The subject, then the learner that is subtracted, if there is one."""
        return (
            (self.subject,)
            if self.against is None or self.quantity.family
            else (self.subject, self.against)
        )

    @property
    def support(self) -> tuple[float, float] | None:
        """The smallest and the largest possible value of the number that the relation limits; None
        if there is none.
        """
        if self.quantity.support is None:
            return None
        low, high = self.quantity.support
        return self.relation.support(
            *((low, high) if len(self.learners) == 1 else (low - high, high - low))
        )

    @property
    def finite(self) -> bool:
        """Whether the claim is about finitely many pairs or a share of trainings, for which there
        is no closed form.
        """
        return self.n < INFINITE or self.along == "n" or self.share is not None

    @property
    def tau(self) -> float:
        """Violations of a claim up to this size do not contradict: the tolerance, or that of a
        share of trainings.
        """
        return self.tolerance if self.share is None else SHARE_TOLERANCE

    def place(self, unit: np.ndarray) -> dict[str, np.ndarray]:
        """The domain's fields at points of the unit cube (..., number of axes)."""
        values: dict[str, np.ndarray] = {}
        column = iter(np.moveaxis(np.asarray(unit, float), -1, 0))
        shape = np.asarray(unit).shape[:-1]
        for name in self.domain:
            span = axis_or_number(self.domain[name], values)
            value = span.place(next(column)) if isinstance(span, Axis) else span
            values[name] = np.broadcast_to(np.asarray(value, float), shape)
        return values

    def at(self, fields: Mapping[str, Numbers]) -> World:
        """A grid of worlds with these fields of the domain, and with the claim's table; one point
        is a grid of one.
        """
        second: dict[str, Any] = {
            name.removeprefix(SECOND): value
            for name, value in fields.items()
            if name.startswith(SECOND)
        }
        own: dict[str, Any] = {
            name: np.atleast_1d(value)
            for name, value in fields.items()
            if not name.startswith(SECOND)
        }
        if self.table:
            own["table"] = tables.named(self.table)
        if second:
            own["attribute"] = [second]
        try:
            return World(**own)
        except ValidationError as failure:
            raise NoWorld(refusal(failure)) from None

    def moved(self, fields: Mapping[str, Numbers], to: Numbers) -> dict[str, Any]:
        """The same points with another value of `along`, and of the fields that the domain computes
        from it.

        Parameters
        ----------
        fields
            The points, field by field.
        to
            The other value of `along`, one per point.
        """
        new: dict[Any, Any] = {}
        for name, span in self.domain.items():
            new[name] = (
                to
                if name == self.along
                else axis_or_number(span, new)
                if callable(span)
                else fields[name]
            )
        return {**new, self.along: to}

    def contains(self, values: Mapping[str, Numbers]) -> np.ndarray | np.bool_:
        """Whether points, given by the domain's fields, lie in the domain, to rounding."""
        good = np.True_
        for name in self.domain:
            value = np.asarray(values[name])
            span = axis_or_number(self.domain[name], values)
            low, high = map(np.asarray, span[:2] if isinstance(span, Axis) else (span, span))
            if isinstance(span, Axis) and span.integer:
                good = good & (value == np.rint(value))
            slack = 1e-9 * np.maximum(1.0, np.abs(high))
            good = good & (low - slack <= value) & (value <= high + slack)
        return good

    def declared(self) -> dict[str, Any]:
        """What gives the claim its meaning: no words, no id, no error rate, no field of a world at
        its default.
        """
        usual = {
            name: span
            for name, span in self.domain.items()
            if name in DEFAULTS and span == DEFAULTS[name]
        }
        names = ("quantifier", "learners", "share", "n", "along", "grid", "prediction", "reference")
        parts = {name: getattr(self, name) for name in names}
        parts |= {
            "quantity": self.quantity,
            "relation": self.relation.name,
            "tolerance": self.tolerance,
        }
        parts["domain"] = {name: span for name, span in self.domain.items() if name not in usual}
        if self.table:
            parts["table"] = tables.named(self.table)
        if self.quantity.family:
            parts["family"] = self.against
        return parts | self.relation.declared(self)

    def value_of(self, name: str, worlds: World) -> np.ndarray:
        """The claim's prediction, threshold or reference, one per world or one for all.

        Parameters
        ----------
        name
            Which of the three.
        worlds : World

        Raises
        ------
        BadValue
            If it is no real number, or fails otherwise than for a world without an answer.
        """
        function = getattr(self, name)
        try:
            value = np.asarray(function(worlds) if callable(function) else function)
        except UNDEFINED:
            raise
        except (Exception, SystemExit) as error:  # a user's function may raise anything
            raise BadValue(in_words_of(error)) from error
        if value.dtype.kind not in "biuf":
            raise BadValue(f"its {name} has type {value.dtype}; real numbers are needed")
        shape = value.shape[:-2] if name == "reference" else value.shape
        if len(shape) > worlds.ndim or np.broadcast_shapes(shape, worlds.shape) != worlds.shape:
            raise BadValue(f"its {name} has shape {value.shape} for worlds of shape {worlds.shape}")
        return value.astype(float)

    def violation(self, value: Numbers, worlds: World) -> Numbers:
        """v, the size of the violation where the quantity is `value`; negative values are slack.

        It is nan where the prediction has no answer.

        Parameters
        ----------
        value
            The number that the relation limits, world by world: the quantity; for "increasing" q(x)
            - q(x'), for "decreasing" q(x') - q(x), x < x'; for "slope" the slope.
        worlds : World
        """
        try:
            target, side = self.relation.target(self, worlds)
        except UNDEFINED:  # in some of the worlds
            limits = [
                lambda some, part=part: np.broadcast_to(
                    self.relation.target(self, some)[part], some.shape
                )
                for part in (0, 1)
            ]
            target, side = (attempt(limit, worlds)[0] for limit in limits)
        return np.where(np.equal(side, 0), np.abs(value - target), side * (value - target))

    def true_violation(self, points: Point) -> np.ndarray:
        """v of the population by the closed forms, at a row of points of the relation
        (`Relation.points`).

        It is nan where it is undefined, -inf outside the domain.
        """
        legs = self.relation.legs(self, points)
        truths = [partial(self.quantity.truth, self, s) for s in self.learners]
        values = [[attempt(truth, worlds)[0] for truth in truths] for worlds, _ in legs]
        v = np.asarray(self.violation(self.relation.compare(self, values), legs[0].worlds))
        return (
            np.where(self.relation.inside(self, points), v, -np.inf) if self.relation.further else v
        )


def axis_or_number(
    span: "Axis | float | Callable", earlier: Mapping[str, Numbers]
) -> Axis | Numbers:
    """An entry of a domain, its functions called with the fields before it."""
    ends: tuple[Any, ...] = span[:2] if isinstance(span, Axis) else (span,)
    if any(map(callable, ends)):
        fields = SimpleNamespace(**{**DEFAULTS, **earlier})
        try:
            ends = tuple(end(fields) if callable(end) else end for end in ends)
        except ValueError:
            raise
        except Exception as error:  # a user's function may raise anything
            raise NoWorld(f"a function of the domain fails: {in_words_of(error)}") from error
    return span._replace(low=ends[0], high=ends[1]) if isinstance(span, Axis) else ends[0]


def in_words_of(error: BaseException) -> str:
    """An error of a user's function in one line; a misspelt field gets the nearest valid name."""
    if isinstance(error, AttributeError) and error.name:
        public = [n for n in dir(error.obj) if not n.startswith("_")]
        return f"there is no {error.name!r}{suggestion(error.name, public, quoted=True)}"
    return f"{type(error).__name__}: {' '.join(str(error).split())}"

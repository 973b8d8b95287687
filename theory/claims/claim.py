"""A claim is data: a statement about a quantity on a domain of worlds, with its source, tolerance and error rate.

    quantity(subject) [- quantity(against)]   relation   prediction      for every world of the domain

Nothing here simulates; `experiments.court` decides. `Claim.truth` evaluates the closed forms, so that a search for the
worst point costs microseconds per point. The verdict rests on measurements at that point.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from numbers import Real
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from pydantic import ValidationError

from simulator import tables
from simulator.accuracy import WORDS, Numbers, in_words
from simulator.naming import check_known, suggestion
from simulator.world import SCALARS, Attribute, World, refusal
from theory.accuracy import reliance
from theory.learners import named
from theory.learners.base import Learner
from theory.population import block_covariance, latent_cross_covariance, leading_direction

Relation = Literal[">=", "<=", "=", "iff", "increasing", "decreasing", "slope"]
Quantifier = Literal["always", "somewhere", "on average"]
Origin = Literal["printed", "reading", "own"]
ALONG = ("increasing", "decreasing", "slope")  # relations between points along one parameter

# Quantities that place a classifier on a curve of others (`theory.claims.standing`): the signs of their changes with
# common and with counter accuracy.
STANDINGS = {"equivalent-correlation": (1, -1), "shortfall": (-1, -1), "effective-robustness": (1, 1)}
# Smaller violations do not matter: the paper prints accuracies with two digits of a percent.
TOLERANCES = {
    **dict.fromkeys((*WORDS, "unseen"), 0.005),
    "reliance": 0.01,
    "operator-error": 0.01,
    "kept-axis": 0.01,
    "minimiser-rate": 0.05,
    "equivalent-correlation": 0.01,
    "shortfall": 0.005,
    "effective-robustness": 0.005,
}
SHARE_TOLERANCE = 0.01  # of a share of trainings
SINGLE = ("common", "counter", "error-counter")  # quantities that are one group's accuracy
SECOND = "attribute."  # begins the fields of a second background
FIELDS = (*SCALARS, *(f"{SECOND}{name}" for name in Attribute.model_fields))  # of a domain


class Axis(NamedTuple):
    """Range of one parameter of a domain.

    Parameters
    ----------
    low, high : numbers, or functions of the fields named before
        For example `lambda w: w.sigma_inv`.
    scale
        "linear"; "one-minus" spaces 1 - x logarithmically (correlations near 1), "log" x itself.
    integer
        Whether all values are whole numbers. On a linear scale each has the same share of the fractions.

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
        """The value at a fraction of the way from low to high, which are numbers or arrays.

        Parameters
        ----------
        unit
            The fraction, in [0, 1].

        Raises
        ------
        ValueError
            If the bounds are not a range.
        """
        low, high = np.asarray(self.low, float), np.asarray(self.high, float)
        if self.integer:  # only whole numbers between the bounds; each is rounded from an interval of width 1
            low, high = np.ceil(low), np.floor(high)
        _check_range(low, high, self.scale)
        least, most = low, high
        if self.integer:
            low, high = low - 0.5, high + 0.5
        if self.scale == "log":
            value = low * (high / low) ** unit
        elif self.scale == "one-minus":
            value = 1 - (1 - low) * ((1 - high) / (1 - low)) ** unit
        elif self.scale == "linear":
            value = low + (high - low) * unit
        else:
            raise ValueError(f"an axis has scale = {self.scale!r}, which is not one of linear, log, one-minus")
        return np.clip(np.rint(value) if self.integer else value, least, most)


def _check_range(low: Numbers, high: Numbers, scale: str) -> None:
    least, most = np.min(low), np.max(high)
    if not np.all(low <= high):  # nan too
        raise ValueError(f"an axis runs from {np.max(low):g} down to {np.min(high):g}; its bounds must not cross")
    if not (np.all(np.isfinite(low)) and np.all(np.isfinite(high))):
        raise ValueError(f"an axis runs from {least:g} to {most:g}; its bounds must be finite")
    if scale == "log" and least <= 0:
        raise ValueError(f"an axis with scale 'log' starts at {least:g}; its bounds must be above 0")
    if scale == "one-minus" and most >= 1:
        raise ValueError(f"an axis with scale 'one-minus' ends at {most:g}; its bounds must be below 1")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One claim, checked when it is made; see the example in the README.

    The claim says: quantity(subject), minus quantity(against) if that is given, stands in `relation` to
    `prediction(world)` in every world of the domain.

    Quantities: common, counter, error-counter, balanced, drop, worst, unseen, reliance, operator-error, kept-axis,
    minimiser-rate, equivalent-correlation, shortfall, effective-robustness.

    Relations: >=, <=, =, iff, increasing, decreasing, slope.

    Parameters
    ----------
    id
        Unique; "family/member" lets `check family` select all members.
    source
        Paper and number, or "soberclip T2".
    statement
        One sentence in words.
    quantity
        One of the quantities above. The last three place a classifier of two classes on a curve of others, and have no
        value where that curve does not determine them; the README of the claims explains them.
    relation
        One of the relations above. "iff" compares the quantity with `threshold`; "increasing", "decreasing" and "slope"
        follow `along`.
    domain
        Field of World -> Axis, a number, or a function of the fields named before. Other fields have the command line's
        defaults. "attribute.p", "attribute.mu" and so on are the fields of a second background.
    prediction
        World -> numbers; for "iff" positive where the claim says quantity > threshold.
    subject, against
        Learners or their names; `against` is subtracted. For "effective-robustness" it makes the family.
    formula
        The statement in LaTeX.
    table
        Text that names a table of class and background (`simulator.tables`), such as "compositional(2, 4, 1)".
    along, grid
        The parameter that these three relations vary, and the values between which "slope" is fitted.
    threshold
        For "iff", a number or World -> numbers.
    quantifier
        "always": the relation holds in every world of the domain; "somewhere": in at least one; "on average": of the
        mean over worlds that are drawn evenly over the domain's axes, each on its own scale.
    reference
        For "operator-error", World -> the matrices (..., 2, 2) to compare with rho D_I' M* D_T.
    tolerance
        Violations up to this size do not contradict; by default the quantity's.
    share
        "With probability `share` over the training pairs": the relation holds, to the tolerance, in at least this share
        of trainings of n pairs; None for a statement about their mean.
    n
        Pairs per training; a large number stands for n = infinity.
    question
        For claims of the project: the key of the question in `experiments.court.registry.QUESTIONS`.
    origin, sentence, quote
        Whose the claim is: "printed" (a paper's sentence, tried in the paper's own regime), "reading" (our reading of
        one) or "own". Of a paper's sentence also an id, which its readings share, and its words with version and place.
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
    ...     statement="A background three times as loud as the animal costs linear CLIP half of the counter group.",
    ...     quantity="counter",
    ...     relation="<=",
    ...     domain={"p_spu": Axis(0.8, 1.0), "mu_spu": 3.0},
    ...     prediction=lambda w: 0.5,
    ... )
    >>> worlds = claim.worlds(np.array([[0.0], [1.0]]))  # both ends of the domain
    >>> claim.violation(claim.truth(worlds), worlds).round(4).tolist()
    [-0.4373, -0.4971]
    """

    id: str
    source: str
    statement: str
    quantity: str
    relation: str
    domain: Mapping[str, "Axis | float | Callable"]
    prediction: Callable[[World], Numbers] = lambda worlds: 0.0
    subject: Learner | str = "linear"
    against: Learner | str | None = None
    formula: str = ""
    table: str = ""
    along: str | None = None
    grid: tuple[float, ...] = ()
    threshold: float | Callable[[World], Numbers] = 0.0
    reference: Callable[[World], Numbers] | None = None
    tolerance: float | None = None
    share: float | None = None
    quantifier: Quantifier = "always"
    n: int = 10**10
    question: str = ""
    origin: Origin = "own"
    sentence: str = ""
    quote: str = ""
    meaning: str = ""

    def __new__(cls, **given):
        if "learner" in given:
            raise TypeError("a Claim has no `learner`: give `subject`, and `against` for one that is subtracted")
        return super().__new__(cls)

    def __post_init__(self):
        for name in (field.name for field in fields(self) if field.type is str):
            text = getattr(self, name)
            if not isinstance(text, str) or (name == "id" and not text):
                raise ValueError(f"{name} = {text!r} is not text")
        check_known("origin", self.origin, get_args(Origin))
        if bool(self.sentence and self.quote) == (self.origin == "own"):
            raise ValueError(
                f"origin = {self.origin!r} with sentence = {self.sentence!r} and quote = {self.quote!r}: a printed "
                "claim or a reading needs both, an own claim neither"
            )
        for name in ("subject", "against"):
            learner = getattr(self, name)
            if not isinstance(learner, Learner | str) and not (name == "against" and learner is None):
                raise ValueError(f"{name} = {learner!r} is neither a learner nor the name of one")
            object.__setattr__(self, name, None if learner is None else named(learner))
        check_known("quantity", self.quantity, TOLERANCES)
        check_known("relation", self.relation, get_args(Relation))
        check_known("quantifier", self.quantifier, get_args(Quantifier))
        pointwise = self.relation in (">=", "<=", "=") and self.share is None and self.n >= 10**9
        if self.quantifier != "always" and not pointwise:
            raise ValueError(
                f"quantifier {self.quantifier!r} needs relation >=, <= or = at n = infinity, without `share`"
            )
        self._check_numbers()
        for name in ("prediction", "reference"):
            function = getattr(self, name)
            if not callable(function) and not (name == "reference" and function is None):
                raise ValueError(f"{name} = {function!r} is not a function of worlds, such as `lambda w: 0.5`")
        _check_domain(self.domain)
        if self.relation in ALONG and not self.along:
            raise ValueError(f"relation {self.relation!r} needs `along`, the parameter that is varied")
        if self.along is not None:
            check_known("along", self.along, (*FIELDS, "n"))
        varied = None if self.along is None else self.domain.get(self.along)
        if self.relation in ("increasing", "decreasing") and not isinstance(varied, Axis):
            raise ValueError(f"relation {self.relation!r} along {self.along!r} needs an Axis for it in the domain")
        if self.relation == "slope":
            self._check_grid()
        if self.quantity == "minimiser-rate" and (self.relation, self.along) != ("slope", "n"):
            raise ValueError("quantity 'minimiser-rate' needs relation 'slope' along n")
        if self.quantity == "operator-error" and self.reference is None:
            raise ValueError("quantity 'operator-error' needs `reference`, the matrix that is compared with")
        if self.quantity == "effective-robustness" and self.against is None:
            raise ValueError("quantity 'effective-robustness' needs `against`, the learner that makes the family")
        if self.quantity in STANDINGS and self.relation == "slope":
            raise ValueError(f"quantity {self.quantity!r} can be 0, where it has no slope; use another relation")
        if self.share is not None and self.relation == "slope":
            raise ValueError("relation 'slope' compares trainings of several worlds; `share` needs another relation")
        try:  # the ends and a point between them are valid worlds
            worlds = self.worlds(np.array([[0.0], [0.414], [1.0]]) * np.ones(len(self.axes)))
        except ValueError:
            raise
        except Exception as error:  # a user's function may raise anything
            raise ValueError(f"a function of the domain fails: {in_words_of(error)}") from error
        if self.quantity in ("operator-error", *STANDINGS) and np.max(worlds.classes) > 2:
            raise ValueError(f"quantity {self.quantity!r} is for 2 classes, not {np.max(worlds.classes)}")
        if self.table and self.quantity not in (*WORDS, "unseen"):
            raise ValueError(f"quantity {self.quantity!r} beside a table is not one of {', '.join(WORDS)}, unseen")
        if self.quantity == "unseen" and (worlds.table is None or np.all(worlds.table)):
            raise ValueError("quantity 'unseen' needs a table with an empty cell, such as 'compositional(2, 3, 1)'")

    def _check_numbers(self) -> None:
        for name, good, domain, usual in (
            ("tolerance", lambda x: 0 <= x <= 1e6, "[0, 1e6]", TOLERANCES[self.quantity]),
            ("share", lambda x: 0 < x <= 1, "(0, 1]", 0.95),
            ("n", lambda x: 2 <= x <= 10**12 and x % 1 == 0, "the whole numbers from 2 to 10^12", 10**10),
            ("threshold", lambda x: abs(x) <= 1e6, "[-1e6, 1e6]", 0.5),
        ):
            value = getattr(self, name)
            unset = callable(value) if name == "threshold" else value is None and name in ("tolerance", "share")
            if not unset and not (isinstance(value, Real) and good(value)):
                raise ValueError(f"{name} = {value!r} lies outside {domain}; {usual} is usual")

    def _check_grid(self) -> None:
        least, words = (2, "whole numbers from 2") if self.along == "n" else (1e-9, "positive numbers")
        values = self.grid if isinstance(self.grid, tuple | list) else ()
        good = all(isinstance(x, Real) and least <= x <= 10**12 and (self.along != "n" or x % 1 == 0) for x in values)
        if not good or len(set(values)) < 2:
            raise ValueError(
                f"relation 'slope' needs a grid of at least 2 values of {self.along}, {words}, not {self.grid!r}"
            )

    @property
    def tau(self) -> float:
        """Violations up to this size do not contradict: of the quantity's mean, or of the share of trainings."""
        return self.allowed if self.share is None else SHARE_TOLERANCE

    @property
    def allowed(self) -> float:
        """The tolerance in a single training."""
        return TOLERANCES[self.quantity] if self.tolerance is None else self.tolerance

    @property
    def axes(self) -> dict[str, Axis]:
        """The parameters that vary, in the order in which bounds may refer to them."""
        return {name: axis for name, axis in self.domain.items() if isinstance(axis, Axis)}

    def place(self, unit: np.ndarray) -> dict[str, np.ndarray]:
        """The domain's fields at points of the unit cube (..., number of axes)."""
        values: dict[str, np.ndarray] = {}
        column = iter(np.moveaxis(np.asarray(unit, float), -1, 0))
        shape = np.asarray(unit).shape[:-1]
        for name in self.domain:
            given = axis_or_number(self.domain[name], values)
            value = given.place(next(column)) if isinstance(given, Axis) else given
            values[name] = np.broadcast_to(np.asarray(value, float), shape)
        return values

    def worlds(self, unit: np.ndarray) -> World:
        """The worlds at points of the unit cube (..., number of axes)."""
        return self.at(self.place(unit))

    def at(self, fields: Mapping[str, Numbers]) -> World:
        """The worlds with these fields of the domain, and with the claim's table."""
        second: dict[str, Any] = {
            name.removeprefix(SECOND): value for name, value in fields.items() if name.startswith(SECOND)
        }
        own: dict[str, Any] = {name: value for name, value in fields.items() if not name.startswith(SECOND)}
        if self.table:
            own["table"] = tables.named(self.table)
        if second:
            own["attribute"] = [second]
        try:
            return World(**own)
        except ValidationError as failure:
            raise ValueError(refusal(failure)) from None

    def contains(self, values: Mapping[str, Numbers]) -> np.ndarray | np.bool_:
        """Whether points, given by the domain's fields, lie in the domain, to rounding.

        Parameters
        ----------
        values
            The points, field by field.
        """
        good = np.True_
        for name in self.domain:
            value = np.asarray(values[name])
            given = axis_or_number(self.domain[name], values)
            low, high = np.asarray(_ends(given)[0]), np.asarray(_ends(given)[-1])
            if isinstance(given, Axis) and given.integer:
                good = good & (value == np.rint(value))
            slack = 1e-9 * np.maximum(1.0, np.abs(high))
            good = good & (low - slack <= value) & (value <= high + slack)
        return good

    @property
    def learners(self) -> tuple[Learner, ...]:
        """The subject, then the learner that is subtracted, if there is one."""
        subtracted = None if self.family else self.against
        return tuple(named(learner) for learner in (self.subject, subtracted) if learner is not None)

    @property
    def family(self) -> Learner | None:
        """The learner that makes the family of an effective robustness."""
        return named(self.against) if self.quantity == "effective-robustness" and self.against else None

    def truth(self, worlds: World) -> Numbers:
        """The quantity at n = infinity from the closed forms, `against` subtracted."""
        value, *subtracted = (self._value(learner, worlds) for learner in self.learners)
        return value - subtracted[0] if subtracted else value

    def _value(self, learner: Learner, worlds: World) -> Numbers:
        if self.quantity == "operator-error":
            assert self.reference is not None  # checked when the claim was made
            return operator_error(latent_cross_covariance(worlds), np.asarray(self.reference(worlds)))
        if self.quantity == "reliance":
            return reliance(learner.direction(worlds))
        if self.quantity == "kept-axis":
            return kept_axis(leading_direction(worlds), block_covariance(worlds))
        accuracy = learner.accuracy(worlds)
        if self.quantity in STANDINGS:
            from theory.claims.standing import standing  # scipy's root finder, for start-up time

            value, defined = standing(self.quantity, self.family, worlds, accuracy)
            return np.where(defined, value, np.nan)
        return in_words(self.quantity, accuracy)

    def violation(self, value: Numbers, worlds: World) -> Numbers:
        """v, the size of the violation where the quantity is `value`; negative values are slack.

        Parameters
        ----------
        value
            The number that the relation is about, world by world: the quantity; for "increasing" q(x) - q(x'), for
            "decreasing" q(x') - q(x), x < x'; for "slope" the slope.
        worlds : World
        """
        b = self.prediction(worlds)
        if self.relation == ">=":
            return b - value
        if self.relation == "<=":
            return value - b
        if self.relation in ("=", "slope"):
            return np.abs(value - b)
        if self.relation == "iff":
            edge = threshold_at(self, worlds)
            return np.where(np.asarray(b) > 0, edge - value, value - edge)
        return value + b


_DEFAULTS = {name: World.model_fields[name].default for name in SCALARS}


def _ends(given: object) -> tuple:
    return given[:2] if isinstance(given, Axis) else (given,)


def axis_or_number(given: "Axis | float | Callable", earlier: Mapping[str, Numbers]) -> Axis | Numbers:
    """An entry of a domain, its functions called with the fields before it."""
    fields = fields_before(earlier)
    low, *high = (end(fields) if callable(end) else end for end in _ends(given))
    return given._replace(low=low, high=high[0]) if isinstance(given, Axis) else low


def _check_domain(domain: object) -> None:
    example = 'such as {"p_spu": Axis(0.5, 1.0)}'
    if not isinstance(domain, Mapping) or not domain:
        raise ValueError(f"domain = {domain!r} is not a table of fields of World, {example}")
    for field, given in domain.items():
        check_known("domain field", field, FIELDS)
        if not all(callable(end) or isinstance(end, Real) for end in _ends(given)):
            raise ValueError(
                f"domain: {field} = {given!r} is no Axis, number or function of the fields before it, {example}"
            )


def in_words_of(error: BaseException) -> str:
    """An error of a user's function in one line; a misspelt field gets the nearest valid name."""
    if isinstance(error, AttributeError) and error.name:
        public = [n for n in dir(error.obj) if not n.startswith("_")]
        return f"there is no {error.name!r}{suggestion(error.name, public, quoted=True)}"
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def fields_before(values: Mapping[str, Numbers]) -> SimpleNamespace:
    """The fields that functions of a domain may use: those named before, and all others at their defaults."""
    return SimpleNamespace(**{**_DEFAULTS, **values})


def threshold_at(claim: Claim, worlds) -> Numbers:
    """The threshold of an "iff", for worlds or as a formula."""
    return claim.threshold(worlds) if callable(claim.threshold) else claim.threshold


def operator_error(matrix: np.ndarray, reference: np.ndarray) -> Numbers:
    """||matrix - reference||/||reference|| in operator norm, over any leading axes."""
    return _operator_norm(matrix - reference) / _operator_norm(reference)


def _operator_norm(M: np.ndarray) -> Numbers:
    """Largest singular value of a 2 x 2 matrix, by a formula, which proofs can use."""
    a, b, c, d = (M[..., i, j] for i in (0, 1) for j in (0, 1))
    return (np.sqrt((a + d) ** 2 + (b - c) ** 2) + np.sqrt((a - d) ** 2 + (b + c) ** 2)) / 2


def kept_axis(u: np.ndarray, C: np.ndarray) -> Numbers:
    """Squared cosine of the direction u with the axis of the larger diagonal entry of C."""
    larger = np.argmax(np.diagonal(C, axis1=-2, axis2=-1), axis=-1)
    return np.take_along_axis(u**2, np.broadcast_to(larger[..., None], (*u.shape[:-1], 1)), -1)[..., 0] / (u**2).sum(-1)


def log_slope(grid, values: np.ndarray) -> Numbers:
    """Least-squares slope of log |values| (..., len(grid)) on log grid."""
    x = np.log(np.asarray(grid, float))
    x = x - x.mean()
    return sum(weight * np.log(v**2) / 2 for weight, v in zip(x / (x @ x), np.moveaxis(values, -1, 0), strict=True))

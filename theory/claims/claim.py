"""A claim is data: a statement about a quantity on a domain, with its source, tolerance and error rate.

    quantity(subject) [- quantity(against)]   relation   prediction      for every point of the domain

Nothing here simulates; `experiments.court.judge` decides. Truth comes from the closed forms (`Claim.truth`), so that a
search for the worst point costs microseconds; the verdict rests on measurements taken there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import ndtri

from simulator.world import Blocks, Numbers
from theory.accuracy import GroupAccuracy, binary_scores, clip_accuracy, linear_accuracy, reliance
from theory.population import (
    binary_blocks,
    block_covariance,
    leading_direction,
    linear_weights,
    truncated_weights,
)
from theory.quadrature import EstimatedAccuracy

Point = Mapping[str, Numbers]
Relation = Literal[">=", "<=", "=", "iff", "increasing", "slope"]

# Violations below these are of no interest to anyone: the paper prints accuracies with two digits of a percent.
TOLERANCES = {
    "common": 0.005,
    "counter": 0.005,
    "error-counter": 0.005,
    "balanced": 0.005,
    "drop": 0.005,
    "reliance": 0.01,
    "operator-error": 0.01,
    "kept-axis": 0.01,
    "minimiser-rate": 0.05,
}
ACCURACIES = ("common", "counter", "error-counter")


class Axis(NamedTuple):
    """Range of one parameter. A bound may be a function of the parameters named before it.

    scale "one-minus" spaces 1 - x logarithmically (correlations near 1), "log" spaces x logarithmically.
    """

    low: float | Callable[[Point], Numbers]
    high: float | Callable[[Point], Numbers]
    scale: Literal["linear", "log", "one-minus"] = "linear"
    integer: bool = False

    def place(self, unit: Numbers, earlier: Point) -> Numbers:
        """The value at a fraction `unit` of the way from low to high; raises ValueError where low exceeds high."""
        low, high = self.bounds(earlier)
        if np.any(low > high):
            raise ValueError(f"an axis runs from {np.max(low):g} down to {np.min(high):g}; its bounds must not cross")
        if self.scale == "log":
            value = low * (high / low) ** unit
        elif self.scale == "one-minus":
            value = 1 - (1 - low) * ((1 - high) / (1 - low)) ** unit
        else:
            value = low + (high - low) * unit
        value = np.clip(value, low, high)
        return np.rint(value) if self.integer else value

    def bounds(self, earlier: Point) -> tuple[np.ndarray, np.ndarray]:
        """(low, high) given the parameters named before."""
        return tuple(np.asarray(b(earlier) if callable(b) else b, float) for b in (self.low, self.high))


class Subject(NamedTuple):
    """Who is measured: a learner, its prompt (None for supervised learners) and its embedding width."""

    learner: str
    prompt: str | None = None
    embed_dim: int | None = None


LINEAR_NAME, LINEAR_MEAN = Subject("linear", "name"), Subject("linear", "mean")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One claim. Fields that a user seldom sets have defaults; see the example in the README.

    id           unique; "family/member" lets `check family` select all members
    source       paper and number, or "soberclip T2"
    statement    one sentence in words; formula: the same in LaTeX, may be empty
    quantity     a key of TOLERANCES; "iff" compares it with `threshold`, "increasing" and "slope" follow `along`
    domain       parameter -> Axis or fixed number; names as `theory.population.binary_blocks`, plus dim and classes
    prediction   point -> number; for "iff" positive where the claim says quantity > threshold
    reference    for "operator-error": point -> the matrix (2, 2) that rho D_I' M* D_T is compared with
    n            pairs that stand for n = infinity in the exact law
    """

    id: str
    source: str
    statement: str
    quantity: str
    relation: Relation
    domain: Mapping[str, Axis | float]
    prediction: Callable[[Point], Numbers] = lambda point: 0.0
    subject: Subject = LINEAR_NAME
    against: Subject | None = None
    formula: str = ""
    along: str | None = None
    grid: tuple[float, ...] = ()
    step: float = 0.05
    threshold: float | Callable[[Point], Numbers] = 0.0
    reference: Callable[[Point], Numbers] | None = None
    tolerance: float | None = None
    error_rate: float = 0.01
    n: int = 10**10

    def __post_init__(self):
        if self.quantity not in TOLERANCES:
            raise ValueError(f"quantity = {self.quantity!r} is not one of {', '.join(TOLERANCES)}")
        if self.relation in ("increasing", "slope") and not self.along:
            raise ValueError(f"relation {self.relation!r} needs `along`, the parameter that is varied")
        if not 0 < self.error_rate < 1:
            raise ValueError(f"error_rate = {self.error_rate} lies outside (0, 1); .01 is usual")

    @property
    def tau(self) -> float:
        """Violations up to this size do not contradict."""
        return TOLERANCES[self.quantity] if self.tolerance is None else self.tolerance

    @property
    def axes(self) -> dict[str, Axis]:
        """The parameters that vary, in the order in which bounds may refer to them."""
        return {name: axis for name, axis in self.domain.items() if isinstance(axis, Axis)}

    def points(self, unit: np.ndarray) -> dict[str, np.ndarray]:
        """Map the unit cube (..., number of axes) onto the domain, fixed parameters included."""
        point: dict[str, np.ndarray] = {}
        column = iter(np.moveaxis(np.asarray(unit, float), -1, 0))
        shape = np.asarray(unit).shape[:-1]
        for name, axis in self.domain.items():
            place = axis.place(next(column), point) if isinstance(axis, Axis) else np.full(shape, float(axis))
            point[name] = place
        return point

    def contains(self, point: Point) -> bool:
        """Whether a single point lies in the domain, to rounding."""
        for name, axis in self.domain.items():
            low, high = axis.bounds(point) if isinstance(axis, Axis) else (axis, axis)
            slack = 1e-9 * max(1.0, abs(float(high)))
            if not low - slack <= point[name] <= high + slack:
                return False
        return True

    def truth(self, point: Point) -> Numbers:
        """The quantity at n = infinity from the closed forms, `against` subtracted."""
        if self.quantity == "operator-error":
            return operator_error(block_covariance(blocks_of(point)), self.reference(point))
        value = population_value(self.quantity, self.subject, point)
        return value if self.against is None else value - population_value(self.quantity, self.against, point)

    def violation(self, value: Numbers, point: Point) -> Numbers:
        """v: by how much the claim fails where the quantity is `value`; negative is slack.

        For "increasing" the value is q(x) - q(x + step), for "slope" the slope itself.
        """
        b = self.prediction(point)
        if self.relation == ">=":
            return b - value
        if self.relation == "<=":
            return value - b
        if self.relation in ("=", "slope"):
            return np.abs(value - b)
        if self.relation == "iff":
            edge = self.threshold(point) if callable(self.threshold) else self.threshold
            return np.where(np.asarray(b) > 0, edge - value, value - edge)
        return value + b

    def search_violation(self, point: Point) -> Numbers:
        """v from the closed forms: what the search maximises."""
        if self.relation == "increasing":
            later = {**point, self.along: np.asarray(point[self.along]) + self.step}
            return self.violation(self.truth(point) - self.truth(later), point)
        if self.relation == "slope":
            values = [self.truth({**point, self.along: np.full(_shape(point), x)}) for x in self.grid]
            return self.violation(log_slope(self.grid, np.stack(values, -1)), point)
        return self.violation(self.truth(point), point)

    def probit_violation(self, point: Point) -> Numbers | None:
        """The same on a scale that does not saturate, for bounds on a group accuracy; None where there is none."""
        single = self.against is None and self.quantity in ACCURACIES and self.relation in (">=", "<=")
        if not single or self.subject.learner != "linear" or int(np.max(point.get("classes", 2))) > 2:
            return None
        blocks = blocks_of(point)
        z = binary_scores(learner_direction(self.subject, blocks), blocks)
        value = {"common": z.common, "counter": z.counter, "error-counter": -z.counter}[self.quantity]
        bound = np.clip(ndtri(self.prediction(point)), -38, 38)
        return bound - value if self.relation == ">=" else value - bound


def blocks_of(point: Point) -> Blocks:
    """Blocks of a grid of points with one number of classes; dim turns sigma_xi into nu = sigma_xi^2/dim."""
    known = {name: value for name, value in point.items() if name not in ("sigma_xi", "dim", "classes", "n")}
    if "sigma_xi" in point:
        known["nu"] = np.asarray(point["sigma_xi"]) ** 2 / point["dim"]
    return binary_blocks(**known, classes=int(np.max(point.get("classes", 2))))


def population_value(quantity: str, subject: Subject, point: Point) -> Numbers:
    """A quantity of a learner trained on infinitely many pairs, at every point of a grid."""
    classes = np.asarray(point.get("classes", 2))
    if classes.ndim and len(np.unique(classes)) > 1:  # formulas hold for one K at a time
        value = np.empty(classes.shape)
        for K in np.unique(classes):
            rows = classes == K
            part = {name: np.asarray(x)[rows] if np.ndim(x) else x for name, x in point.items()}
            value[rows] = population_value(quantity, subject, part)
        return value
    blocks = blocks_of(point)
    if quantity == "minimiser-rate":
        return np.asarray(point["n"]) ** -0.5  # up to a constant: S has mean C and standard deviation O(n^-1/2)
    if quantity == "reliance":
        return reliance(learner_direction(subject, blocks))
    if quantity == "kept-axis":
        return kept_axis(leading_direction(blocks), block_covariance(blocks))
    accuracy = population_accuracy(subject, blocks)
    return group_quantity(quantity, accuracy.common, accuracy.counter)


def group_quantity(quantity: str, common: Numbers, counter: Numbers) -> Numbers:
    """One of the words of the vocabulary from the two group accuracies."""
    return {
        "common": common,
        "counter": counter,
        "error-counter": 1 - counter,
        "balanced": (common + counter) / 2,
        "drop": common - counter,
    }[quantity]


def population_accuracy(subject: Subject, blocks: Blocks) -> GroupAccuracy | EstimatedAccuracy:
    """Group accuracies of any learner at n = infinity; an estimate carries its interval.

    Learners: linear, infonce (with a prompt); logistic, least-squares, bayes (without).
    """
    if subject.learner == "infonce":
        from theory.learners.infonce import infonce_accuracy

        return infonce_accuracy(blocks, subject.prompt)
    if subject.learner == "bayes":
        from theory.learners.bayes import bayes_accuracy

        return bayes_accuracy(blocks)
    if subject.learner == "linear" and subject.embed_dim is None:
        return clip_accuracy(blocks, subject.prompt)
    if subject.learner == "logistic" and blocks.classes > 2:
        return _estimated_logistic(blocks)
    return linear_accuracy(learner_direction(subject, blocks), blocks)


def _estimated_logistic(blocks: Blocks) -> EstimatedAccuracy:
    """Softmax regression for K >= 3: each randomisation's minimiser has exact accuracies, and they scatter."""
    from theory.learners.supervised import logistic_replicates
    from theory.quadrature import estimate

    return estimate(np.stack(linear_accuracy(logistic_replicates(blocks), blocks), axis=-1))


def operator_error(matrix: np.ndarray, reference: np.ndarray) -> Numbers:
    """||matrix - reference||/||reference|| in operator norm, over any leading axes."""
    return np.linalg.norm(matrix - reference, ord=2, axis=(-2, -1)) / np.linalg.norm(reference, ord=2, axis=(-2, -1))


def kept_axis(u: np.ndarray, C: np.ndarray) -> Numbers:
    """Squared cosine of the direction u with the axis of the larger diagonal entry of C."""
    larger = np.argmax(np.diagonal(C, axis1=-2, axis2=-1), axis=-1)
    return np.take_along_axis(u**2, np.broadcast_to(larger[..., None], (*u.shape[:-1], 1)), -1)[..., 0] / (u**2).sum(-1)


def learner_direction(subject: Subject, blocks: Blocks) -> np.ndarray:
    """Weight on each block of a linear learner."""
    if subject.learner == "linear":
        if subject.embed_dim is None:
            return linear_weights(blocks, subject.prompt)
        return truncated_weights(blocks, subject.prompt, subject.embed_dim)
    from theory.learners import supervised

    directions = {
        "logistic": supervised.logistic_direction,
        "least-squares": supervised.least_squares_direction,
    }
    if subject.learner not in directions:
        raise ValueError(
            f"learner = {subject.learner!r} has no direction; linear rules: linear, {', '.join(directions)}"
        )
    return directions[subject.learner](blocks)


def log_slope(grid, values: np.ndarray) -> Numbers:
    """Least-squares slope of log |values| (..., len(grid)) on log grid."""
    x = np.log(np.asarray(grid, float))
    x = x - x.mean()
    return np.log(np.abs(values)) @ x / (x @ x)


def _shape(point: Point) -> tuple[int, ...]:
    return np.broadcast_shapes(*(np.shape(x) for x in point.values()))

"""The quantities that claims are about. Each is one object of QUANTITIES, and a new one needs no
line elsewhere.

A quantity is a function of what a learner has learned: its group accuracies, its trained rule, or
the covariance of its pairs. A closed form, a measurement and a recorded formula each give it the
same things:

    truth       from the closed forms at n = infinity
    measured    from `Draws`: trainings, or answers on drawn images
    recorded    from formulas of a world's fields (`theory.proofs`)

`claim` is a `theory.claims.claim.Claim`, which names these objects.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from scipy.special import ndtr

from simulator.accuracy import Accuracy, Numbers
from simulator.gaussian import critic as trained
from simulator.gaussian.critic import LinearCritic
from simulator.world import World
from theory.accuracy import reliance
from theory.claims.frontier import frontier
from theory.claims.words import Rules
from theory.learners.base import Learner
from theory.population import (
    block_covariance,
    latent_cross_covariance,
    leading_direction,
    pattern_correlation,
    two_block_covariance,
)


class Draws(Protocol):
    """What was drawn for one learner in one world. Each method draws again, on the same streams."""

    world: World

    def accuracies(self) -> Accuracy:
        """Group accuracies, one per training or set of images."""

    def critics(self) -> Iterator[LinearCritic]:
        """The trained rules, in blocks of trainings."""

    def covariances(self) -> Iterator[np.ndarray]:
        """The covariances of latent images and captions (R, l, l), in blocks of trainings."""


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A number of a learner in a world.

    Attributes
    ----------
    name
        The name in a claim.
    tolerance
        Violations up to this size do not matter, unless a claim says otherwise.
    support
        The smallest and the largest possible value; None if there is none.
    groups
        The groups of images over which it is a mean, by their places in GROUPS; empty if it is no
        mean over images.
    sign
        1 if it is Phi(z) of its only group's score z, -1 if it is Phi(-z), else 0.
    """

    name: str
    tolerance: float
    support: tuple[float, float] | None = None
    groups: tuple[int, ...] = ()
    sign: int = 0
    of_accuracies: ClassVar[bool] = False  # whether answers on images show it
    # whether it places a classifier on a curve of others, world by world
    placed: ClassVar[bool] = False
    family: ClassVar[bool] = False  # whether `against` makes that curve, and is not subtracted

    def __str__(self) -> str:
        return self.name

    def rules(self, claim: Any, worlds: World) -> Rules:
        """The rules that a claim about it keeps; `worlds` are some of its domain."""
        choices = ", ".join(
            name for name, other in QUANTITIES.items() if isinstance(other, OfAccuracy)
        )
        yield bool(claim.table), f"quantity {self.name!r} beside a table is not one of {choices}"

    def truth(self, claim: Any, learner: Learner, worlds: World) -> Numbers:
        """The quantity of a learner, world by world; nan where it is undefined."""
        raise NotImplementedError

    def measured(self, claim: Any, draws: Draws) -> np.ndarray:
        """The quantity of every training or set of images."""
        raise NotImplementedError

    def recorded(self, claim: Any, learner: Learner, x: Any, exact: Callable[[Any], Any]) -> Any:
        """The quantity as a formula of the fields of x; `exact` makes a number a constant. Raises
        ValueError.
        """
        raise ValueError(
            f"the quantity {self.name!r} of {x.classes} classes has no recorded formula"
        )

    def two_classes(self, worlds: World) -> tuple[bool, str]:
        """The rule of a quantity for two classes only."""
        most = np.max(worlds.classes)
        return bool(most > 2), f"quantity {self.name!r} is for 2 classes, not {most}"


@dataclass(frozen=True, kw_only=True)
class OfAccuracy(Quantity):
    """A function of the group accuracies."""

    of: Callable[[Accuracy], Numbers]
    tolerance: float = 0.005  # the papers print accuracies with two digits of a percent
    support: tuple[float, float] | None = (0.0, 1.0)
    of_accuracies = True

    def rules(self, claim, worlds):
        unseen = worlds.table is not None and not np.all(worlds.table)
        needed = (
            f"quantity {self.name!r} needs a table with an empty cell, such as 'compositional(2,"
            " 3, 1)'"
        )
        yield 2 in self.groups and not unseen, needed

    def truth(self, claim, learner, worlds):
        return self.of(learner.accuracy(worlds))

    def measured(self, claim, draws):
        return self.of(draws.accuracies())

    def recorded(self, claim, learner, x, exact):
        if x.classes != 2:
            return super().recorded(claim, learner, x, exact)
        return self.of(Accuracy(*(ndtr(exact(z)) for z in learner.deviations(x))))


@dataclass(frozen=True, kw_only=True)
class PlaceOnCurve(Quantity):
    """The place of a classifier of two classes on a curve of others, or its distance from it.

    Attributes
    ----------
    changes
        Whether it rises (1) or falls (-1) as the common and as the counter accuracy rises.
    """

    changes: tuple[int, int]
    of_accuracies = placed = True

    def at(
        self, claim: Any, worlds: World, accuracy: Accuracy
    ) -> tuple[Numbers, np.ndarray | np.bool_]:
        """(the value, whether it is defined) at these accuracies, world by world."""
        from theory.ideal_curve import equivalent  # scipy's root finder, for start-up time

        place = getattr(
            equivalent(worlds, Accuracy(*accuracy)), self.name.removeprefix("equivalent-")
        )
        return place, np.isfinite(place)

    def rules(self, claim, worlds):
        yield from super().rules(claim, worlds)
        yield self.two_classes(worlds)
        slope = f"quantity {self.name!r} can be 0, where it has no slope; use another relation"
        yield claim.relation.name == "slope", slope

    def truth(self, claim, learner, worlds):
        value, defined = self.at(claim, worlds, learner.accuracy(worlds))
        return np.where(defined, value, np.nan)

    def measured(self, claim, draws):
        accuracy = draws.accuracies()
        return np.asarray(
            self.at(claim, draws.world.ravel()[np.zeros(np.shape(accuracy.common), int)], accuracy)[
                0
            ]
        )


class Lead(PlaceOnCurve):
    """k - f(c), the lead over the frontier f of the family that `against` makes.

    Where the family does not reach the common accuracy, the value is that of the nearest one that
    it reaches.
    """

    family = True

    def at(self, claim, worlds, accuracy):
        f, reached = frontier(worlds, np.asarray(accuracy.common), claim.against)
        return accuracy.counter - f, reached

    def rules(self, claim, worlds):
        yield from super().rules(claim, worlds)
        needed = f"quantity {self.name!r} needs `against`, the learner that makes the family"
        yield claim.against is None, needed


class Reliance(Quantity):
    """The weight on the background per weight on the object."""

    def truth(self, claim, learner, worlds):
        return reliance(learner.direction(worlds))

    def measured(self, claim, draws):
        return np.concatenate([trained.reliance(critic, draws.world) for critic in draws.critics()])

    def recorded(self, claim, learner, x, exact):
        u, w = learner.weights(x)
        return w / u


class KeptAxis(Quantity):
    """The squared cosine between a tower of width 1 and the axis of the latent with the larger
    covariance.
    """

    def truth(self, claim, learner, worlds):
        return kept_axis(leading_direction(worlds), block_covariance(worlds))

    def measured(self, claim, draws):
        u = np.concatenate([critic.inside[:, 0] for critic in draws.critics()])
        return kept_axis(u, block_covariance(draws.world))


class OperatorError(Quantity):
    """The distance in operator norm from rho D_I' M* D_T to the claim's `reference`, relative to
    the reference.
    """

    def rules(self, claim, worlds):
        yield from super().rules(claim, worlds)
        yield self.two_classes(worlds)
        needed = f"quantity {self.name!r} needs `reference`, the matrix that is compared with"
        yield claim.reference is None, needed

    def truth(self, claim, learner, worlds):
        return operator_error(latent_cross_covariance(worlds), claim.value_of("reference", worlds))

    def measured(self, claim, draws):
        return operator_error(
            np.concatenate(list(draws.covariances())), claim.value_of("reference", draws.world)
        )

    def recorded(self, claim, learner, x, exact):
        if x.classes != 2:
            return super().recorded(claim, learner, x, exact)
        D = pattern_correlation(x.p_spu, 2)
        shared = (g * s**2 for g, s in ((x.detail_inv, x.sigma_inv), (x.detail_spu, x.sigma_spu)))
        A, c, B = two_block_covariance(x.mu_inv, x.mu_spu, *shared, D)
        # a bare caption tells the label alone
        share = 1 - x.bare
        bare = (x.mu_inv**2, c)
        M = [
            [x.bare * own + share * first * x.mention_inv, share * second * x.mention_spu]
            for own, first, second in zip(bare, (A, c), (c, B), strict=True)
        ]
        return operator_error(np.array(M, object), claim.reference(x))


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
    return np.take_along_axis(u**2, np.broadcast_to(larger[..., None], (*u.shape[:-1], 1)), -1)[
        ..., 0
    ] / (u**2).sum(-1)


QUANTITIES: dict[str, Quantity] = {
    quantity.name: quantity
    for quantity in (
        OfAccuracy(name="common", of=lambda a: a.common, groups=(0,), sign=1),
        OfAccuracy(name="counter", of=lambda a: a.counter, groups=(1,), sign=1),
        OfAccuracy(name="error-counter", of=lambda a: a.error_counter, groups=(1,), sign=-1),
        OfAccuracy(name="balanced", of=lambda a: a.balanced, groups=(0, 1)),
        OfAccuracy(name="drop", of=lambda a: a.drop, groups=(0, 1), support=(-1.0, 1.0)),
        OfAccuracy(name="worst", of=lambda a: a.worst),
        OfAccuracy(name="unseen", of=lambda a: a.unseen, groups=(2,)),
        Reliance(name="reliance", tolerance=0.01),
        OperatorError(name="operator-error", tolerance=0.01),
        KeptAxis(name="kept-axis", tolerance=0.01, support=(0.0, 1.0)),
        PlaceOnCurve(
            name="equivalent-correlation", tolerance=0.01, support=(0.0, 1.0), changes=(1, -1)
        ),
        PlaceOnCurve(name="shortfall", tolerance=0.005, support=(0.0, 1.0), changes=(-1, -1)),
        Lead(name="effective-robustness", tolerance=0.005, support=(-1.0, 1.0), changes=(1, 1)),
    )
}

"""What can be measured of each learner at finitely many pairs: one table with one row per class of learners.

A row says how to sample the learner's exact law given n pairs, which estimator fits it to drawn pairs, and whether its
population rule is applied to drawn images instead. `register_estimator` adds a row for a learner of your own.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from simulator.gaussian.critic import LinearCritic
from simulator.gaussian.statistics import (
    first_coordinates,
    full_critics,
    labelled_moments,
    projected_critics,
)
from simulator.world import Attribute, World
from theory.learners import Bayes, InfoNCE, LeastSquares, LinearCLIP, Logistic, MaxMargin, Printed
from theory.learners.base import Learner

# (world, learner, n, replicates, seed, stream) -> critics in blocks of replicates
ExactLaw = Callable[[World, Learner, int, int, int, str], Iterator[LinearCritic]]


class Estimator(NamedTuple):
    """What can be measured of a learner at finitely many pairs.

    Attributes
    ----------
    exact
        Samples the exact law of the trained rule.
    fit
        Name for `simulator.fit`.
    captions
        Whether the estimator reads captions, rather than labels.
    images
        Whether the population rule is measured on drawn images.
    """

    exact: ExactLaw | None = None
    fit: str | None = None
    captions: bool = False
    images: bool = False


def _linear_law(world, learner: LinearCLIP, n, replicates, seed, stream):
    how = world, learner.prompt, n, replicates, seed, stream
    if learner.projected or learner.modal:
        return full_critics(*how, strength=learner.strength if learner.modal else None, projected=learner.projected)
    return projected_critics(*how)


def _least_squares_law(world, learner: LeastSquares, n, replicates, seed, stream):
    for second, label in labelled_moments(world, n, replicates, seed, stream):
        w = np.linalg.solve(second, label[..., None])[..., 0][:, None]
        yield LinearCritic.of_vectors(w, first_coordinates(world)[0])


_TABLE: dict[type[Learner], Estimator] = {
    LinearCLIP: Estimator(exact=_linear_law, fit="linear", captions=True),
    LeastSquares: Estimator(exact=_least_squares_law, fit="least-squares"),
    Logistic: Estimator(fit="logistic"),
    MaxMargin: Estimator(fit="max-margin", images=True),  # few pairs in few dimensions can be separated
    InfoNCE: Estimator(images=True),
    Bayes: Estimator(images=True),
    Printed: Estimator(),  # a formula that is not trained
}


def register_estimator(learner: type[Learner], estimator: Estimator) -> None:
    """Add the row of a class of learners, or replace it.

    Parameters
    ----------
    learner : the class
    estimator : its row
    """
    _TABLE[learner] = estimator


def estimator_of(learner: Learner) -> Estimator:
    """The row of the learner's class, or of its nearest base that has one.

    Without a row, the population rule is measured on drawn images.
    """
    return next((_TABLE[kind] for kind in type(learner).__mro__ if kind in _TABLE), Estimator(images=True))


def has_exact_law(learner: Learner, world: World) -> bool:
    """Whether the exact law of the learner given n pairs is known in worlds of this shape."""
    if estimator_of(learner).exact is None:
        return False
    shape = (world.classes, world.dim_image, world.dim_text, len(world.attribute), world.mismatch > 0, world.bare > 0)
    return _exact_law_applies(learner, *shape, world.table)


@lru_cache(maxsize=256)
def _exact_law_applies(
    learner: Learner, classes, dim_image, dim_text, attributes: int, mismatch: bool, bare: bool, table
) -> bool:
    further = tuple(Attribute() for _ in range(attributes))
    sizes = {"classes": classes, "dim_image": dim_image, "dim_text": dim_text}
    world = World(**sizes, attribute=further, mismatch=0.5 * mismatch, bare=0.5 * bare, table=table)
    try:
        next(estimator_of(learner).exact(world, learner, 1000, 1, 0, "probe"))
    except ValueError:
        return False
    return True


def trainable() -> tuple[str, ...]:
    """Names of the learners that can be fitted to n drawn pairs."""
    return tuple(kind.name for kind, estimator in _TABLE.items() if estimator.fit)

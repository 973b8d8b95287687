"""What can be done with each learner at finite n: the one table. A learner without a row is known by its closed form.

A row says how its law given n pairs is drawn, which estimator fits it to drawn pairs, and whether its population rule
is put to drawn images instead. A learner of one's own gets a row by `measured`.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from simulator.gaussian.critic import LinearCritic
from simulator.gaussian.statistics import labelled_moments, projected_critics, truncated_critics
from simulator.world import Attribute, World
from theory.learners import Bayes, InfoNCE, LeastSquares, LinearCLIP, Logistic, MaxMargin, Printed
from theory.learners.base import Learner

# (world, learner, n, replicates, seed, stream) -> critics in blocks of replicates
ExactLaw = Callable[[World, Learner, int, int, int, str], Iterator[LinearCritic]]


class Ability(NamedTuple):
    """What can be done with a learner at finite n.

    Attributes
    ----------
    exact
        Draws the law of the trained rule.
    estimator
        Name for `simulator.fit`.
    captions
        Whether the estimator reads images with their captions, rather than with their labels.
    images
        Whether the population's rule is measured on drawn images.
    """

    exact: ExactLaw | None = None
    estimator: str | None = None
    captions: bool = False
    images: bool = False


def _linear_law(world, learner: LinearCLIP, n, replicates, seed, stream):
    if learner.embed_dim is None:
        return projected_critics(world, learner.prompt, n, replicates, seed, stream)
    return truncated_critics(world, learner.prompt, n, replicates, seed, learner.embed_dim, stream)


def _least_squares_law(world, learner: LeastSquares, n, replicates, seed, stream):
    for second, label in labelled_moments(world, n, replicates, seed, stream):
        inside = np.linalg.solve(second, label[..., None])[..., 0][:, None]
        yield LinearCritic(inside, np.zeros((len(inside), 1, 1)))


_TABLE: dict[type[Learner], Ability] = {
    LinearCLIP: Ability(exact=_linear_law, estimator="linear", captions=True),
    LeastSquares: Ability(exact=_least_squares_law, estimator="least-squares"),
    Logistic: Ability(estimator="logistic"),
    MaxMargin: Ability(estimator="max-margin"),
    InfoNCE: Ability(images=True),
    Bayes: Ability(images=True),
    Printed: Ability(),  # a formula on paper
}


def measured(learner: type[Learner], ability: Ability) -> None:
    """Give a learner of one's own its row.

    Parameters
    ----------
    learner : its class
    ability : Ability
    """
    _TABLE[learner] = ability


def ability_of(learner: Learner) -> Ability:
    """The learner's row, by its class or the nearest base that has one.

    A learner without a row is measured as a rule on drawn images.
    """
    return next((_TABLE[kind] for kind in type(learner).__mro__ if kind in _TABLE), Ability(images=True))


def has_law(learner: Learner, world: World) -> bool:
    """Whether the exact law of the learner given n pairs is known in worlds of this shape; some only in some."""
    return ability_of(learner).exact is not None and _law_takes(
        learner, world.classes, world.dim_image, world.dim_text, len(world.attribute)
    )


@lru_cache(maxsize=256)
def _law_takes(learner: Learner, classes: int, dim_image: int, dim_text: int, attributes: int) -> bool:
    further = tuple(Attribute() for _ in range(attributes))
    world = World(classes=classes, dim_image=dim_image, dim_text=dim_text, attribute=further)
    try:
        next(ability_of(learner).exact(world, learner, 1000, 1, 0, "probe"))
    except ValueError:
        return False
    return True


def trainable() -> tuple[str, ...]:
    """Names of the learners that can be fitted to n drawn pairs."""
    return tuple(kind.name for kind, ability in _TABLE.items() if ability.estimator)

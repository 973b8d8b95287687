"""Least squares on labels."""

from dataclasses import dataclass
from typing import ClassVar

from simulator.world import World, Worlds
from theory.learners.base import Learner, each_class_count
from theory.learners.supervised import least_squares_direction


@dataclass(frozen=True)
class LeastSquares(Learner):
    """Least squares of the labels on images, at n = infinity; the direction of LDA at p_spu = 1."""

    name: ClassVar[str] = "least-squares"
    words: ClassVar[str] = "least squares"

    @each_class_count
    def direction(self, worlds: World | Worlds):
        """Weight on each block, exact to rounding."""
        return least_squares_direction(worlds)

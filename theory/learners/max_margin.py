"""The maximum margin: what logistic regression tends to on separable samples (Soudry et al. 2018)."""

from dataclasses import dataclass
from typing import ClassVar

from theory.learners.base import Learner


@dataclass(frozen=True)
class MaxMargin(Learner):
    """Maximum-margin classifier of labelled images. It needs separable samples, so it has no population optimum."""

    name: ClassVar[str] = "max-margin"
    words: ClassVar[str] = "the maximum margin"

    def direction(self, worlds):
        """No direction: always refused."""
        raise ValueError(
            "the classes overlap, so infinitely many images have no maximum margin; simulate it on n images"
        )

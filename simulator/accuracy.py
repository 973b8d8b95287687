"""Accuracy on the two groups: one type from closed form to trained tower to photos."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Numbers = np.ndarray | float


@dataclass(frozen=True)
class Accuracy:
    """Fractions of the common and the counter group that are classified rightly, of any shape.

    interval: None, or [[low, high] of common, of counter] on two further axes; its maker says of what, at what level.

    >>> Accuracy(common=0.75, counter=0.25).drop
    0.5
    """

    common: Numbers
    counter: Numbers
    interval: Float[np.ndarray, "*w 2 2"] | None = None

    @property
    def balanced(self) -> Numbers:
        """Mean of the two groups."""
        return (self.common + self.counter) / 2

    @property
    def drop(self) -> Numbers:
        """Common minus counter."""
        return self.common - self.counter

    @property
    def error_counter(self) -> Numbers:
        """Error on the counter group."""
        return 1 - self.counter

    @property
    def worst(self) -> Numbers:
        """The smaller of the two."""
        return np.minimum(self.common, self.counter)

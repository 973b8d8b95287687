"""What a trial may cost: every constant of memory and of effort; the route of an arm sets the price
of a value.
"""

from typing import NamedTuple

from experiments.finite_samples import EVEN, IMAGES, Route


class Effort(NamedTuple):
    """The fewest and the most values of a measurement, and the factor from one look to the next."""

    fewest: int
    most: float
    factor: int = 4

    @property
    def looks(self) -> list[int]:
        """Numbers of values at which the bounds are looked at, from the fewest to the most."""
        grown = (self.fewest * self.factor**k for k in range(LOOKS - 1))
        return [*(size for size in grown if 2 * size < self.most), int(self.most)]


LOOKS = 8  # at the values of a measurement, at most
# share of the tail for every look but the last (Haybittle and Peto); true claims rarely pass it
STRICT = 1e-3
FINAL = 1 - (LOOKS - 1) * STRICT  # share of the tail for the last look

# a value is one test image; skewness does not matter to its bounds
BY_IMAGE = Effort(20_000, 4_000_000, 2)
LAWS = Effort(32, 200_000)  # an exact law takes a thousandth of a fit's time
SLOW_LAWS = Effort(8, 4000)  # of more than two classes or of whole covariances
EVEN_SETS = Effort(32, float("inf"))  # with fewer, t bounds depend on the skewness
FITS = Effort(8, float("inf"))  # with fewer, t bounds are much wider than normal ones

DRAWN = 50_000  # drawn pairs that represent n = infinity; the bias of an accuracy is about 1/n
MOST_DRAWN = 2_000_000
RARE = 500  # with so many pairs of the rarest kind, a mean over the sample is nearly normal
NUMBERS = 4e7  # drawn pairs and images at one point, over all values
PRODUCTS = 2e10  # multiply-adds per side cubed, over all matrices drawn at one point: half a minute
MEMORY = 2**30  # bytes of one training
COPIES = 4  # of drawn views: in blocks of a stream, joined, and in an estimator
PER_CLASS = 6  # numbers per pair and class in softmax regression
PER_MATRIX = 8  # matrices of views in memory at once, per drawn covariance
FIRST_MATRICES = 4  # that are drawn at once
# even images of up to 8 groups take about the time of so many drawn pairs
LARGEST_EVEN = 8 * EVEN**2


def price(route: Route, n: int) -> int:
    """Pairs or images that are drawn for one value of one learner in one world."""
    return {"exact law": 0, "drawn pairs": n, "drawn images": IMAGES, "even images": LARGEST_EVEN}[
        route
    ]

"""What a trial may cost: every constant of memory and of effort.

An arm (`experiments.court.arms`) is one learner in one world. Its route sets the price of a value.
"""

from typing import NamedTuple

from experiments.finite_samples import EVEN, IMAGES, Route


class Effort(NamedTuple):
    """Numbers of values: of a pilot, and the fewest and the most of a measurement."""

    pilot: int
    fewest: int
    most: float


FEWEST = 8  # with fewer values, t bounds are much wider than normal ones
BY_IMAGE = Effort(20_000, 20_000, 4_000_000)  # a value is one test image
LAWS = Effort(64, FEWEST, 200_000)  # an exact law takes a thousandth of a fit's time
SLOW_LAWS = Effort(16, FEWEST, 4000)  # of more than two classes or of whole covariances
EVEN_SETS = Effort(32, 32, float("inf"))  # with fewer, t bounds depend on the skewness
FITS = Effort(8, FEWEST, float("inf"))
ATOMS = 512  # values of a pilot that may have atoms, which many values exclude
PILOT_SHARE = 10  # pairs of a fit that represents n = infinity, per pair of its first pilot

DRAWN = 50_000  # drawn pairs that represent n = infinity; the bias of an accuracy is about 1/n
MOST_DRAWN = 2_000_000
RARE = 500  # with so many pairs of the rarest kind, a mean over the sample is nearly normal
NUMBERS = 4e7  # drawn pairs and images at one point, over all values
PRODUCTS = 2e10  # multiply-adds per side cubed, over all matrices drawn at one point: half a minute
MEMORY = 2**30  # bytes of one training
COPIES = 4  # of drawn views: in blocks of a stream, joined, and in an estimator
PER_CLASS = 6  # numbers per pair and class in softmax regression
PER_MATRIX = 8  # matrices of views in memory at once, per drawn covariance
FIRST_MATRICES = 4  # that are drawn at once, as few as in a pilot
LARGEST_EVEN = 8 * EVEN**2  # even images of up to 8 groups take about the time of so many drawn pairs


def price(route: Route, n: int) -> int:
    """Pairs or images that are drawn for one value of one learner in one world."""
    return {"exact law": 0, "drawn pairs": n, "drawn images": IMAGES, "even images": LARGEST_EVEN}[route]

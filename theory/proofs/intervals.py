"""Interval arithmetic on float64 arrays, rounded outwards: the prover's numbers.

IEEE addition, multiplication, division and square root are correctly rounded, so one step outwards
encloses the true result. exp, log, Phi and its density have no such guarantee: their ends come from
Arb balls (python-flint), one number at a time, a thousand times slower.

An operation that is undefined somewhere in an interval (a divisor that contains 0, a root of
negative numbers) returns nan, and so does every operation on nan: nothing is known there, no
comparison holds, and the box is halved. So does an end beyond float64.
"""

from collections.abc import Callable
from fractions import Fraction
from functools import reduce
from typing import NamedTuple

import numpy as np
from flint import arb, ctx

from simulator.accuracy import Numbers

# bits of the balls behind exp, log and Phi; their ends are then rounded outwards to 53
PRECISION = 80
# Rump, Zimmermann, Boldo, Melquiond (BIT 49, 2009), algorithm 1: x -+ fl(HALF_STEP |x| + TINIEST)
# lies at or beyond the neighbour of any finite x, denormal or not, in three passes where nextafter
# takes the time of eight.
HALF_STEP = 2.0**-53 * (1 + 2.0**-52)
TINIEST = 5e-324


class Enclosure(NamedTuple):
    """Arrays of lower and upper ends, low <= high."""

    low: Numbers
    high: Numbers


def down(x: Numbers) -> Numbers:
    """At or below the float64 before x: any number that rounds to x lies above it. nan for inf."""
    return x - (np.abs(x) * HALF_STEP + TINIEST)


def up(x: Numbers) -> Numbers:
    """At or above the float64 after x. nan for -inf."""
    return x + (np.abs(x) * HALF_STEP + TINIEST)


def constant(value: Fraction) -> Enclosure:
    """The narrowest interval around a rational: a point if it is a float64."""
    near = np.float64(float(value))
    exact = Fraction(float(near))
    return Enclosure(
        near if exact <= value else np.nextafter(near, -np.inf),
        near if exact >= value else np.nextafter(near, np.inf),
    )


def multiply(a: Enclosure, b: Enclosure) -> Enclosure:
    """a b."""
    ends = a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high
    low, high = down(reduce(np.minimum, ends)), up(reduce(np.maximum, ends))
    # A product of nonnegative numbers stays nonnegative, also where it underflows.
    return Enclosure(np.where((a.low >= 0) & (b.low >= 0), np.maximum(low, 0.0), low), high)


def divide(a: Enclosure, b: Enclosure) -> Enclosure:
    """a/b; nothing is known where b holds 0."""
    unknown = (b.low <= 0) & (b.high >= 0)
    low, high = (1 / np.where(unknown, np.nan, end) for end in (b.high, b.low))
    return multiply(
        a, Enclosure(np.where(b.low > 0, np.maximum(down(low), 0.0), down(low)), up(high))
    )


def power(a: Enclosure, n: int) -> Enclosure:
    """a^n, n >= 2: even powers fall below 0 and rise above it, odd ones rise."""
    least = np.maximum(np.maximum(a.low, -a.high), 0.0)  # of |a|
    most = np.maximum(-a.low, a.high)
    if n % 2 == 0:
        return Enclosure(_raised(least, n, down), _raised(most, n, up))
    low = np.where(a.low >= 0, _raised(least, n, down), -_raised(np.maximum(-a.low, 0.0), n, up))
    high = np.where(a.high >= 0, _raised(np.maximum(a.high, 0.0), n, up), -_raised(least, n, down))
    return Enclosure(low, high)


def _raised(x: Numbers, n: int, rounded: Callable) -> Numbers:
    """x^n of x >= 0, every product rounded one way."""
    return reduce(lambda result, _: np.maximum(rounded(result * x), 0.0), range(n - 1), x)


def sqrt(a: Enclosure) -> Enclosure:
    """The root; nothing is known where a holds negative numbers."""
    low, high = (np.sqrt(np.where(a.low >= 0, end, np.nan)) for end in a)
    return Enclosure(np.maximum(down(low), 0.0), up(high))


def ndtr(a: Enclosure) -> Enclosure:
    """Phi, the normal distribution function."""
    low, high = _rising("ndtr", *a)
    return Enclosure(low, np.minimum(high, 1.0))


def density(a: Enclosure) -> Enclosure:
    """Phi': it falls in |a|."""
    least, most = np.maximum(np.maximum(a.low, -a.high), 0.0), np.maximum(-a.low, a.high)
    return _rising("density", most, least)


FUNCTIONS = {
    "exp": arb.exp,
    "log": arb.log,
    "ndtr": lambda v: (-v / arb(2).sqrt()).erfc() / 2,
    "density": lambda v: (-v * v / 2).exp() / (2 * arb.pi()).sqrt(),
}


def _rising(name: str, low: Numbers, high: Numbers) -> Enclosure:
    """From the lower bound of a function at `low` to the upper bound at `high`, by Arb."""
    with ctx.workprec(PRECISION):
        bounds = [
            [
                float(end(FUNCTIONS[name](arb(v)) if np.isfinite(v) else arb("nan")))
                for v in np.ravel(x).tolist()
            ]
            for x, end in ((low, arb.lower), (high, arb.upper))
        ]
    low, high = (np.reshape(ends, np.shape(x)) for ends, x in zip(bounds, (low, high), strict=True))
    # Only the logarithm is negative.
    return Enclosure(down(low) if name == "log" else np.maximum(down(low), 0.0), up(high))


RULES = {
    "constant": constant,
    "add": lambda a, b: Enclosure(down(a.low + b.low), up(a.high + b.high)),
    "subtract": lambda a, b: Enclosure(down(a.low - b.high), up(a.high - b.low)),
    "multiply": multiply,
    "divide": divide,
    "power": power,
    "sqrt": sqrt,
    "exp": lambda a: _rising("exp", *a),
    "log": lambda a: _rising("log", *(np.where(a.low > 0, end, np.nan) for end in a)),
    "ndtr": ndtr,
    "density": density,
}

"""Interval arithmetic on float64 arrays, rounded outwards: the prover's numbers.

IEEE addition, multiplication, division and square root are correctly rounded, so one step outwards encloses the true
result. exp, log, tanh, Phi and its density have no such guarantee: their ends come from Arb balls (python-flint), one
number at a time, a thousand times slower.

An operation that is undefined somewhere in an interval (a divisor that contains 0, a root of negative numbers) returns
[-inf, inf]: nothing is known there, and the box is halved. So does inf - inf.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from simulator.accuracy import Numbers

PRECISION = 80  # bits of the balls behind exp, log, tanh and Phi; their ends are then rounded outwards to 53
# Rump, Zimmermann, Boldo, Melquiond (BIT 49, 2009), algorithm 1: x -+ fl(HALF_STEP |x| + TINIEST) lies at or beyond
# the neighbour of any finite x, denormal or not, in three passes where nextafter takes the time of eight.
HALF_STEP = 2.0**-53 * (1 + 2.0**-52)
TINIEST = 5e-324


class Interval(NamedTuple):
    """Arrays of lower and upper ends, low <= high."""

    low: Numbers
    high: Numbers


def down(x: Numbers) -> Numbers:
    """At or below the float64 before x: what was rounded to x lies above it. -inf for nan."""
    return np.fmax(x - (np.abs(x) * HALF_STEP + TINIEST), -np.inf)


def up(x: Numbers) -> Numbers:
    """At or above the float64 after x. inf for nan."""
    return np.fmin(x + (np.abs(x) * HALF_STEP + TINIEST), np.inf)


def constant(value: Fraction) -> Interval:
    """The narrowest interval around a rational: a point if it is a float64."""
    near = np.float64(float(value))
    exact = Fraction(float(near))
    return Interval(
        near if exact <= value else np.nextafter(near, -np.inf), near if exact >= value else np.nextafter(near, np.inf)
    )


def add(a: Interval, b: Interval) -> Interval:
    """a + b."""
    return Interval(down(a.low + b.low), up(a.high + b.high))


def subtract(a: Interval, b: Interval) -> Interval:
    """a - b."""
    return Interval(down(a.low - b.high), up(a.high - b.low))


def multiply(a: Interval, b: Interval) -> Interval:
    """a b. Where all of a factor is positive, as most are, two products do."""
    if np.all(b.low >= 0):
        a, b = b, a
    if not np.all(a.low >= 0):
        ends = a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high
        low, high = np.minimum(ends[0], ends[1]), np.maximum(ends[0], ends[1])
        for end in ends[2:]:
            low, high = np.minimum(low, end), np.maximum(high, end)
        return Interval(down(low), up(high))
    if np.all(b.low >= 0):  # what is not negative stays so, also where it underflows
        return Interval(np.maximum(down(a.low * b.low), 0.0), up(a.high * b.high))
    low = np.where(b.low < 0, a.high, a.low) * b.low
    return Interval(down(low), up(np.where(b.high < 0, a.low, a.high) * b.high))


def divide(a: Interval, b: Interval) -> Interval:
    """a/b; nothing is known where b holds 0."""
    if np.all(b.low > 0):
        inverse = Interval(np.maximum(down(1 / b.high), 0.0), up(1 / b.low))
    else:
        unknown = (b.low <= 0) & (b.high >= 0)
        ends = (np.where(unknown, 1.0, end) for end in b)
        low, high = (1 / end for end in ends)
        inverse = Interval(np.where(unknown, -np.inf, down(high)), np.where(unknown, np.inf, up(low)))
    return multiply(a, inverse)


def power(a: Interval, n: int) -> Interval:
    """a^n, n >= 2: even powers fall below 0 and rise above it, odd ones rise."""
    if n % 2 == 0:
        least = np.maximum(np.maximum(a.low, -a.high), 0.0)  # of |a|
        most = np.maximum(-a.low, a.high)
        return Interval(_raised(least, n, down), _raised(most, n, up))
    if np.all(a.low >= 0):
        return Interval(_raised(a.low, n, down), _raised(a.high, n, up))
    ends = []
    for x, outwards, inwards in ((a.low, down, up), (a.high, up, down)):
        ends.append(np.where(x >= 0, _raised(np.maximum(x, 0), n, outwards), -_raised(np.maximum(-x, 0), n, inwards)))
    return Interval(*ends)


def _raised(x: Numbers, n: int, rounded: Callable) -> Numbers:
    """x^n of x >= 0, every product rounded one way."""
    result = x
    for _ in range(n - 1):
        result = np.maximum(rounded(result * x), 0.0)
    return result


def sqrt(a: Interval) -> Interval:
    """The root; nothing is known where a holds negative numbers."""
    known = a.low >= 0
    if np.all(known):
        return Interval(np.maximum(down(np.sqrt(a.low)), 0.0), up(np.sqrt(a.high)))
    low, high = sqrt(Interval(np.where(known, a.low, 0.0), np.where(known, a.high, 0.0)))
    return Interval(np.where(known, low, -np.inf), np.where(known, high, np.inf))


def log(a: Interval) -> Interval:
    """The natural logarithm; nothing is known where a holds numbers that are not positive."""
    known = a.low > 0
    low, high = _rising("log", Interval(np.where(known, a.low, 1.0), np.where(known, a.high, 1.0)))
    return Interval(np.where(known, low, -np.inf), np.where(known, high, np.inf))


def exp(a: Interval) -> Interval:
    """e^a."""
    low, high = _rising("exp", a)
    return Interval(np.maximum(low, 0.0), high)


def tanh(a: Interval) -> Interval:
    """The hyperbolic tangent."""
    low, high = _rising("tanh", a)
    return Interval(np.maximum(low, -1.0), np.minimum(high, 1.0))


def ndtr(a: Interval) -> Interval:
    """Phi, the normal distribution function."""
    low, high = _rising("ndtr", a)
    return Interval(np.maximum(low, 0.0), np.minimum(high, 1.0))


def density(a: Interval) -> Interval:
    """Phi': it falls in |a|."""
    least, most = np.maximum(np.maximum(a.low, -a.high), 0.0), np.maximum(-a.low, a.high)
    return Interval(np.maximum(_ends("density", most)[0], 0.0), _ends("density", least)[1])


def _rising(name: str, a: Interval) -> Interval:
    return Interval(_ends(name, a.low)[0], _ends(name, a.high)[1])


def _ends(name: str, x: Numbers) -> Interval:
    """Enclosures of a function at points, by Arb."""
    import flint  # start-up time

    functions = {
        "exp": lambda v: v.exp(),
        "log": lambda v: v.log(),
        "tanh": lambda v: v.tanh(),
        "ndtr": lambda v: (-v / flint.arb(2).sqrt()).erfc() / 2,
        "density": lambda v: (-v * v / 2).exp() / (2 * flint.arb.pi()).sqrt(),
    }
    function, kept = functions[name], flint.ctx.prec
    flint.ctx.prec = PRECISION
    try:
        balls = [function(flint.arb(v)) if np.isfinite(v) else flint.arb("nan") for v in np.ravel(x).tolist()]
        ends = [(float(ball.lower()), float(ball.upper())) for ball in balls]
    finally:
        flint.ctx.prec = kept
    low, high = np.array(ends, float).reshape(-1, 2).T
    return Interval(down(low).reshape(np.shape(x)), up(high).reshape(np.shape(x)))


RULES = {f.__name__: f for f in (constant, add, subtract, multiply, divide, power, sqrt, exp, log, tanh, ndtr, density)}

"""What a rigorous quadrature costs: infonce-interpolates/much-noise over a small box of worlds, as an attempt.

For two classes, the name prompt and full mention, with mu_inv = 1, nu = nu_I = nu_T, s = 1/n and n = nu (1 + h), the
PMI prefers the right caption where (h, n of the object; h_s, n_s of the background; `theory.learners.pmi`)
    tanh(mu_spu (1 - h_s) y/n_s) > -T(x)/(2p - 1),   E = exp(2/(sigma_inv^2 + nu) - 2 h (1 - h)/n) - 1 > 0,
    T = [E sinh(s x) + 2 sinh(h s x) cosh((1 - h) s x)]/[E cosh(s x) + 2 sinh(h s x) sinh((1 - h) s x)],
whose denominator is positive. So the threshold in y is explicit, and the counter accuracy is one integral over x.
`acb.integral` got nowhere (72 s and no digit at a single world: the threshold as an implicit root, found by Newton in
complex balls, does not survive the cancellation of terms of size 1/nu). A sum over pieces in outward-rounded intervals,
by the mean-value form in the world's fields, does. Around p = .9, mu_spu = 2, sigma = (1, .5), nu = 1000, 4000 pieces:
    half width of the box in all four fields      0        .001     .01      .03
    gap to linear CLIP at most                    .0005    .0005    .0013    .0077
    seconds                                       .5       1.0      .9       .9
Half widths (.01, .04, .02, .3) in (p, mu_spu, sigma_inv, sigma_spu) come out at .0017 to .0031 in 1.3 s for p from .75
to .94: that part of the claim's domain would be some 19,000 boxes, seven hours on one core, nearly all of it spent on
Phi by Arb, one number at a time. At p = .6 and below no bound comes out, since the slope is unbounded where |T| reaches
2p - 1. So the claim stays "not provable here".
"""

import numpy as np
import pytest
from reference import worlds_with

from theory import Phi, exp, sqrt
from theory.learners import InfoNCE, LinearCLIP
from theory.proofs.expression import constant, evaluate, gradient, variable
from theory.proofs.intervals import RULES, Interval, add, multiply, ndtr, subtract
from theory.proofs.statements import quantity, symbols

FIELDS = {"p_spu": 0.9, "mu_spu": 2.0, "sigma_inv": 1.0, "sigma_spu": 0.5}
NOISE = 1000.0
REACH = 6.0  # standard deviations of x; beyond lie 2e-9 of it


def sinh(x):
    return (exp(x) - exp(-x)) / 2


def cosh(x):
    return (exp(x) + exp(-x)) / 2


def threshold(u, sigma_inv, nu):
    """T at u standard deviations from the object's mean."""
    h = sigma_inv**2 / (sigma_inv**2 + nu)
    n = nu * (1 + h)
    x = 1 + sqrt(sigma_inv**2 + nu) * u
    E = exp(2 / (sigma_inv**2 + nu) - 2 * h * (1 - h) / n) - 1
    a, b = sinh(h * x / n), (1 - h) * x / n
    top, bottom = 2 * a * cosh(b) / cosh(x / n), 2 * a * sinh(b) / cosh(x / n)
    return (E * np.tanh(x / n) + top) / (E + bottom)


def accuracy_at(u, p_spu, mu_spu, sigma_inv, sigma_spu, nu):
    """Counter accuracy given the object's coordinate."""
    h = sigma_spu**2 / (sigma_spu**2 + nu)
    share = threshold(u, sigma_inv, nu) / (2 * p_spu - 1)
    reach = np.log((1 + share) / (1 - share)) / 2 * nu * (1 + h) / (mu_spu * (1 - h))
    return Phi((reach - mu_spu) / sqrt(sigma_spu**2 + nu))


@pytest.mark.parametrize("nu", [0.3, 1.0, 10.0, NOISE])
@pytest.mark.parametrize("world", [FIELDS, {"p_spu": 0.7, "mu_spu": 0.8, "sigma_inv": 1.7, "sigma_spu": 1.2}])
def test_the_threshold_is_that_of_the_pmi(nu, world):
    """A trapezoidal rule in floats, where |T| >= 2p - 1 decides alone, against the learner's own quadrature."""
    u = np.linspace(-8, 8, 200_001)
    with np.errstate(invalid="ignore", divide="ignore"):
        given = accuracy_at(u, **world, nu=nu)
    given = np.where(np.isnan(given), threshold(u, world["sigma_inv"], nu) > 0, given)
    total = np.trapezoid(given * np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi), u)
    assert total == pytest.approx(float(InfoNCE("name").accuracy(worlds_with(nu=nu, **world)).counter), abs=2e-6)


def gap(half: float, pieces: int) -> Interval:
    """InfoNCE's counter accuracy minus linear CLIP's over the box of worlds around FIELDS, enclosed."""
    edges = np.linspace(-REACH, REACH, pieces + 1)
    below = ndtr(Interval(edges, edges))
    mass = subtract(Interval(below.low[1:], below.high[1:]), Interval(below.low[:-1], below.high[:-1]))
    u = Interval(edges[:-1], edges[1:])
    moving = {name: variable(name) for name in FIELDS}
    f = constant(accuracy_at(variable("u"), **moving, nu=NOISE))
    linear = quantity("counter", LinearCLIP("name"), symbols({**moving, "sigma_xi": 1.0, "dim_image": 1 / NOISE}))
    middle = {name: Interval(np.float64(x), np.float64(x)) for name, x in FIELDS.items()}
    box = {name: Interval(np.float64(x - half), np.float64(x + half)) for name, x in FIELDS.items()}

    def average(outputs, fields):
        with np.errstate(all="ignore"):
            found = evaluate(outputs, RULES, {**fields, "u": u})
        terms = [multiply(mass, Interval(*(np.broadcast_to(end, pieces) for end in x))) for x in found]
        return [Interval(*(end.sum() for end in t)) for t in terms]  # rounding of the sums is made up for below

    (value,), slopes = average([f], middle), average(gradient(f, FIELDS), box)
    least, *falls = evaluate([linear], RULES, middle) + evaluate(gradient(linear, FIELDS), RULES, box)
    total = add(subtract(value, least), Interval(np.float64(-1e-10), np.float64(1e-10 + 2e-9)))
    width = Interval(np.float64(-half), np.float64(half))
    for slope, fall in zip(slopes, falls, strict=True):
        total = add(total, multiply(subtract(slope, fall), width))
    return total


def test_infonce_is_linear_clip_over_a_small_box_of_worlds():
    """To within the claim's .005, at every world of the box; 1500 pieces take .3 s."""
    found = gap(0.01, 1500)
    assert -0.005 < found.low < found.high < 0.005
    exact = [learner.accuracy(worlds_with(nu=NOISE, **FIELDS)).counter for learner in (InfoNCE("name"), LinearCLIP())]
    assert found.low < exact[0] - exact[1] < found.high

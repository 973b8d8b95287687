"""The Bayes rule of the training law on images: the optimum of supervised learning with
unrestricted towers.

Letters, per block b: mu_b mean, S_b variance of an image coordinate, p_b probability that the block
agrees with the label (p_inv for the object, 1 in the papers), a_b = |mu_b|/sqrt S_b signal in
standard deviations.

Two classes. A coordinate x_b gives log odds h_b = 2 mu_b x_b/S_b of the class that its block shows.
With q = 1 - p, it gives the label log odds G(h_b; p_b) = log (p e^h + q)/(q e^h + p), whose size is
at most log(p/q). The rule decides y = +1 where the sum of G over the blocks is positive. With D =
2p - 1,
    tanh(G(h; p)/2) = D tanh(h/2),
so that two blocks decide by the sign of D_inv tanh(h_inv/2) + D_spu tanh(h_spu/2). Only the ratio
of the two correlations matters. The rule is therefore that of a world in which the more reliable
block never disagrees.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int
from scipy.special import logit, ndtr

from simulator.accuracy import Accuracy, Numbers, rounded, won
from simulator.gaussian.critic import gaussian_points, standardise
from simulator.mixture import COMMON, COUNTER, cell_groups, cell_shares, class_means
from simulator.world import World
from theory.density import block_law, class_log_density, given_label, image_patterns
from theory.learners.base import Learner, check_classes, world_by_world
from theory.quadrature import RANGE, REPLICATES, estimate

# of a trapezoid rule for N(0, 1): errors below 1e-6 for ten classes, 2e-5 for fifty
NODES = np.arange(-10, 11) / 2
# nodes of a background's coordinate: errors below 1e-8, in extreme worlds 1e-6
LINE = np.linspace(0, 1, 128)
CHUNK = 2**13  # worlds at a time
LEAST = 1e-9  # signal in standard deviations that is told from none
LARGEST = 700.0  # log odds that matter: e^710 overflows
TERMS = 2**21  # log densities of all replicates


def bayes_accuracy(worlds: World, seed: int = 0) -> Accuracy:
    """Accuracy under the test law of argmax_y p(x_I | y), with p the training law.

    Two classes and one attribute: by quadrature, absolute error below 1e-6 (in practice 1e-9).
    Otherwise the noise of the attributes is sampled world by world, and that of the other classes'
    objects where K >= 3 and p_inv < 1: REPLICATES randomised Sobol nets from `seed` give a 95%
    interval. A decision among k tied classes counts 1/k.
    """
    S = worlds.image_variance
    if worlds.table is None:
        certain = (worlds.agreement == 1) | (worlds.agreement == 0)
        if np.any(((S == 0) & certain & (worlds.mean != 0)).sum(axis=-1) > 1):
            raise ValueError(
                "object and background are both noiseless and perfectly correlated: the training"
                " law has no density on the counter group, so its Bayes rule is undefined there"
            )
        check_classes(worlds, "the Bayes accuracy is sampled")
    if worlds.table is not None or not worlds.binary:
        if worlds.shape:  # those of two classes are exact
            return world_by_world(lambda world: bayes_accuracy(world, seed), worlds)
        return estimate(bayes_replicates(worlds, worlds.joint_law(), bayes_points(worlds, seed)))
    a = np.moveaxis(np.abs(standardise(worlds.mean, np.sqrt(S))), -1, 0)
    p = np.moveaxis(worlds.agreement, -1, 0)
    odds = np.where(p < 0.5, -logit(1 - p), logit(p))  # p and 1 - p have the same, to the last bit
    return Accuracy(*two_block_accuracy(odds[1], odds[0], *a))


def _needed(g: np.ndarray, odds: Numbers) -> np.ndarray:
    """The inverse of G for p >= 1/2 with log odds `odds`; infinite where |g| is larger than `odds`.

    e^h = (p e^g - q)/(p - q e^g) = e^g (1 - e^(-g - odds))/(1 - e^(g - odds)).
    """
    size = np.abs(g)
    within = (size < odds) | (g == 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        h = size + np.log(np.expm1(-size - odds) / np.expm1(size - odds))
    return np.sign(g) * np.where(g == 0, 0.0, np.where(within, h, np.inf))


def two_block_accuracy(
    odds_spu: Numbers, odds_inv: Numbers, a_inv: Numbers, a_spu: Numbers
) -> Float[np.ndarray, "groups=2 *w"]:
    """(common, counter) of the Bayes rule of two classes and one attribute, from log(p_b/q_b) and
    a_b of both blocks.

    Let m = tanh(a_inv x) and s = tanh(a_spu v) be what the coordinates, in standard deviations,
    tell of the classes that the blocks show. The rule decides by the sign of i = D_inv m + D_spu s.
    Under the test law the background does not depend on the label, so the accuracies are (1 + D_inv
    E[m sign i] +- E[s sign i])/2. They depend on the size of D_inv alone, and the sign of D_spu
    exchanges them. For the sign of i the ratio of both D matters: let the larger be 1.
    """
    each = np.broadcast_arrays(odds_spu, odds_inv, a_inv, a_spu)
    odds_spu, odds_inv, a_inv, a_spu = map(np.ravel, each)
    size_spu = np.abs(odds_spu)
    size_inv = np.abs(odds_inv)
    leads = size_spu > size_inv  # the background
    odds = _needed(np.where(leads, size_inv, size_spu), np.where(leads, size_spu, size_inv))
    blocks = np.where(leads, [a_spu, a_inv], [a_inv, a_spu])
    means = np.empty((2, len(leads)))
    for part in (slice(start, start + CHUNK) for start in range(0, len(leads), CHUNK)):
        means[:, part] = _agreements(odds[part] / 2, *blocks[:, part])
    m, s = np.where(size_spu + size_inv > 0, np.where(leads, means[::-1], means), 0.0)
    object_ = np.tanh(size_inv / 2) * m
    background = np.where(odds_spu < 0, -s, s)
    return (
        np.clip([1 + object_ + background, 1 + object_ - background], 0, 2).reshape(
            2, *each[0].shape
        )
        / 2
    )


def _agreements(h, a, b) -> Float[np.ndarray, "2 W"]:
    """(E[m sign i], E[s sign i]) for i = m + tanh(h) s, m = tanh(a x), s = tanh(b v), x ~ N(+-a,
    1), v ~ N(+-b, 1).

    With tanh tau = tanh(h) s, h >= 0, i has the sign of x + tau/a, so Phi averages over x. By
    symmetry v ~ N(b, 1). The average over v has a step of width a/b at 0: nodes are dense there,
    unless there is no mass.
    """
    a = np.clip(a, LEAST, 1 / LEAST)[:, None]
    b = np.clip(b, LEAST, 1 / LEAST)[:, None]
    h = np.asarray(h)[:, None]
    width = np.clip(np.maximum(a / b, 2.5e-7 * np.exp(np.minimum(b, 9) ** 2 / 2)), 1e-6, 1.0)
    start = np.arcsinh((b - RANGE) / width)
    end = np.arcsinh((b + RANGE) / width)
    dense = width * np.sinh(start + (end - start) * LINE)
    off = np.where(b < RANGE, dense - b, RANGE * (2 * LINE - 1))
    slope = np.where(b < RANGE, np.hypot(dense, width) * (end - start), 2 * RANGE)
    weight = np.exp(-(off**2) / 2) * slope * LINE[1] / np.sqrt(2 * np.pi)
    v = b + off
    u = b * v
    # and what a difference of log cosh has beyond that of absolute values
    tau = np.sign(u) * np.minimum(np.abs(u), h)
    tau = tau + (np.log1p(np.exp(-2 * np.abs(u + h))) - np.log1p(np.exp(-2 * np.abs(u - h)))) / 2
    plus = ndtr(tau / a + a)
    minus = ndtr(tau / a - a)
    values = np.stack(
        [((plus - minus) * weight).sum(-1), (np.tanh(u) * (plus + minus - 1) * weight).sum(-1)]
    )
    noiseless = np.isinf(h[:, 0]) & (np.minimum(a, b)[:, 0] == 1 / LEAST)
    values[:, noiseless] = 0.5  # a tie where the blocks differ
    alone = (a[:, 0] == LEAST) & (h[:, 0] > 0)  # the other block decides
    values[:, alone] = [np.zeros(alone.sum()), 2 * ndtr(b[alone, 0]) - 1]
    return values


def _object_agrees(
    a: float, sign: int, g: Float[np.ndarray, "*s"], odds: Numbers
) -> Float[np.ndarray, "*s"]:
    """Probability that the object, of mean `sign` a in standard deviations, and log odds g of the
    rest are right.
    """
    if np.isinf(a):
        return (1 + np.sign(rounded(sign * odds + g, np.minimum(odds, LARGEST)))) / 2
    return ndtr(standardise(2 * a**2 * sign + _needed(g, odds), np.broadcast_to(2 * a, g.shape)))


def _chance_of_the_object(
    lead: Float[np.ndarray, "others ..."], a: float
) -> Float[np.ndarray, "..."]:
    """E prod_k Phi(x + a - lead_k/a), x ~ N(0, 1): class 0, whose object is shown, beats every
    other class k.
    """
    least = a - lead / a
    weights = np.exp(-(NODES**2) / 2)
    return sum(
        w * ndtr(x + least).prod(axis=0)
        for x, w in zip(NODES, weights / weights.sum(), strict=True)
    )


def _chance_of_class_0(
    rivals: Float[np.ndarray, "others ..."],
    mean: float,
    lead: Float[np.ndarray, "others ..."],
    a: float,
    p: float,
) -> Float[np.ndarray, "*s"]:
    """Probability over the object's coordinate of class 0; `lead` are log odds l against class 0
    from the rest.

    `rivals` are the log densities f of the other classes' objects. Let E = e^f and r = (1 - p)/(K -
    1). With R the sum of E over the classes other than 0 and k, class 0 beats k iff
        p E_0 + r (E_k + R) > e^l (p E_k + r (E_0 + R)),
    that is E_0 (p - r e^l) > (p - r) e^l E_k + r (e^l - 1) (E_k + R). For p > 1/K this is a lower
    bound on E_0 or never true, for p < 1/K an upper bound or always true.
    """
    if p == 1:
        return ndtr(mean - (rivals + lead).max(axis=0) / a)
    r = (1 - p) / len(lead)
    l = np.minimum(lead, LARGEST)
    top = rivals.max(axis=0)
    odds = np.exp(l)
    share = np.exp(rivals - top)
    right = (p - r) * (odds * share) + np.expm1(l) * (r * share.sum(axis=0))
    left = p - r * odds
    with np.errstate(divide="ignore", invalid="ignore"):
        bound = right / np.where(left == 0, -0.0, left)
        ends = (
            np.where(left > 0, bound, 0.0).max(axis=0),
            np.where(left > 0, np.inf, bound).min(axis=0),
        )
        low, high = (ndtr(mean - (top + np.log(np.maximum(end, 0.0))) / a) for end in ends)
    return np.maximum(low - high, 0.0)


# own, further and rivals of `bayes_points`
Points = tuple[np.ndarray, np.ndarray, np.ndarray | None]


def bayes_points(world: World, seed: int = 0) -> Iterator[Points]:
    """Log densities at Sobol points, by replicate, for any law of the background; without a table 0
    is the label.

    own       of the background's classes (P, N, A), by pattern of backgrounds that images show
    further   of further attributes given the label (P, N, K); one 0 without any
    rivals    of the objects of other classes (2, K - 1, 1, N), by whether images show the label's
              object; if not, each other class is shown in a run of the sequence. None for K = 2,
              and where an integral takes their place
    """
    K, A, S, table = world.class_count, world.background_count, world.image_variance, world.table
    if np.any(S[K == 2 :] == 0) and (K > 2 or table):
        raise ValueError(
            "this Bayes accuracy is estimated from densities, which need sigma^2 + nu > 0"
        )
    codes = _patterns(world)[0]
    means = class_means(A)
    certain = not table and K > 2 and world.p_inv == 1
    others = 0 if K == 2 or certain else K - 1
    a, *b = np.abs(standardise(world.mean, np.sqrt(S)))
    power = (
        int(np.clip(np.log2(TERMS / (REPLICATES * A * A * K)), 6, 11))
        if table
        else 10
        if certain
        else 12
    )
    run = np.arange(2**power) * others // 2**power == np.arange(others)[:, None, None]
    for r in range(REPLICATES):
        points = gaussian_points(
            others + codes[0].size * means.shape[1], power, seed * REPLICATES + r
        )
        noise = points[:, others:].reshape(2**power, len(b), -1)
        densities = []
        for j, signal in enumerate(b):
            f = signal * (signal * means[codes[:, None, j]] + noise[:, j])
            # one of two is 0, so that S may be
            densities.append(f if A > 2 else np.minimum(2 * f * [1, -1], 0))
        own, *more = densities
        further = sum(
            (given_label(f, block_law(world, 2 + j)) for j, f in enumerate(more)),
            np.zeros((1, 1, 1)),
        )
        log = a * points[:, :others].T[:, None]
        yield own, further, np.stack([log, log + a**2 * run]) if others else None


def _patterns(world: World) -> tuple[Int[np.ndarray, "P J"], Float[np.ndarray, "P groups"] | None]:
    """The backgrounds that images show, and without a table the shares of these patterns in the
    groups of class 0.
    """
    if world.table is not None:
        return np.arange(world.background_count)[:, None], None
    codes, shares = image_patterns(world.class_count, len(world.mean), 1.0)
    return codes[:, 1:], shares


def bayes_replicates(
    world: World, table: Float[np.ndarray, "K A"], points: Iterable[Points]
) -> Float[np.ndarray, "R groups"]:
    """Group accuracies of the Bayes rule of a table of classes and backgrounds, which need not be
    the world's own.
    """
    K = world.class_count
    p_inv = float(world.p_inv)
    codes, shares = _patterns(world)
    a = float(abs(standardise(world.mean[0], np.sqrt(world.image_variance[0]))))
    labels = 1 if world.table is None else K
    result = np.zeros((REPLICATES, labels, len(codes)))
    for total, (own, further, rivals) in zip(result, points, strict=True):
        # (K, P, N)
        rest = np.ascontiguousarray(np.moveaxis(given_label(own, table) + further, -1, 0))
        top = rest.max(axis=0)
        # classes that nothing tells apart tie to the last bit
        rest = rounded(rest - top, 1 + np.abs(top))
        for y, (other, weight) in product(range(labels), enumerate((p_inv, 1 - p_inv))):
            if not weight:
                continue
            lead = np.delete(rest, y, axis=0) - rest[y]
            if a == 0 or p_inv == 1 / K:  # objects say nothing
                chance = won(np.moveaxis(rest, 0, -1), y)
            elif K == 2:
                sign = 1 if (other == 0) == (p_inv >= 0.5) else -1
                chance = _object_agrees(a, sign, -lead[0], logit(max(p_inv, 1 - p_inv)))
            elif rivals is None:  # drawn objects of other classes would move p' by more than 1e-4
                chance = _chance_of_the_object(lead, a)
            else:
                chance = _chance_of_class_0(rivals[other], a * (1 - other), lead, a, p_inv)
            total[y] += weight * chance.mean(axis=-1)
    if shares is not None:
        return result[:, 0] @ shares
    return world.mixture(objects=False).group_average(result.reshape(REPLICATES, -1))


def ideal_rules(world: World) -> Callable[[Float[np.ndarray, " G"]], Float[np.ndarray, "R G"]]:
    """Bayes rules' accuracies on the groups of one world, from weights that cells share as in the
    test law.
    """
    points = [*bayes_points(world)]  # the same points serve every rule
    own = np.where(np.eye(world.class_count), COMMON, COUNTER)
    cells = own if world.table is None else cell_groups(world.table, world.common)
    groups = np.unique(cells)

    def replicates(weights: Float[np.ndarray, " G"]) -> Float[np.ndarray, "R G"]:
        table = np.select([cells == g for g in groups], [*weights], 0.0) * cell_shares(cells)
        return bayes_replicates(world, table, points)[:, groups]

    return replicates


@dataclass(frozen=True)
class Bayes(Learner):
    """The Bayes rule of the training law on images."""

    name: ClassVar[str] = "bayes"
    words: ClassVar[str] = "the Bayes rule"

    def accuracy(self, worlds: World) -> Accuracy:
        """By quadrature for two classes and one attribute, else sampled; see `bayes_accuracy`."""
        return bayes_accuracy(worlds)

    def scores(self, world: World, images: Float[np.ndarray, "N l"]) -> Float[np.ndarray, "N K"]:
        """log p(x_I | y) under the training law, in nats; with a table, whose classes have priors,
        log p(x_I, y).
        """
        return class_log_density(images, None, world)

"""Logistic regression on labelled images, at n = infinity: Newton's method on exact moments,
softmax for K classes.

Letters, per block b: mu_b mean, S_b = sigma_b^2 + nu variance of an image coordinate, p_b
probability that the block agrees with the label (p_inv for the object, 1 in the papers), D_b
correlation. A rule puts weight u_b on block b. It scores class k by sum_b u_b x_{b,k} (K classes),
or y = +1 by sum_b u_b x_b (two classes). Captions have no influence.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from simulator.accuracy import Accuracy, rounded
from simulator.gaussian.critic import LinearCritic, gaussian_points, standardise
from simulator.mixture import Mixture
from simulator.world import World
from theory.accuracy import linear_accuracy
from theory.density import class_patterns
from theory.learners.base import Learner, check_classes, latent_critic, world_by_world
from theory.learners.least_squares import LeastSquares
from theory.quadrature import REPLICATES, estimate, logistic_moments

# The largest mu^2/S of a block that always agrees with the label: the exponents of the loss, about
# mu^2/(2 S), still leave eleven digits in float64.
LARGEST_SEPARATION = 1e5
POWER = 11  # 2^11 points,
POINTS = 2**14  # or fewer: these over all groups of a table
LEAST_LOSS = 1e-6  # of sampled points


def _check_separable(worlds: World, S: np.ndarray) -> None:
    """Refuse worlds in which a block without noise always agrees, or never agrees, with the
    label.
    """
    certain = (worlds.agreement == 1) | (worlds.agreement == 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        separation = np.where(certain & (worlds.mean != 0), worlds.mean**2 / S, 0.0)
    if separation.max(initial=0.0) > LARGEST_SEPARATION:
        raise ValueError(
            f"a block that always agrees with the label lies {np.sqrt(separation.max()):.4g}"
            " standard deviations from the threshold: the population is separable, and float64"
            " cannot resolve a minimiser of the loss; the largest valid distance is"
            f" {np.sqrt(LARGEST_SEPARATION):.4g}"
        )


def margin_minimiser(worlds: World, moments: Callable, gain: float) -> Float[np.ndarray, "*w B"]:
    """Minimiser of a convex loss E l(s), s = y u'x, of two classes: Newton in all worlds at once.

    It takes margin units r_b = u_b mu_b and n_b = S_b/mu_b^2. moments(m, V) gives -E l'(s) and E
    l''(s) t^k for s = m + sqrt(V) t, as `Moments`. It starts at gain mu^2 D/d, at most at the log
    odds log(p/(1 - p)) of a block.
    """
    S = worlds.image_variance
    _check_separable(worlds, S)
    shape, B = worlds.shape, S.shape[-1]
    mean = np.broadcast_to(worlds.mean, (*shape, B)).reshape(-1, B)
    S = np.broadcast_to(S, (*shape, B)).reshape(-1, B)
    p = np.broadcast_to(worlds.agreement, (*shape, B)).reshape(-1, B)
    D = np.broadcast_to(worlds.correlation, (*shape, B)).reshape(-1, B)
    live = mean**2 > 0
    n = np.where(live, S / np.where(live, mean**2, 1.0), 0.0)
    # Which blocks agree with the label; a block that agrees in every world needs no second sign.
    # (G, B)
    signs = np.array(list(product(*([1] if np.all(p[:, b] == 1) else [1, -1] for b in range(B)))))
    weights = np.where(signs[:, None] == 1, p, 1 - p).prod(axis=-1).T  # (W, G)
    e = signs * live[:, None, :]  # (W, G, B)
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = np.abs(np.log(p) - np.log1p(-p))
        r = np.where(
            live & (D != 0), np.sign(D) * np.minimum(gain * np.abs(D) / (n + 1 - D**2), odds), 0.0
        )
    r = _newton(
        r,
        np.sqrt(n + 1),
        lambda r, i: _margin_derivatives(r, n[i], e[i], weights[i], live[i], moments),
    )
    return (r / np.where(live, mean, 1.0)).reshape(*shape, B)


def _margin_derivatives(r, n, e, weights, live, moments):
    """(log scale, gradient, Hessian) of the loss in every world; gradient and Hessian are divided
    by e^(log scale).

    The signs e_b say which blocks agree with the label. Given them, s is N(m, V), m = sum e_b r_b,
    V = sum n_b r_b^2. With c = n r/sqrt V and t = (s - m)/sqrt V, y x_b/mu_b = e_b + c_b t +
    independent noise. By Stein's identity
        gradient_b = E[e_b l'(s) + n_b r_b l''(s)],
        Hessian = E[l''(s) ((e + c t)(e + c t)' + diag(n) - c c')].
    """
    m = np.einsum("wgb,wb->wg", e, r)
    V = np.broadcast_to((n * r**2).sum(-1)[:, None], m.shape)
    log_scale, tail, (k0, k1, k2) = moments(m, V)
    with np.errstate(divide="ignore"):
        level = np.where(weights > 0, log_scale + np.log(weights), -np.inf)
    top = level.max(axis=-1)
    f = np.exp(level - top[:, None])  # group weights, relative to the world's scale exp(top)
    gradient = n * r * (f * k0).sum(-1)[:, None] - np.einsum("wg,wgb->wb", f * tail, e)
    c = standardise(n * r, np.broadcast_to(np.sqrt(V[:, :1]), r.shape))
    cross = np.einsum("wg,wgb,wc->wbc", f * k1, e, c)
    H = np.einsum("wg,wgb,wgc->wbc", f * k0, e, e) + cross + cross.transpose(0, 2, 1)
    H += np.einsum("w,wb,wc->wbc", (f * (k2 - k0)).sum(-1), c, c)
    diagonal = np.arange(r.shape[-1])
    H[:, diagonal, diagonal] += n * (f * k0).sum(-1)[:, None] + ~live
    return top, gradient, H


def _newton(
    r: Float[np.ndarray, "W B"], unit: Float[np.ndarray, "W B"], derivatives
) -> Float[np.ndarray, "W B"]:
    """Minimisers in W worlds by damped Newton from r; `derivatives(r, index)` are those of the
    worlds `index`.

    r times `unit` is a block's contribution to the spread of margins, whose unit is 1: rounding is
    alike in all blocks.
    """
    active = np.arange(len(r))
    top, gradient, H = derivatives(r, active)
    # Random worlds need 22 steps at most. If blocks disagree once in e^700 pairs, a step gains
    # about 1 in the log odds.
    for _ in range(2000):
        step = -np.linalg.solve(H, gradient[..., None])[..., 0]
        scale = unit[active]
        moved = rounded(np.abs(scale * step).max(-1), 1.0)
        # After a step of relative size 1e-7 only rounding is left: Newton's method converges
        # quadratically.
        going = moved > 1e-7 * np.abs(scale * (r[active] + step)).max(-1)
        r[active[~going]] += step[~going]
        active, step, top, gradient, H = (x[going] for x in (active, step, top, gradient, H))
        if not len(active):
            return np.where(rounded(unit * r, 1.0) == 0, 0.0, r)
        slope = (gradient * step).sum(-1)
        t = np.ones(len(active))
        new = [top.copy(), gradient.copy(), H.copy()]
        trying = np.arange(len(active))
        while len(trying):
            trial = derivatives(r[active[trying]] + t[trying, None] * step[trying], active[trying])
            for old, fresh in zip(new, trial, strict=True):
                old[trying] = fresh
            # The loss is convex. If the slope uphill is now at most half the old slope, the step
            # was not too long. Each slope has its own scale; the exponent is clipped so that a far
            # too long step cannot overflow.
            uphill = (trial[1] * step[trying]).sum(-1) * np.exp(
                np.minimum(trial[0] - top[trying], 600)
            )
            trying = trying[uphill > -slope[trying] / 2]
            t[trying] /= 2
            trying = trying[t[trying] > 1e-12]
        r[active] += t[:, None] * step
        top, gradient, H = new
    raise ArithmeticError(
        f"Newton's method did not settle on the minimiser in {len(active)} worlds"
    )


# Of a convex loss of K scores at N points: value, slope, q and scale; its curvature is scale
# (diag(q) - q q'/sum q).
PointLoss = tuple[
    Float[np.ndarray, " N"], Float[np.ndarray, "N K"], Float[np.ndarray, "N K"], float
]
# of scores and labels
Loss = Callable[[Float[np.ndarray, "N K"], Int[np.ndarray, " N"]], PointLoss]


def softmax_loss(score: Float[np.ndarray, "N K"], labels: Int[np.ndarray, " N"]) -> PointLoss:
    """LSE_k s_k - s_y."""
    total = np.logaddexp.reduce(score, axis=1)
    each = np.arange(len(score))
    soft = np.exp(score - total[:, None])
    slope = soft.copy()
    slope[each, labels] -= 1
    return total - score[each, labels], slope, soft, 1.0


def sampled_minimisers(worlds: World, loss: Loss) -> Float[np.ndarray, "R B"]:
    """Minimisers of a loss of scores in one world of K >= 3 classes, one row per randomised Sobol
    net.

    By symmetry the score of class k is sum_b u_b x_{b,k}. Groups are summed exactly; only the noise
    is sampled.
    """
    K = worlds.class_count
    B = len(worlds.mean)
    check_classes(worlds, "the minimiser of a loss is sampled")
    S = worlds.image_variance
    _check_separable(worlds, S)
    codes, weights = class_patterns(worlds.agreement, K)
    codes = codes[weights > 0]
    weights = weights[weights > 0]
    live = (worlds.mean != 0) & (worlds.correlation != 0)  # a block that says nothing has weight 0
    each_block = np.arange(B)
    labels = np.zeros(2**POWER, int)

    def derivatives(u, noise):
        total = 0.0
        gradient = np.zeros(B)
        H = np.zeros((B, B))
        for code, weight in zip(codes, weights, strict=True):
            x = noise.copy()
            x[:, each_block, code] += worlds.mean
            x -= x[:, :, :1]  # relative to the true class, whose score is then zero
            value, slope, q, scale = loss(np.einsum("b,nbk->nk", u, x), labels)
            average = np.einsum("nk,nbk->nb", q, x) / np.sqrt(q.sum(axis=1, keepdims=True))
            total += weight * value.mean()
            gradient += weight * np.einsum("nk,nbk->b", slope, x) / len(x)
            H += (
                weight
                * scale
                * (np.einsum("nk,nbk,nck->bc", q, x, x) - average.T @ average)
                / len(x)
            )
        return total, np.where(live, gradient, 0.0), np.where(live[:, None] & live, H, np.eye(B))

    nets = [
        gaussian_points(B * K, POWER, r).reshape(-1, B, K) * np.sqrt(S)[:, None]
        for r in range(REPLICATES)
    ]
    return _of_points(nets, np.sqrt(worlds.mean**2 + S), derivatives)


def _of_points(
    nets: list[np.ndarray], unit: Float[np.ndarray, " P"], derivatives
) -> Float[np.ndarray, "R P"]:
    """Minimisers of a loss of sampled points; `derivatives(weights, points)` has its value,
    gradient and Hessian.
    """

    def of_nets(u, index):
        values, *slopes = zip(
            *(derivatives(own, nets[k]) for own, k in zip(u, index, strict=True)), strict=True
        )
        if min(values) < LEAST_LOSS:
            raise ValueError(
                f"the classes overlap so little (loss {min(values):.1e}) that {len(nets[0])}"
                " sampled points hardly contain an error; the minimiser for three classes or more"
                " is only computed for worlds with more noise"
            )
        return np.zeros(len(u)), *map(np.array, slopes)

    return _newton(np.zeros((len(nets), len(unit))), np.tile(unit, (len(nets), 1)), of_nets)


def margin_critic(world: World, moments: Callable) -> LinearCritic:
    """Minimiser of a convex loss of margins in one world of two classes, over u and the weight of a
    constant feature.

    In `_margin_derivatives` e is y times the group's mean, and n the variance.
    """
    groups, S = _noisy_groups(world)
    n = np.append(S, 0.0)[None]
    ones = np.ones((len(groups.labels), 1))
    e = (1 - 2 * groups.labels)[:, None] * np.hstack([groups.means, ones])
    weights = groups.weights[None]

    def derivatives(r, _):
        return _margin_derivatives(r, n, e[None], weights, np.ones(n.shape, bool), moments)

    r = _newton(np.zeros(n.shape), np.sqrt(n + weights @ e**2), derivatives)
    return LinearCritic(r[:, None, :-1], np.zeros((1, 1, 1)), r[:, -1:])


def _noisy_groups(world: World) -> tuple[Mixture, Float[np.ndarray, " l"]]:
    """The groups of one world that training shows, and the variance of an image's latents in
    each.
    """
    groups = world.mixture().seen
    S = groups.image_variances
    if np.any(groups.means**2 > LARGEST_SEPARATION * S) or np.any(S == 0):
        raise ValueError(
            "images have so little noise that floats cannot tell whether the population is"
            " separable; the largest valid distance of a mean from 0 is"
            f" {np.sqrt(LARGEST_SEPARATION):.4g} standard deviations"
        )
    return groups, S


def sampled_critic(world: World, loss: Loss) -> LinearCritic:
    """Minimisers of a loss of scores, with constants, in one world of K >= 3 classes, one per Sobol
    net.
    """
    groups, S = _noisy_groups(world)
    K = world.classes
    G = len(groups.labels)
    l = len(S)
    power = int(np.clip(np.log2(POINTS / G), 6, POWER))
    labels = np.repeat(groups.labels, 2**power)
    weights = np.repeat(groups.weights, 2**power) / 2**power

    def derivatives(u, x):  # the score of class 0 is 0
        value, slope, q, scale = loss(np.pad(x @ u.reshape(K - 1, -1).T, [(0, 0), (1, 0)]), labels)
        gradient = (weights[:, None] * slope[:, 1:]).T @ x
        H = np.empty((K - 1, l + 1, K - 1, l + 1))
        share = q / q.sum(axis=1, keepdims=True)
        for j, k in product(range(1, K), repeat=2):
            H[j - 1, :, k - 1] = (x.T * (weights * scale * q[:, j] * ((j == k) - share[:, k]))) @ x
        return (weights * value).sum(), gradient.ravel(), H.reshape(gradient.size, -1)

    nets = []
    for r in range(REPLICATES):
        images = groups.means[:, None] + gaussian_points(l, power, r) * np.sqrt(S)
        nets.append(np.concatenate([images, np.ones((G, 2**power, 1))], axis=-1).reshape(-1, l + 1))
    unit = np.sqrt((weights[:, None] * nets[0] ** 2).sum(axis=0))
    rows = _of_points(nets, np.tile(unit, K - 1), derivatives).reshape(REPLICATES, K - 1, l + 1)
    u = np.pad(rows, [(0, 0), (1, 0), (0, 0)])
    return latent_critic(u[..., :-1], u[..., -1])


class OfMargins(Learner):
    """A minimiser of a convex loss on labelled images."""

    # of scores, and its moments and gain for `margin_minimiser`
    loss: ClassVar[tuple[Loss, Callable, float]]

    def direction(self, worlds: World) -> Float[np.ndarray, "*w B"]:
        """Weight on each block of the minimiser; for K >= 3 the mean over sampled ones."""
        of_scores, moments, gain = self.loss
        if np.all(np.equal(worlds.classes, 2)):
            return margin_minimiser(worlds, moments, gain)
        if not worlds.shape:
            return sampled_minimisers(worlds, of_scores).mean(axis=0)
        return np.reshape(
            [self.direction(worlds[w]) for w in np.ndindex(worlds.shape)], worlds.mean.shape
        )

    def accuracy(self, worlds: World) -> Accuracy:
        """Exact for two classes; for K >= 3 the accuracies of sampled minimisers, with their
        interval.
        """
        if worlds.table is not None or np.all(np.equal(worlds.classes, 2)):
            return super().accuracy(worlds)
        if worlds.shape:
            return world_by_world(self.accuracy, worlds)
        return estimate(
            np.stack([*linear_accuracy(sampled_minimisers(worlds, self.loss[0]), worlds)], axis=-1)
        )

    def critic(self, world: World) -> LinearCritic:
        """With a constant, in one world of any kind. For K >= 3 several minimisers, each of sampled
        points.
        """
        of_scores, moments, _ = self.loss
        return (
            margin_critic(world, moments)
            if world.classes == 2
            else sampled_critic(world, of_scores)
        )

    def weights(self, x):
        """LDA's if the background always agrees with the label, up to a factor (T4). Otherwise no
        formula.
        """
        try:
            certain = bool(np.all(np.equal(x.p_spu, 1)))
        except ValueError:  # p_spu is a formula
            certain = False
        return LeastSquares().weights(x) if certain and x.classes == 2 else super().weights(x)


@dataclass(frozen=True)
class Logistic(OfMargins):
    """Logistic regression (softmax regression for K >= 3 classes) on labelled images, at n =
    infinity.
    """

    name: ClassVar[str] = "logistic"
    words: ClassVar[str] = "logistic regression"
    estimator: ClassVar[str] = "logistic"
    on_images: ClassVar[bool] = False
    loss = softmax_loss, logistic_moments, 2.0  # the Gaussian approximation, exact at p = 1

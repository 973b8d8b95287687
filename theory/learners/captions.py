"""The InfoNCE optimum with all captions of a class as prompts, t ~ p(t | y): two classes, one attribute.

captions   The score is log E_{t|y} e^PMI = log E_{t|y} p(x | t)/p(x). By Bayes' rule p(t | y)/p(t) = p(y | t)/p(y), so
           it equals log E[p(y | t) | x] + const: the mean posterior of the label over captions of the image. + wins iff
               E[tanh(Lambda(t)/2) | x] > 0,   Lambda(t) = log p(t | +)/p(t | -) = sum_b Lambda_b(t_b).
           If captions mention everything without noise, y and x are independent given t, and this is the Bayes rule of
           the training law on images (T9). Uesaka et al. (ICLR 2025, arXiv 2510.15508) prove that the optimum is the
           PMI; Mehta and Harchaoui (ICML 2025, arXiv 2507.09128) study what prompts lose against Bayes' rule.
scores     The score is E_{t|y} PMI(x, t). + wins iff
               sum_b 2 sigma_b^2 mu_b D_b x_b/det_b + E_{t|+}[F(u + v) - F(u - v)] > 0,
           F(h) = log(P cosh(h_0 + h_1) + (1 - P) cosh(h_0 - h_1)), P the probability that the blocks agree,
           u_b = mu_b nu_I t_b/det_b, v_b = mu_b nu_T x_b/det_b, det_b = sigma_b^2 (nu_I + nu_T) + nu_I nu_T.
           If captions mention everything without noise, v = 0: the nearest mean caption wins, a linear rule. A block
           that captions omit has u_b = 0, v_b = mu_b x_b/S_b, and no term of its own.

Choose signs such that mu_b and D_b are not negative. Then both preferences rise in every coordinate of the image.
Proof: (y, z, t, x) is multivariate totally positive of order 2 (Karlin and Rinott 1980), as products of such kernels
are. So p(t | +) is stochastically above p(t | -), t given x rises with x, and the slope d/dx_b log p(x, t) =
(E[z_b | x, t] - x_b)/nu_I rises with t. The boundary is therefore monotone, as in `theory.learners.curve`. The
proof needs captions that show what they mention: full mention, or no noise in captions.
"""

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from simulator.accuracy import Accuracy
from simulator.prompts import Prompt
from simulator.world import Worlds
from theory.accuracy import linear_accuracy
from theory.learners.base import joined
from theory.learners.bayes import bayes_accuracy, evidence
from theory.learners.curve import Boundary, accuracy_along, objects_averaged
from theory.learners.drawn_captions import drawn_captions_accuracy, drawn_captions_scores

WITHIN = 6.0  # standard deviations of captions: 2e-9 of them lie beyond
WIDEST, FINEST = 1.0, 0.06  # steps of the trapezoid rule, in standard deviations
EXPONENT = 18.0  # the rule's error is e^-18, 2e-8
SLACK = 1e-6  # standard deviations of an image
ALONG = 129  # nodes between which the boundary is interpolated


class _Law(NamedTuple):
    """The fields of one world by block, with signs such that no mean is negative."""

    mu: Float[np.ndarray, " 2"]
    variance: Float[np.ndarray, " 2"]  # sigma^2
    p: Float[np.ndarray, " 2"]
    pi: Float[np.ndarray, " 2"]
    nu_I: float
    nu_T: float

    @property
    def S(self):
        """Variance of an image coordinate within its group."""
        return self.variance + self.nu_I

    @property
    def D(self):
        """Correlation with the label."""
        return 2 * self.p - 1

    @property
    def log_pair(self) -> Float[np.ndarray, "2 2"]:
        """log P(o, a), up to a constant."""
        same = self.p.prod() + (1 - self.p).prod()
        with np.errstate(divide="ignore"):
            return np.log(np.array([[same, 1 - same], [1 - same, same]]))


# x of both blocks -> preference for +
Preference = Callable[[np.ndarray, np.ndarray], np.ndarray]


def all_captions_accuracy(worlds: Worlds, prompt: Prompt, seed: int = 0, tolerance: float = 1e-6) -> Accuracy:
    """Group accuracies of the PMI critic with all captions of a class as prompts; a tie counts 1/K.

    If captions are the latents themselves, these are closed forms. Two classes with one attribute, where captions show
    what they mention, take a quadrature. The rest is sampled, with a 95% interval (`theory.learners.drawn_captions`).
    """
    routes = [
        lambda part: bayes_accuracy(part, seed) if prompt == "captions" else linear_accuracy(part.prompt("mean"), part),
        lambda part: _along_curves(part, prompt, tolerance),
        lambda part: drawn_captions_accuracy(part, prompt, seed),
    ]
    row = worlds.ravel()
    latents = (row.mention == 1).all(axis=-1) & (row.nu_text == 0)
    route = np.where(latents, 0, np.where(_by_curve(row), 1, 2))
    parts = [((route == k).reshape(worlds.shape), routes[k](row[route == k])) for k in np.unique(route)]
    return joined(parts, worlds.shape)


def all_captions_scores(world: Worlds, prompt: Prompt, image: Float[np.ndarray, "N B width"]) -> np.ndarray:
    """Scores (N, K) with the decisions of all captions: distances from the boundary curve, or sampled scores."""
    if not _by_curve(world):
        return drawn_captions_scores(world, prompt, image)
    from scipy.interpolate import CubicSpline  # start-up time

    curve, sign = _curve(_law(world), prompt), np.where(world.mean < 0, -1.0, 1.0)
    x, y = (sign * image[..., 0] / curve.deviation).T
    v, w = (x + y) / np.sqrt(2), (x - y) / np.sqrt(2)
    nodes = np.linspace(0, max(1.0, np.abs(w).max(initial=0)), ALONG)
    beyond = v - np.sign(w) * CubicSpline(nodes, curve.eta(np.zeros(1, int), nodes, -nodes, nodes))(np.abs(w))
    return np.stack([beyond, -beyond], axis=-1) * curve.informative


def _by_curve(worlds: Worlds) -> np.ndarray | np.bool_:
    """Whether the boundary is certainly a curve: a caption must show which of two blocks it mentions."""
    two = worlds.classes == 2 and worlds.mean.shape[-1] == 2
    return two & ((worlds.mention == 1).all(axis=-1) | (worlds.nu_text == 0))


def _along_curves(worlds: Worlds, prompt: Prompt, tolerance: float) -> Accuracy:
    """World by world, because each world's scales need their own number of captions."""
    shown = np.array([_along_curve(_law(worlds[w]), prompt, tolerance) for w in range(worlds.size)])
    common, counter = objects_averaged(shown, worlds.agreement[:, :1]).T
    return Accuracy(common, counter)


def _along_curve(law: _Law, prompt: Prompt, tolerance: float) -> Float[np.ndarray, " 2"]:
    """(common, counter) of images that show the label's object."""
    curve = _curve(law, prompt)
    if not curve.informative:
        return np.full(2, 0.5)
    return accuracy_along(curve.eta, (law.mu / curve.deviation)[:, None], tolerance)[0]


class _Curve(NamedTuple):
    """The boundary of one world."""

    eta: Boundary
    deviation: Float[np.ndarray, " 2"]  # of image coordinates; negative if the preference falls along the coordinate
    informative: bool  # whether captions of the classes differ


def _curve(law: _Law, prompt: Prompt) -> _Curve:
    from scipy.optimize.elementwise import find_root  # start-up time

    prefer, deviation = PREFERENCES[prompt](law), np.where(law.D < 0, -1.0, 1.0) * np.sqrt(law.S)

    def along(v, w):
        return prefer(deviation[0] * (v + w) / np.sqrt(2), deviation[1] * (v - w) / np.sqrt(2))

    def eta(_, w, low, high):
        # A root at an end of its bracket must not be lost to rounding.
        return find_root(along, (low - SLACK, high + SLACK), args=(w,), tolerances={"xatol": 1e-9}).x

    return _Curve(eta, deviation, bool(np.any(law.mu * law.D * law.pi)))


def _law(world: Worlds) -> _Law:
    return _Law(
        np.abs(world.mean), world.scale**2, world.agreement, world.mention, float(world.nu_image), float(world.nu_text)
    )


def _posterior_preference(law: _Law) -> Preference:
    """E[tanh(Lambda(t)/2) | x], summed over the shown classes (o, a), given which the blocks of t are independent."""
    shown = np.array([1.0, -1.0])[:, None]
    shrinkage, text_variance = law.variance / law.S, law.variance + law.nu_T
    deviation = np.sqrt(shrinkage * law.nu_I + law.nu_T)  # of t_b given x_b and its class
    with np.errstate(divide="ignore", invalid="ignore"):
        pole = np.pi * text_variance / (2 * law.mu * deviation)  # of tanh, in deviations
    rules = [_trapezoid(c) for c in pole]

    def half_evidence(b: int, x: np.ndarray) -> np.ndarray:
        """Lambda_b/2 (*x, 2, nodes); if captions may be silent, the last node is silence."""
        mean = shown * law.mu[b] + shrinkage[b] * (x[..., None, None] - shown * law.mu[b])
        h = 2 * law.mu[b] * (mean + deviation[b] * rules[b][0]) / text_variance[b]
        half = evidence(h, law.p[b]) / 2
        return np.concatenate([half, np.zeros((*half.shape[:-1], 1))], axis=-1) if law.pi[b] < 1 else half

    weights = [
        np.append(law.pi[b] * rules[b][1], 1 - law.pi[b]) if law.pi[b] < 1 else rules[b][1] for b in (0, 1)
    ]  # fmt: skip

    def prefer(x, y):
        odds = [(law.mu[b] / law.S[b] * z)[..., None] * shown[:, 0] for b, z in enumerate((x, y))]
        log_posterior = law.log_pair + odds[0][..., :, None] + odds[1][..., None, :]
        posterior = np.exp(log_posterior - log_posterior.max(axis=(-2, -1), keepdims=True))
        posterior /= posterior.sum(axis=(-2, -1), keepdims=True)
        first, second = half_evidence(0, x), half_evidence(1, y)
        guess = np.tanh(first[..., :, None, :, None] + second[..., None, :, None, :])
        return np.einsum("...oa,...oaij,i,j->...", posterior, guess, *weights, optimize=True)

    return prefer


def _mean_preference(law: _Law) -> Preference:
    """(E_{t|+} - E_{t|-}) log p(x, t), pattern by pattern of what captions mention."""
    determinant = law.variance * (law.nu_I + law.nu_T) + law.nu_I * law.nu_T
    captions = [_caption_nodes(law, b, determinant[b]) for b in (0, 1)]
    patterns = [
        (mentioned, np.where(mentioned, law.pi, 1 - law.pi).prod())
        for mentioned in product((False, True), repeat=2)
        if any(mentioned)
    ]
    log_P, log_Q = law.log_pair[0]

    def F(h, k):
        """Up to a constant."""
        return np.logaddexp(h + np.logaddexp(log_P + k, log_Q - k), -h + np.logaddexp(log_P - k, log_Q + k))

    def prefer(x, y):
        total = 0.0
        for mentioned, weight in patterns:
            if weight == 0:
                continue
            parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
            for b, z in enumerate((x, y)):
                if mentioned[b]:
                    total = total + weight * 2 * law.variance[b] * law.mu[b] * law.D[b] / determinant[b] * z
                    (nodes, chances), slope = captions[b], law.mu[b] * law.nu_T / determinant[b]
                else:
                    nodes, chances, slope = np.zeros(1), np.ones(1), law.mu[b] / law.S[b]
                parts.append((nodes, chances, (slope * z)[..., None]))
            (u, w_u, v), (s, w_s, t) = parts
            if not (np.any(v) or np.any(t)):  # the image has no influence on this term
                continue
            gap = F((u + v)[..., :, None], (s + t)[..., None, :]) - F((u - v)[..., :, None], (s - t)[..., None, :])
            total = total + weight * np.einsum("...ij,i,j->...", gap, w_u, w_s, optimize=True)
        return total

    return prefer


def _caption_nodes(law: _Law, b: int, determinant: float):
    """Nodes and weights of u_b of a caption of class + that mentions block b."""
    factor, deviation = law.mu[b] * law.nu_I / determinant, np.sqrt(law.variance[b] + law.nu_T)
    with np.errstate(divide="ignore"):
        e, w = _trapezoid(np.pi / 2 / (factor * deviation))
    nodes = [factor * (sign * law.mu[b] + deviation * e) for sign in (1, -1)]
    return np.concatenate(nodes), np.concatenate([law.p[b] * w, (1 - law.p[b]) * w])


def _trapezoid(pole: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of an average over N(0, 1) of a function with poles at a distance from the real axis.

    With step s the error is e^(c^2/2 - 2 pi c/s), c the distance up to which the function is analytic, and no smaller
    than e^(-2 pi^2/s^2) (Trefethen and Weideman 2014). Poles nearer than FINEST resolves belong to means of more than
    seven deviations, and lie where captions have no mass.
    """
    step = WIDEST if not pole < EXPONENT**0.5 else 2 * np.pi * pole / (EXPONENT + pole**2 / 2)
    step = min(max(step, FINEST), WIDEST)
    nodes = step * np.arange(-np.ceil(WITHIN / step), np.ceil(WITHIN / step) + 1)
    weights = np.exp(-(nodes**2) / 2)
    return nodes, weights / weights.sum()


PREFERENCES: dict[Prompt, Callable[[_Law], Preference]] = {
    "captions": _posterior_preference,
    "scores": _mean_preference,
}

"""Slow oracles, written as in the literature. They share no code with the functions that they
check.

They use only `World` and its `Mixture`, a plain list of groups; `structural_pairs` does not use the
mixture. Letters as in simulator.world.
"""

from itertools import product
from typing import NamedTuple

import mpmath
import numpy as np
from scipy.stats import multivariate_normal

from experiments.ground_truth.pictures import MIDDLE, templates
from simulator.gaussian.critic import LinearCritic, gaussian_points
from simulator.world import World


def worlds_with(*, nu=0.0, classes: int = 2, **fields) -> World:
    """A grid of worlds with noise variance nu per coordinate (to rounding), in 4^k >= l
    dimensions.
    """
    width = 1 if classes == 2 else classes
    latents = (2 + len(fields.get("attribute", ()))) * width
    # a power of 4, so that its root is exact
    d = 4 ** int(np.ceil(np.log(max(latents, 64)) / np.log(4)))
    return World(
        sigma_xi=np.sqrt(np.asarray(nu, float) * d),
        dim_image=d,
        dim_text=d,
        classes=classes,
        **fields,
    )


class DrawnPairs(NamedTuple):
    """Pairs with any leading axes: images (*s, dI), texts (*s, dT), labels (*s), first backgrounds
    (*s).
    """

    images: np.ndarray
    texts: np.ndarray
    labels: np.ndarray
    backgrounds: np.ndarray


def structural_pairs(
    world: World, shape: tuple[int, ...], rng: np.random.Generator, frames
) -> DrawnPairs:
    """Wang et al., Definition 6.1, with K classes, several attributes and captions of other pairs
    (`mismatch`).
    """
    pairs = matched_pairs(world, shape, rng, frames)
    if not world.mismatch:
        return pairs
    stray = rng.random(shape) < world.mismatch
    others = matched_pairs(world, shape, rng, frames).texts
    return pairs._replace(texts=np.where(stray[..., None], others, pairs.texts))


def matched_pairs(
    world: World, shape: tuple[int, ...], rng: np.random.Generator, frames
) -> DrawnPairs:
    K = world.classes
    y = rng.integers(K, size=shape)

    def pattern(code, count=K):
        return (
            np.where(code == 0, 1.0, -1.0)[..., None]
            if count == 2
            else code[..., None] == np.arange(count)
        )

    def block(code, mu, sigma, g, count=K):
        """Latents of the image and of a caption that mentions the block: sqrt(g) e is what both
        show.
        """
        mean = mu * pattern(code, count)
        e, e_I, e_T = rng.standard_normal((3, *mean.shape))
        return [mean + sigma * (np.sqrt(g) * e + np.sqrt(1 - g) * own) for own in (e_I, e_T)]

    def attribute(p):
        shifted = (y + rng.integers(1, K, size=shape)) % K
        return np.where(rng.random(shape) < p, y, shifted)

    def mention(pi):
        return (rng.random(shape) < pi)[..., None]

    A = K
    if world.table is None:
        a = attribute(world.p_spu)
    else:
        A = len(world.table[0])
        y, a = np.divmod(rng.choice(K * A, size=shape, p=np.ravel(world.table)), A)
    o = attribute(world.p_inv)
    first, first_told = block(o, world.mu_inv, world.sigma_inv, world.detail_inv)
    second, second_told = block(a, world.mu_spu, world.sigma_spu, world.detail_spu, A)
    z = [first, second]
    kept = [
        first_told * mention(world.mention_inv),
        second_told * mention(world.mention_spu),
    ]
    for extra in world.attribute:
        shown, told = block(attribute(extra.p), extra.mu, extra.sigma, extra.detail)
        z.append(shown)
        kept.append(told * mention(extra.mention))

    text_noise = world.sigma_xi if world.sigma_xi_text is None else world.sigma_xi_text

    def view(latents, D, dimension, sigma):
        noise = sigma / np.sqrt(dimension) * rng.standard_normal((*shape, dimension))
        return np.concatenate(latents, axis=-1) @ D.T + noise

    images = view(z, frames[0], world.dim_image, world.sigma_xi)
    texts = view(kept, frames[1][: world.dim_text], world.dim_text, text_noise)
    if world.bare > 0:
        bare = (rng.random(shape) < world.bare)[..., None]
        label = world.mu_inv * pattern(y)
        texts = np.where(bare, label @ frames[1][: world.dim_text, : label.shape[-1]].T, texts)
        texts = np.concatenate([texts, bare], axis=-1)
    return DrawnPairs(images, texts, y, a)


def first_coordinates(world: World) -> tuple[np.ndarray, np.ndarray]:
    """Dictionaries of the first l unit vectors."""
    return np.eye(world.dim_image, world.latents), np.eye(world.text_width, world.latents)


def sample_covariance(pairs: DrawnPairs) -> np.ndarray:
    """Centred sample cross-covariance with divisor n - 1 over the second to last axis, (*s, dI,
    dT).
    """
    images = pairs.images - pairs.images.mean(axis=-2, keepdims=True)
    texts = pairs.texts - pairs.texts.mean(axis=-2, keepdims=True)
    return np.swapaxes(images, -1, -2) @ texts / (images.shape[-2] - 1)


def critic_of(S: np.ndarray, q: np.ndarray, frames) -> LinearCritic:
    """Critics w = S D_T q for matrices S (R, dI, dT), split into the parts inside and outside the
    image dictionary.
    """
    w = np.einsum("rij,pj->rpi", S, q @ frames[1].T)
    inside = w @ frames[0]
    perpendicular = w - inside @ frames[0].T
    return LinearCritic(inside, perpendicular @ perpendicular.transpose(0, 2, 1))


def joint_covariance(world: World) -> np.ndarray:
    """Cov of (D_I' x_I, D_T' x_T), (2l, 2l), including noise, summed over groups and masks."""
    return moments_of_pairs(world)[1]


def moments_of_pairs(world: World) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of (D_I' x_I, D_T' x_T)."""
    mixture = world.mixture()
    l = world.latents
    masks, probability = mixture.masks()
    second = np.zeros((2 * l, 2 * l))
    first = np.zeros(2 * l)
    width = 1 if world.classes == 2 else world.classes
    told = (1 - world.bare) * probability
    s = np.diag(mixture.variances)
    g = np.diag(mixture.detail[mixture.block])
    for weight, m, y in zip(mixture.weights, mixture.means, mixture.labels, strict=True):
        for b, pi in zip(map(np.diag, masks), told, strict=True):
            mean = np.concatenate([m, b @ m])
            within = np.block([[s, g @ s @ b], [b @ g @ s, b @ s @ b]])
            second += weight * pi * (np.outer(mean, mean) + within)
            first += weight * pi * mean
        label = world.mu_inv * (
            np.array([1.0 - 2 * y]) if world.classes == 2 else np.eye(world.classes)[y]
        )
        mean = np.concatenate([m, label, np.zeros(l - width)])
        second += weight * world.bare * (np.outer(mean, mean) + np.pad(s, [(0, l), (0, l)]))
        first += weight * world.bare * mean
    noise = np.repeat([world.nu_image, (1 - world.bare) * world.nu_text], l)
    covariance = second - np.outer(first, first) + np.diag(noise)
    covariance[:l, l:] *= 1 - world.mismatch
    covariance[l:, :l] *= 1 - world.mismatch
    return first, covariance


def latent_cross_covariance(world: World) -> np.ndarray:
    """Cov(z_I, z_T), (l, l)."""
    return joint_covariance(world)[: world.latents, world.latents :]


def log_densities(world: World, x: np.ndarray | None, t: np.ndarray | None) -> np.ndarray:
    """log p(x, t, y), (N, K), or without one view (None), by groups and masks, of matching
    captions, none bare.
    """
    mixture = world.replace(bare=0.0, mismatch=0.0).mixture()
    l = world.latents
    views = [view for view in (x, t) if view is not None]
    here = np.repeat([x is not None, t is not None], l)
    total = np.full((len(views[0]), world.classes), -np.inf)
    for part, g in product(mixture.pairs, range(len(mixture.labels))):
        if part.weights[g] > 0:
            s = np.diag(mixture.variances)
            m = np.diag(part.mask)
            y = mixture.labels[g]
            told = m @ s @ m
            link = np.diag(part.detail) @ s @ m
            cov = np.block([[s, link], [link, told]]) + np.diag(
                np.repeat([world.nu_image, world.nu_text], l)
            )
            law = multivariate_normal(part.means[g, here], cov[np.ix_(here, here)])
            total[:, y] = np.logaddexp(
                total[:, y], np.log(part.weights[g]) + law.logpdf(np.hstack(views))
            )
    return total


def group_scores(world: World, prompt: str | None, images: np.ndarray) -> np.ndarray:
    """(N, K): the PMI of images and prompts, single captions or bare ones; without a prompt log
    p(x, y).
    """
    by_label = log_densities(world, images, None)
    if prompt is None:
        return by_label
    prior = np.log(world.joint_law().sum(axis=1))
    if prompt == "bare":  # a bare caption tells the label alone
        return by_label - prior
    texts = world.prompts(prompt)
    joint = [
        np.logaddexp.reduce(log_densities(world, images, np.tile(q, (len(images), 1))), axis=1)
        for q in texts
    ]
    return np.transpose(joint) - np.logaddexp.reduce(log_densities(world, None, texts), axis=1)


def pooled_scores(world: World, pool: str, images: np.ndarray, rng: np.random.Generator):
    """Scores (N, K) pooled over 600 drawn captions of each class, and the error (N,) of the first
    less the last.
    """
    pairs = matched_pairs(world, (600 * world.classes * 2,), rng, first_coordinates(world))
    own = np.logaddexp.reduce(log_densities(world, images, None), axis=1)
    named = group_scores(world, "bare", images) - own[:, None]
    found = []
    errors = []
    for y in range(world.classes):
        captions = pairs.texts[pairs.labels == y][:600]
        bare = captions[:, -1] == 1 if world.bare else np.zeros(len(captions), bool)
        texts = captions[:, : world.latents]
        joint = log_densities(
            world, np.repeat(images, len(texts), axis=0), np.tile(texts, (len(images), 1))
        )
        alone = np.logaddexp.reduce(log_densities(world, None, texts), axis=1)
        pmi = np.logaddexp.reduce(joint, axis=1).reshape(len(images), -1) - alone - own[:, None]
        pmi = np.where(bare, named[:, [y]], pmi)
        if world.mismatch:  # the law of pairs is (1 - eps) p(x, t) + eps p(x) p(t)
            pmi = np.logaddexp(np.log1p(-world.mismatch) + pmi, np.log(world.mismatch))
        if pool == "mean":
            found.append(pmi.mean(axis=1))
            errors.append(pmi.std(axis=1) / np.sqrt(len(captions)))
        else:
            found.append(np.log(np.exp(pmi).mean(axis=1)))
            errors.append(
                np.exp(pmi).std(axis=1) / np.exp(pmi).mean(axis=1) / np.sqrt(len(captions))
            )
    return np.transpose(found), np.hypot(errors[0], errors[-1])


def gaussian_scores(world: World, texts: np.ndarray, images: np.ndarray) -> np.ndarray:
    """(N, K): log p(x, t) - log p(t) of the Gaussian with the moments of the pairs."""
    mean, covariance = moments_of_pairs(world)
    l = world.latents
    both = np.concatenate(np.broadcast_arrays(images[:, None], texts), axis=-1)
    alone = multivariate_normal(mean[l:], covariance[l:, l:]).logpdf(texts)
    return multivariate_normal(mean, covariance).logpdf(both) - alone


def optimum_by_groups(world: World, prompt: str, power: int) -> np.ndarray:
    """(common, counter) of the PMI of the groups of pairs written out, at even points of every
    group.
    """
    mixture = world.mixture()
    points = gaussian_points(world.latents, power, 0)
    deviation = np.sqrt(mixture.variances + world.nu_image)
    images = (mixture.means[:, None] + deviation * points).reshape(-1, world.latents)
    best = group_scores(world, prompt, images).argmax(axis=1).reshape(-1, len(points))
    return mixture.group_average((best == mixture.labels[:, None]).mean(axis=1))


def prompt_by_mixture(world: World, prompt: str) -> np.ndarray:
    """q_y, (K, l): the mean of z_T given y under the training law.

    For "name", the mean of z given the object, without the constant background part. For
    "background", the mean of the group whose object and backgrounds all agree with y, or of those
    with its most frequent backgrounds in a table. For "scores", bare captions count, too.
    """
    mixture = world.mixture()
    spoken = 1 - world.bare if prompt == "scores" else 1.0
    rows = []
    for y in range(world.classes):
        mine = mixture.labels == y
        if prompt == "background":
            usual = (
                [y]
                if world.table is None
                else np.flatnonzero(np.isclose(world.table[y], max(world.table[y])))
            )
            chosen = mine & (mixture.objects == y) & np.isin(mixture.backgrounds, usual).all(axis=1)
            rows.append(mixture.means[chosen].mean(axis=0))
        elif prompt in ("mean", "scores"):
            weights = mixture.weights[mine] / mixture.weights[mine].sum()
            average = weights @ mixture.means[mine] * mixture.caption_kinds.moment()[mixture.block]
            own = mine & (mixture.objects == y)
            named = mixture.means[own].mean(axis=0) * (mixture.block == 0)
            rows.append(spoken * average + (1 - spoken) * named)
        else:
            own = mine & (mixture.objects == y)  # the class's own object, however rare
            rows.append(mixture.means[own].mean(axis=0) * (mixture.block == 0))
    return np.array(rows)


def population_critic(world: World, prompt: str, width: int | None = None) -> LinearCritic:
    """Linear CLIP at n = infinity, from the full covariance over latents or its truncated SVD."""
    M = latent_cross_covariance(world)
    if width is not None:
        left, values, right = np.linalg.svd(M)
        M = left[:, :width] * values[:width] @ right[:width]
    q = prompt_by_mixture(world, prompt)
    q = q[:1] - q[1:] if world.classes == 2 else q
    u = q @ M.T
    return LinearCritic(u[None], np.zeros((1, len(u), len(u))))


def many_class_integrals(
    u: float, v: float, alpha: float, beta: float, S_i: float, S_s: float, K: int
):
    """(common, counter) of K classes and one attribute by adaptive quadrature in 25 digits."""
    with mpmath.workdps(25):
        s = mpmath.sqrt(mpmath.mpf(u) ** 2 * S_i + mpmath.mpf(v) ** 2 * S_s)
        both, one, against = (
            mpmath.mpf(g) / s for g in (u * alpha + v * beta, u * alpha, u * alpha - v * beta)
        )
        nodes = list(range(-12, 13, 2))

        def common(t):
            return mpmath.npdf(t) * mpmath.ncdf(t + both) ** (K - 1)

        def counter(t):
            return mpmath.npdf(t) * mpmath.ncdf(t + against) * mpmath.ncdf(t + one) ** (K - 2)

        return float(mpmath.quad(common, nodes)), float(mpmath.quad(counter, nodes))


def latents_of(pictures: np.ndarray, levels: float, latents: int) -> np.ndarray:
    """D'x of exported pictures (n, 16, 16), every second row and column of which shows a value."""
    x = (pictures[:, ::2, ::2].reshape(len(pictures), -1).astype(float) - MIDDLE) / levels
    return x @ templates(latents)

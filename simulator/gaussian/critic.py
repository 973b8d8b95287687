"""Exact group accuracy of a linear critic.

A critic scores class y by x_I' w_y. With x_I = D z + xi, xi ~ N(0, nu I), split w_y into its
coordinates u_y = D' w_y and the part outside the dictionary. Given the group (y, a) the scores are
jointly Gaussian, so zero-shot accuracy needs no test set.

Two classes, w = w_+ - w_-:
    Acc(y, a) = Phi( y u'm_{ya} / sqrt(u' diag(sigma^2) u + nu ||w||^2) ), and 1/2 where the score
    is always 0.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, ndtri

from simulator.accuracy import Numbers, rounded
from simulator.mixture import Mixture, block_width
from simulator.world import World

Seed = int | np.random.Generator
# of a caption's latents block by block; True is the background alone
Projected = bool | tuple[float, ...]


class LinearCritic(NamedTuple):
    """Score vectors of R critics, and their intercepts: one row (w_+ - w_-) for two classes, K rows
    otherwise.
    """

    inside: Float[np.ndarray, "R P l"]
    outside: Float[np.ndarray, "R P P"]
    intercept: Float[np.ndarray, "R P"] | float = 0.0

    @classmethod
    def of_vectors(
        cls, w: Float[np.ndarray, "*R P columns"], frame: Float[np.ndarray, "d l"]
    ) -> "LinearCritic":
        """Critics from their score vectors, split at the image dictionary D; the column after d is
        the intercept.
        """
        w = w[None] if w.ndim == 2 else w
        d = len(frame)
        inside = w[..., :d] @ frame
        beyond = w[..., :d] - inside @ frame.T
        return cls(inside, beyond @ beyond.swapaxes(1, 2), w[..., d] if w.shape[-1] > d else 0.0)


def first_modes(values: Float[np.ndarray, "*r h"], width: int | None) -> Float[np.ndarray, "*r h"]:
    """The values of the first `width` modes, 0 for others: the best approximation of that rank
    (Eckart-Young).
    """
    return values if width is None else np.where(np.arange(values.shape[-1]) < width, values, 0.0)


def removed_captions(world: World, projected: Projected) -> Float[np.ndarray, "l m"]:
    """Latents of the captions whose directions embeddings lose: backgrounds alone, or a multiple of
    every block.
    """
    if isinstance(projected, bool):
        return np.eye(world.latents)[:, world.block_latents[1] if projected else slice(0)]
    blocks = 2 + len(world.attribute)
    if world.table is not None or len(projected) != blocks:
        raise ValueError(
            f"projected = {projected} needs a world without a table and one number per block,"
            f" {blocks} here; the nearest valid choice is True, the background alone"
        )
    return np.kron(np.array(projected)[:, None], np.eye(block_width(int(world.classes))))


def without_captions(
    S: Float[np.ndarray, "*R dI dT"],
    q: Float[np.ndarray, "*P l"],
    frame: Float[np.ndarray, "dT l"],
    removed: Float[np.ndarray, "l m"],
) -> Float[np.ndarray, "... l"]:
    """Latent prompts that act as q on embeddings without the directions of some captions, W_T =
    Sigma^(1/2) V'.

    q - B <W_T D_T q, E>/<E, E>, with E = W_T D_T B the embeddings of the captions B (T12). Balanced
    towers have these W_T. A caption of nothing that training captions mention has no direction.
    """
    if not removed.size:
        return q
    _, values, right = np.linalg.svd(S, full_matrices=False)
    embedded = np.sqrt(values)[..., None] * (right @ frame)  # (*R, h, l)
    share = np.linalg.pinv(embedded @ removed) @ embedded @ np.swapaxes(q, -1, -2)  # (*R, m, P)
    return q - np.swapaxes(removed @ share, -1, -2)


def standardise(gap: Numbers, deviation: Numbers, scale: Numbers = 0.0) -> np.ndarray:
    """gap/deviation, broadcast, with 0/0 = 0; the gap is a difference of numbers of size `scale`,
    to rounding.
    """
    gap, deviation = np.broadcast_arrays(gap, deviation)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(
            (rounded(gap, scale) == 0) & (rounded(deviation, scale) == 0), 0.0, gap / deviation
        )


def two_class_scores(
    critic: LinearCritic, mixture: Mixture, nu: Numbers
) -> Float[np.ndarray, "R G"]:
    """z-score of every group, Acc = Phi(z); infinite if the score has no noise."""
    if critic.inside.shape[1] != 1:
        raise ValueError(
            f"{critic.inside.shape[1]} score vectors given; two classes need 1, w_+ - w_-"
        )
    u = critic.inside[:, 0]
    sign = 1 - 2 * mixture.labels
    gap = sign * (u @ mixture.means.T + critic.intercept)
    variance = (u**2) @ mixture.image_variances + nu * critic.outside[:, 0, 0]
    scale = np.abs(u) @ np.abs(mixture.means.T) + np.abs(critic.intercept)
    return standardise(gap, np.sqrt(variance)[:, None], scale)


def gaussian_nets(
    dimension: int, power: int, seed: Seed
) -> Iterator[Float[np.ndarray, "N dimension"]]:
    """Runs of 2^power points of one scrambled Sobol sequence, as standard normals; 2^k runs
    together are a finer net.

    (scipy's MultivariateNormalQMC makes the same points, up to 2e-6, in 1.4 to 2.8 times the time.)
    """
    from scipy.stats import qmc  # start-up time

    sobol = qmc.Sobol(dimension, scramble=True, rng=np.random.default_rng(seed))
    while True:
        # The points are multiples of 2^-30, so 0 occurs. Another number of its cell replaces it.
        yield ndtri(np.maximum(sobol.random(2**power), 2.0**-65))


def gaussian_points(dimension: int, power: int, seed: Seed) -> Float[np.ndarray, "N dimension"]:
    """The first 2^power points of `gaussian_nets`."""
    return next(gaussian_nets(dimension, power, seed))


def many_class_accuracy(
    critic: LinearCritic, mixture: Mixture, nu: Numbers, seed: Seed = 0, power: int | None = None
) -> Float[np.ndarray, "R G"]:
    """Accuracy of every group for K >= 3 classes, by scrambled Sobol points in K - 1 dimensions.

    F'F is the covariance of the K scores, the true class last. QR gives F = Q T with T upper
    triangular, so all other scores are functions of the first K - 1 normals. The last normal is
    integrated through Phi. Classes with the noise of the true one are left out: their means decide,
    and k equal ones share the decision. True classes take consecutive runs of one sequence, so
    their errors cancel in averages over classes. Each critic has a scramble of its own: a shared
    one would give all of them one error, which no spread over critics shows.
    """
    u, K = critic.inside, mixture.classes
    power = min(12, 16 - (K - 1).bit_length()) if power is None else power
    R = len(u)
    root = np.linalg.eigh(critic.outside)
    outside_root = np.sqrt(np.maximum(root.eigenvalues, 0))[
        :, :, None
    ] * root.eigenvectors.transpose(0, 2, 1)
    factor = np.concatenate(
        [
            np.sqrt(mixture.image_variances)[:, None] * u.transpose(0, 2, 1),
            np.sqrt(nu) * outside_root,
        ],
        axis=1,
    )  # (R, l + K, K)
    constant = np.broadcast_to(critic.intercept, u.shape[:2])[:, None]
    means = np.einsum("gl,rkl->rgk", mixture.means, u) + constant
    scale = (np.abs(u) @ np.abs(mixture.means).max(axis=0) + np.abs(constant[:, 0])).max(axis=1)
    scale += np.linalg.norm(factor, axis=1).max(axis=1)
    accuracy = np.empty((R, len(mixture.labels)))
    nets = [gaussian_nets(K - 1, power, stream) for stream in np.random.default_rng(seed).spawn(R)]
    for y in range(K):
        groups = np.flatnonzero(mixture.labels == y)
        for r, points in enumerate(map(next, nets)):
            differ = rounded(np.linalg.norm(factor[r] - factor[r][:, [y]], axis=0), scale[r]) > 0
            ahead = rounded(means[r, groups][:, ~differ] - means[r, groups][:, [y]], scale[r])
            right = (ahead <= 0).all(axis=1) / (ahead == 0).sum(axis=1)
            if differ.any():
                order = np.append(np.flatnonzero(differ), y)
                triangle = np.asarray(np.linalg.qr(factor[r][:, order], mode="r"))
                # (classes, N), without the last normal
                noise = triangle[:-1].T @ points[:, : len(order) - 1].T
                mean = means[r][np.ix_(groups, order)].T[..., None]
                best = mean[0] + noise[0]  # (groups, N)
                other = np.empty_like(best)
                # class by class: numpy is fastest along the points
                for k in range(1, len(order) - 1):
                    np.maximum(best, np.add(mean[k], noise[k], out=other), out=best)
                lead = standardise(mean[-1] + noise[-1] - best, np.abs(triangle[-1, -1]))
                right = right * ndtr(lead).mean(axis=-1)
            accuracy[r, groups] = right
    return accuracy


def group_accuracy(
    critic: LinearCritic, mixture: Mixture, nu: Numbers, seed: Seed = 0
) -> Float[np.ndarray, "R groups"]:
    """(common, counter), and unseen if there is one, of every critic, averaged over a group under
    the test law.

    Exact for two classes. For K = 3 to 50 the error is independent between critics. Its standard
    deviation is at most 1.5e-4 for critics close to the population's (30 K pairs or more), and
    1.2e-3 for critics fitted to few more pairs than classes, whose scores have no symmetry.
    """
    if mixture.classes == 2:
        accuracy = ndtr(two_class_scores(critic, mixture, nu))
    else:
        accuracy = many_class_accuracy(critic, mixture, nu, seed)
    return mixture.group_average(accuracy)


def reliance(critic: LinearCritic, world: World) -> Float[np.ndarray, " R"]:
    """t = u_spu/u_inv: infinite without weight on the object, nan without any weight, and for
    tables of K or A > 2.

    For K classes it is the ratio of means over every class's own coordinates, less the mean over
    classes.
    """
    u = critic.inside
    classes = world.classes
    width = block_width(world.classes)
    if world.table is not None and not classes == world.background_count == 2:
        return np.full(len(u), np.nan)
    if classes > 2:
        u = u - u.mean(axis=1, keepdims=True)
    inv, spu = (
        np.trace(u[:, :, block], axis1=1, axis2=2)
        for block in (slice(width), slice(width, 2 * width))
    )
    with np.errstate(divide="ignore", invalid="ignore"):  # a critic may be zero
        return spu / inv

"""Exact group accuracy of a linear critic; the one home of that formula.

A critic scores class y by x_I' w_y. With x_I = D z + xi, xi ~ N(0, nu I), split w_y into its coordinates
u_y = D' w_y and the part outside the dictionary. Given the group (y, a) the scores are jointly Gaussian, so
zero-shot accuracy needs no test set, for any linear critic, trained or population, finite n or not.

Two classes, w = w_+ - w_-:
    Acc(y, a) = Phi( y u'm_{ya} / sqrt(u' diag(sigma^2) u + nu ||w||^2) ), and 1/2 where the score is always 0.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, ndtri

from simulator.accuracy import Numbers
from simulator.mixture import Mixture


class LinearCritic(NamedTuple):
    """Score vectors of R critics: one row (w_+ - w_-) for two classes, K rows otherwise."""

    inside: Float[np.ndarray, "R P l"]  # u = D' w
    outside: Float[np.ndarray, "R P P"]  # Gram matrix of the parts of w orthogonal to D

    @classmethod
    def of_vectors(cls, w: Float[np.ndarray, "P d"], l: int) -> "LinearCritic":
        """One critic (R = 1) from its score vectors, the dictionary being the first l coordinates."""
        return cls(w[None, :, :l], (w[:, l:] @ w[:, l:].T)[None])


def standardise(gap: Numbers, deviation: Numbers) -> np.ndarray:
    """gap/deviation, broadcast, with 0/0 = 0: a score that is always zero decides nothing and counts one half."""
    gap, deviation = np.broadcast_arrays(gap, deviation)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((gap == 0) & (deviation == 0), 0.0, gap / deviation)


def two_class_scores(critic: LinearCritic, mixture: Mixture, nu: float) -> Float[np.ndarray, "R G"]:
    """z-score of every group, Acc = Phi(z); infinite where the decision has no noise.

    Raises ValueError unless the critic has one score vector a replicate.
    """
    if critic.inside.shape[1] != 1:
        raise ValueError(f"{critic.inside.shape[1]} score vectors given; two classes need 1, w_+ - w_-")
    u = critic.inside[:, 0]
    sign = 1 - 2 * mixture.labels
    gap = sign * (u @ mixture.means.T)
    variance = (u**2) @ mixture.variances + nu * ((u**2).sum(-1) + critic.outside[:, 0, 0])
    return standardise(gap, np.sqrt(variance)[:, None])


def gaussian_points(dimension: int, power: int, seed: int) -> Float[np.ndarray, "N dimension"]:
    """2^power scrambled Sobol points pushed to independent standard normals, one randomisation a seed."""
    from scipy.stats import qmc

    points = qmc.Sobol(dimension, scramble=True, rng=np.random.default_rng(seed)).random_base2(power)
    # The scrambled net lives on multiples of 2^-64, so 0 can occur; it is the left end of its cell.
    return ndtri(np.maximum(points, 2.0**-65))


def many_class_accuracy(
    critic: LinearCritic, mixture: Mixture, nu: float, points: Float[np.ndarray, "N Kminus1"]
) -> Float[np.ndarray, "R G"]:
    """Accuracy of every group for K >= 3 classes, given standard normal points in K - 1 dimensions.

    With F'F the covariance of the K scores and the true class ordered last, QR gives F = Q T with T upper
    triangular: all other scores are functions of the first K - 1 normals, the last is integrated through Phi.
    That leaves a smooth integrand, so 2^10 scrambled Sobol points give about 1e-4.
    """
    u, K = critic.inside, mixture.classes
    R = len(u)
    root = np.linalg.eigh(critic.outside)
    outside_root = np.sqrt(np.maximum(root.eigenvalues, 0))[:, :, None] * root.eigenvectors.transpose(0, 2, 1)
    factor = np.concatenate(
        [np.sqrt(mixture.variances + nu)[:, None] * u.transpose(0, 2, 1), np.sqrt(nu) * outside_root], axis=1
    )  # (R, l + K, K)
    means = np.einsum("gl,rkl->rgk", mixture.means, u)
    accuracy = np.empty((R, len(mixture.labels)))
    for y in range(K):
        order = np.append(np.delete(np.arange(K), y), y)
        triangle = np.linalg.qr(factor[:, :, order], mode="r")  # (R, K, K)
        groups = np.flatnonzero(mixture.labels == y)
        for r in range(R):
            noise = points @ triangle[r, :-1]  # (N, K): the last normal is still to come
            mean = means[r, groups][:, None, order]
            scores = mean + noise
            best, deviation = scores[..., :-1].max(axis=-1), np.abs(triangle[r, -1, -1])
            if deviation > 0:
                right = ndtr((scores[..., -1] - best) / deviation)
            else:  # nothing is left to integrate; k classes that tie share the decision
                tied = (scores == scores.max(axis=-1, keepdims=True)).sum(axis=-1)
                right = (scores[..., -1] >= best) / tied
            accuracy[r, groups] = right.mean(axis=-1)
    return accuracy


def group_accuracy(critic: LinearCritic, mixture: Mixture, nu: float, seed: int = 0) -> Float[np.ndarray, "R 2"]:
    """(common, counter) of every critic, averaged over labels and over further attributes under the test law.

    Under the test law every attribute is independent of the label, and the object shown keeps its law. Exact for two
    classes; for K >= 3 by 2^10 Sobol points drawn from `seed`.
    """
    if mixture.classes == 2:
        accuracy = ndtr(two_class_scores(critic, mixture, nu))
    else:
        accuracy = many_class_accuracy(critic, mixture, nu, gaussian_points(mixture.classes - 1, 10, seed))
    return mixture.group_average(accuracy)

"""The frontier that a learner traces as the correlation of its training world runs from 1/2 to 1,
with two classes.

A family F has accuracies (c_F(lambda), k_F(lambda)) on common and counter images. The frontier at
common accuracy c is
    f(c) = max { k_F(lambda) : c_F(lambda) >= c },   min c_F <= c <= max c_F.
Where the curve is monotone, that is k_F at c_F = c. Where it folds, f takes the better branch.
"""

import numpy as np
from jaxtyping import Bool, Float

from simulator.accuracy import Numbers
from simulator.world import World
from theory.integrator import roots
from theory.learners.base import Learner, attempt

NODES = 65  # of the curve; between them c_F is taken to be monotone
# 1 - lambda falls from 1/2 to 5e-14, then to 0: accuracies can change on a logarithmic scale near 1
SCALES = 30.0
ROUNDING = 1e-12  # of an accuracy


def correlation(u: Numbers) -> Numbers:
    """lambda from 1/2 at u = 0 to 1 at u = 1, denser at both ends."""
    return 1 - 0.5 * np.expm1(SCALES * (1 - u**2)) / np.expm1(SCALES)


def frontier(
    worlds: World, common: Float[np.ndarray, "*w"], family: Learner
) -> tuple[Float[np.ndarray, "*w"], Bool[np.ndarray, "*w"]]:
    """(f(c), whether the family reaches c), world by world; beyond its reach f is that of the
    nearest c.

    The correlations of the worlds have no influence. Members without an answer are left out.
    """
    flat = worlds.ravel()
    c = np.ravel(np.broadcast_to(common, worlds.shape))

    def members(u: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(c_F, k_F) of members at places u of some worlds."""
        accuracies = attempt(
            lambda w: np.stack([*family.accuracy(w)], axis=-1),
            flat[index].replace(p_spu=correlation(u)),
        )[0]
        return (
            (accuracies[..., 0], accuracies[..., 1])
            if accuracies.ndim > u.ndim
            else (np.full(u.shape, np.nan),) * 2
        )

    u, index = (x.ravel() for x in np.meshgrid(np.linspace(0, 1, NODES), np.arange(len(c))))
    c_F, k_F = (np.reshape(x, (len(c), NODES)) for x in members(u, index))
    least, most = (np.where(np.isnan(c_F), worst, c_F) for worst in (np.inf, -np.inf))
    least = least.min(axis=1)
    most = most.max(axis=1)
    reached = (least - ROUNDING <= c) & (c <= most + ROUNDING)
    c = np.clip(c, least, most)
    target = c - ROUNDING
    enough = c_F >= target[:, None]
    f = np.where(enough, k_F, -np.inf).max(axis=1)
    row, left = np.nonzero((enough[:, 1:] != enough[:, :-1]) & ~np.isnan(c_F[:, 1:] + c_F[:, :-1]))
    if len(row):
        root = roots(lambda k, u: members(u, row[k])[0] - target[row[k]], u[left], u[left + 1])
        np.maximum.at(f, row, members(root, row)[1])
    return f.reshape(worlds.shape), reached.reshape(worlds.shape)
